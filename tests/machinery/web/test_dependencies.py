"""Dependencies run once per request, see errors, finish before the response, and never hide errors."""

from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from typing import Annotated, Any

import pytest
from hawkapi import Depends, Request
from hawkapi.responses import JSONResponse

from app.web import Problem


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
def watching(seen):
    """A dependency with a `yield` that records how the request ended."""

    async def dependency(request: Request) -> AsyncGenerator[None]:
        try:
            yield
            seen.append("done")
        except Exception as error:
            seen.append(error)
            raise

    return Depends(dependency)


async def test_a_dependency_runs_once_per_request(web, http, seen):
    async def counted(request: Request) -> int:
        seen.append("run")
        return len(seen)

    async def outer(inner: Annotated[int, Depends(counted)]) -> int:
        return inner

    @web.get("/", dependencies=[Depends(counted)])
    async def handler(a: Annotated[int, Depends(outer)], b: Annotated[int, Depends(counted)]) -> list[int]:
        return [a, b]

    assert (await http.get("/")).json() == [1, 1]
    assert (await http.get("/")).json() == [2, 2]


async def test_a_dependency_finishes_before_the_response_is_sent(web, raw, watching, seen):
    @web.get("/")
    async def handler(value: Annotated[None, watching]) -> int:
        return 1

    answer = await raw(web, "GET", "/", look=lambda: list(seen))

    assert answer.seen_at_start == [["done"]]


async def test_a_dependency_sees_an_exception_of_the_handler(web, http, watching, seen):
    error = Problem(409, "Taken.")

    @web.get("/")
    async def handler(value: Annotated[None, watching]) -> None:
        raise error

    assert (await http.get("/")).status_code == 409
    assert seen == [error]


async def test_a_dependency_sees_the_exception_of_a_later_dependency(web, http, watching, seen):
    error = Problem(401, "Log in.")

    async def nobody(request: Request) -> None:
        raise error

    @web.get("/")
    async def handler(value: Annotated[None, watching], user: Annotated[None, Depends(nobody)]) -> None: ...

    assert (await http.get("/")).status_code == 401
    assert seen == [error]


async def test_a_dependency_sees_an_invalid_body(web, http, watching, seen):
    @web.post("/")
    async def handler(value: Annotated[None, watching], body: dict[str, int]) -> None: ...

    assert (await http.post("/", json=[])).status_code == 400
    assert len(seen) == 1


async def test_a_dependency_sees_an_exception_for_a_returned_error(web, http, watching, seen):
    @web.get("/")
    async def handler(value: Annotated[None, watching]) -> JSONResponse:
        return JSONResponse({"taken": True}, status_code=409)

    answer = await http.get("/")

    assert (answer.status_code, answer.json()) == (409, {"taken": True})
    assert isinstance(seen[0], Exception)


async def test_an_error_while_finishing_becomes_the_response(web, http, caplog):
    async def failing(request: Request) -> AsyncGenerator[None]:
        yield
        raise RuntimeError("the commit failed")

    @web.get("/")
    async def handler(value: Annotated[None, Depends(failing)]) -> int:
        return 1

    assert (await http.get("/")).status_code == 500
    assert "the commit failed" in caplog.text


async def test_a_dependency_may_turn_an_exception_into_a_response(web, http):
    async def translating(request: Request) -> AsyncGenerator[None]:
        try:
            yield
        except KeyError:
            raise Problem(404, "No such thing.") from None

    @web.get("/")
    async def handler(value: Annotated[None, Depends(translating)]) -> None:
        raise KeyError

    assert (await http.get("/")).status_code == 404


async def test_an_exception_swallowed_by_a_dependency_still_becomes_the_response(web, http):
    async def quiet(request: Request) -> AsyncGenerator[None]:
        with suppress(Problem):
            yield

    @web.get("/")
    async def handler(value: Annotated[None, Depends(quiet)]) -> None:
        raise Problem(409, "Taken.")

    assert (await http.get("/")).status_code == 409


async def test_a_dependency_without_async_is_finished_too(web, http, seen):
    def plain(request: Request) -> Generator[str]:
        try:
            yield "value"
        finally:
            seen.append("finished")

    @web.get("/")
    async def handler(value: Annotated[str, Depends(plain)]) -> str:
        return value

    assert (await http.get("/")).json() == "value"
    assert seen == ["finished"]


async def test_dependencies_finish_in_reverse_order(web, http, seen):
    def named(name: str) -> Any:
        async def dependency(request: Request) -> AsyncGenerator[None]:
            yield
            seen.append(name)

        return Depends(dependency)

    @web.get("/")
    async def handler(a: Annotated[None, named("first")], b: Annotated[None, named("second")]) -> None: ...

    await http.get("/")

    assert seen == ["second", "first"]

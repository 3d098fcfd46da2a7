"""Each error is returned as problem details without internals, and logged if it is a server error."""

import logging
from typing import Any

import pytest
from hawkapi import HTTPException, Request
from hawkapi.responses.response import Response
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.web import FieldError, Problem, database_errors


@pytest.fixture
def failing(web):
    """`failing(error)` gives `web` a route `/` whose handler raises that error."""

    def add(error: Exception) -> None:
        @web.get("/")
        async def handler(request: Request) -> None:
            raise error

    return add


async def test_an_unknown_path_is_404(web, http):
    answer = await http.get("/nothing")

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "not_found",
        "detail": "There is no resource at this URL.",
    }


async def test_an_unknown_path_is_not_echoed(web, http):
    assert "token-of-ada" not in (await http.get("/nothing/token-of-ada")).text


async def test_an_unsupported_method_is_405_with_the_allowed_ones(web, http):
    @web.post("/")
    async def handler() -> None: ...

    answer = await http.get("/")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["type"] == "about:blank"


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD"])
@pytest.mark.parametrize("path", ["/things/search", "/things/search/"])
async def test_a_literal_path_wins_over_a_parameter(web, http, method, path):
    @web.post("/things/search")
    async def search() -> None: ...

    @web.get("/things/{id}", status_code=200)
    async def thing(id: str) -> str:
        return id

    @web.delete("/things/{id}")
    async def delete(id: str) -> None: ...

    answer = await http.request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert (await http.get("/things/other")).json() == "other"


async def test_a_raised_problem_is_the_response(failing, http):
    errors = [FieldError("name", "Taken.", "taken")]
    failing(Problem(409, "Taken.", code="name_taken", headers={"X-Why": "a"}, errors=errors))

    answer = await http.get("/")

    assert (answer.status_code, answer.headers["x-why"]) == (409, "a")
    assert answer.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "code": "name_taken",
        "detail": "Taken.",
        "errors": [{"field": "name", "message": "Taken.", "code": "taken"}],
    }


async def test_a_problem_without_a_code_gets_the_code_of_its_status(failing, http):
    failing(Problem(409, "Taken."))

    assert (await http.get("/")).json()["code"] == "conflict"


async def test_an_exception_of_the_framework_becomes_problem_details(failing, http):
    failing(HTTPException(403, detail={"why": "no"}, headers={"X-Why": "a"}))

    answer = await http.get("/")

    assert (answer.status_code, answer.headers["x-why"]) == (403, "a")
    assert (answer.json()["code"], answer.json()["title"]) == ("forbidden", "Forbidden")


async def test_an_unexpected_error_is_logged_but_not_revealed(failing, http, caplog):
    failing(RuntimeError("password of ada"))

    answer = await http.get("/")

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "password" not in answer.text
    assert "password of ada" in caplog.text
    assert "Traceback" in caplog.text


async def test_an_unexpected_error_is_shown_in_debug_mode(web, failing, http):
    web.debug = True

    failing(ValueError("what went wrong"))

    answer = await http.get("/")

    assert answer.json()["detail"] == "ValueError: what went wrong"


async def test_a_timeout_is_504_and_logged(failing, http, caplog):
    failing(TimeoutError("redis at 10.0.0.1"))

    answer = await http.get("/")

    assert (answer.status_code, "10.0.0.1" in answer.text) == (504, False)
    assert "redis at 10.0.0.1" in caplog.text


class PostgresqlError(Exception):
    """What asyncpg's adapter raises."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__("10.0.0.1")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OperationalError("SELECT 1", {}, OSError("10.0.0.1")), id="connection lost"),
        pytest.param(PoolTimeout("QueuePool limit"), id="no connection is free"),
        pytest.param(DBAPIError("UPDATE", {}, PostgresqlError("40P01")), id="deadlock"),
        pytest.param(DBAPIError("UPDATE", {}, PostgresqlError("40001")), id="serialization failure"),
    ],
)
async def test_an_unresponsive_database_is_503_with_retry_after(failing, http, caplog, error):
    failing(error)

    answer = await http.get("/")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "10.0.0.1" not in answer.text
    assert caplog.records[-1].levelno == logging.ERROR


async def test_a_deadlock_is_logged_with_its_traceback_every_time(failing, http, caplog):
    """It is not an outage. The traceback shows which statement to change."""
    failing(DBAPIError("UPDATE", {}, PostgresqlError("40P01")))

    for _ in range(2):
        await http.get("/")

    said = [record for record in caplog.records if record.name == "app.web"]
    assert [record.exc_info is not None for record in said if record.levelno == logging.ERROR] == [True, True]


async def test_only_the_first_failure_of_an_outage_has_a_traceback(failing, http, caplog, monkeypatch):
    monkeypatch.setattr(database_errors, "_last_failure", None)
    failing(OperationalError("SELECT 1", {}, OSError("10.0.0.1")))

    for now in (1000.0, 1059.0, 1118.0, 1179.0):
        monkeypatch.setattr(database_errors, "monotonic", lambda now=now: now)
        await http.get("/")

    said = [
        record for record in caplog.records if record.name == "app.web" and record.levelno == logging.ERROR
    ]
    assert {each.getMessage() for each in said} == {
        "the database is not available (OperationalError from OSError)"
    }
    assert [each.exc_info is not None for each in said] == [True, False, False, True]


async def test_any_other_database_error_is_500_without_the_statement(failing, http):
    failing(IntegrityError("INSERT INTO users", {"password": "s3cret"}, Exception("UNIQUE")))

    answer = await http.get("/")

    assert (answer.status_code, "INSERT" in answer.text, "s3cret" in answer.text) == (500, False, False)


class Animal(Exception):
    pass


class Cat(Animal):
    pass


def answering(text: str) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        return Response(text, status_code=418)

    return handler


async def test_the_handler_of_the_most_specific_exception_wins(web, failing, http):
    web.exception_handler(Exception)(answering("exception"))
    web.exception_handler(Animal)(answering("animal"))
    web.exception_handler(Cat)(answering("cat"))
    failing(Cat())

    assert (await http.get("/")).text == "cat"


async def test_the_handler_of_a_base_class_is_the_fallback(web, failing, http):
    web.exception_handler(Animal)(answering("animal"))
    failing(Cat())

    assert (await http.get("/")).text == "animal"


@pytest.mark.parametrize("error", [HTTPException(409, detail="x"), Problem(409, "x"), TimeoutError()])
async def test_responses_of_the_framework_can_be_replaced(web, failing, http, error):
    web.exception_handler(type(error))(answering("mine"))
    failing(error)

    assert (await http.get("/")).text == "mine"


async def test_validation_error_responses_can_be_replaced(web, http):
    from hawkapi.validation.errors import RequestValidationError

    web.exception_handler(RequestValidationError)(answering("mine"))

    @web.get("/")
    async def handler(number: int) -> None: ...

    assert (await http.get("/?number=x")).text == "mine"


async def test_a_failing_exception_handler_is_500_and_logged(web, failing, http, caplog):
    def broken(request: Request, error: Exception) -> Response:
        raise RuntimeError("broken handler")

    web.exception_handler(Animal)(broken)
    failing(Animal())

    assert (await http.get("/")).status_code == 500
    assert "broken handler" in caplog.text


async def test_an_exception_handler_without_a_response_is_500_and_logged(web, failing, http, caplog):
    web.exception_handler(Animal)(lambda request, error: {"secret": 1})
    failing(Animal())

    assert (await http.get("/")).status_code == 500
    assert "the handler for Animal did not return a response" in caplog.text

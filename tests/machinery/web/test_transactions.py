"""One session per request, committed before the response is sent."""

import asyncio
from typing import Annotated, Any

import pytest
from hawkapi import Depends
from hawkapi.background import BackgroundTasks
from hawkapi.responses import JSONResponse
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db, session_of
from app.web import Problem


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def settings(settings, request):
    """The settings with and without DATABASE_FAST_PATHS."""
    return settings.model_copy(update={"database_fast_paths": request.param})


async def count(app: Any, thing: Any) -> int:
    async with app.state.db.session() as session:
        return await session.scalar(select(func.count()).select_from(thing))


async def test_a_request_has_one_session(stored, stored_http):
    async def dependency(db: Db) -> AsyncSession:
        return db

    @stored.post("/", status_code=200)
    async def handler(db: Db, other: Annotated[AsyncSession, Depends(dependency)]) -> bool:
        return db is other

    assert (await stored_http.post("/")).json() is True


async def test_the_session_is_committed_before_the_client_sees_the_response(stored, stored_http, thing):
    @stored.post("/")
    async def handler(db: Db) -> None:
        db.add(thing(name="a"))

    assert (await stored_http.post("/")).status_code == 201
    assert await count(stored, thing) == 1


@pytest.mark.parametrize("error", [Problem(409, "Taken."), RuntimeError()])
async def test_an_exception_rolls_back(stored, stored_http, thing, error):
    @stored.post("/")
    async def handler(db: Db) -> None:
        db.add(thing(name="a"))
        await db.flush()
        raise error

    assert (await stored_http.post("/")).status_code >= 400
    assert await count(stored, thing) == 0


@pytest.mark.parametrize("status", [400, 409, 500])
async def test_a_returned_error_rolls_back(stored, stored_http, thing, status):
    @stored.post("/")
    async def handler(db: Db) -> JSONResponse:
        db.add(thing(name="a"))
        await db.flush()
        return JSONResponse({}, status_code=status)

    assert (await stored_http.post("/")).status_code == status
    assert await count(stored, thing) == 0


async def test_an_explicit_commit_survives_an_error_response(stored, stored_http, thing):
    @stored.post("/")
    async def handler(db: Db) -> None:
        db.add(thing(name="a"))
        await db.commit()
        raise Problem(401, "Seen too often.")

    assert (await stored_http.post("/")).status_code == 401
    assert await count(stored, thing) == 1


async def test_a_constraint_violation_at_commit_is_an_error(stored, stored_http, thing):
    @stored.post("/", status_code=201)
    async def handler(db: Db) -> int:
        db.add(thing(name="a", shelf_id=99))
        await db.flush()
        return 1

    answer = await stored_http.post("/")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert await count(stored, thing) == 0


async def test_the_connection_is_usable_after_a_failed_commit(stored, stored_http, thing):
    @stored.post("/{shelf:int}")
    async def handler(shelf: int, db: Db) -> None:
        db.add(thing(name="a", shelf_id=shelf or None))

    assert (await stored_http.post("/99")).status_code == 409
    assert (await stored_http.post("/0")).status_code == 201


async def test_a_duplicate_found_at_commit_is_an_error(stored, stored_http, thing):
    @stored.post("/", status_code=201)
    async def handler(db: Db) -> int:
        db.add(thing(name="a"))
        return 1

    answers = [await stored_http.post("/"), await stored_http.post("/")]

    assert [each.status_code for each in answers] == [201, 409]
    assert await count(stored, thing) == 1


@pytest.mark.parametrize(("name", "ran"), [("a", []), ("b", ["b"])])
async def test_background_tasks_run_only_if_the_transaction_was_committed(
    stored, stored_http, thing, name, ran
):
    found = []

    @stored.post("/{name}")
    async def handler(name: str, tasks: BackgroundTasks, db: Db) -> None:
        tasks.add_task(found.append, name)
        db.add(thing(name=name))

    async with stored.state.db.session() as session:
        session.add(thing(name="a"))

    await stored_http.post(f"/{name}")

    assert found == ran


async def test_background_tasks_do_not_run_after_a_raised_error(web, http):
    found = []

    @web.post("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(found.append, 1)
        raise Problem(409, "Taken.")

    assert (await http.post("/")).status_code == 409
    assert found == []


async def test_a_row_that_another_request_has_deleted_is_409(stored, stored_http, thing, caplog):
    async with stored.state.db.session() as session:
        session.add(thing(id=1, name="s3cret"))

    @stored.post("/")
    async def handler(db: Db) -> None:
        row = await db.get(thing, 1)
        await db.execute(delete(thing).execution_options(synchronize_session=False))
        row.name = "b"

    answer = await stored_http.post("/")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert "another request has changed or deleted a row" in caplog.text
    assert "s3cret" not in caplog.text


async def test_writers_wait_for_each_other(stored, stored_http, thing):
    @stored.post("/{name}", status_code=200)
    async def handler(name: str, db: Db) -> int:
        before = await db.scalar(select(func.count()).select_from(thing))
        db.add(thing(name=name))
        await db.flush()
        return before

    answers = await asyncio.gather(*[stored_http.post(f"/{number}") for number in range(10)])

    assert {each.status_code for each in answers} == {200}
    assert await count(stored, thing) == 10


async def test_a_read_only_request_cannot_write(stored, stored_http, thing, caplog):
    @stored.get("/")
    async def handler(db: Db) -> None:
        db.add(thing(name="a"))

    assert (await stored_http.get("/")).status_code == 500
    assert "Make it POST" in caplog.text
    assert await count(stored, thing) == 0


async def test_a_read_only_request_does_not_wait_for_a_writer(stored, stored_http, thing):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> int:
        return await db.scalar(select(func.count()).select_from(thing))

    async with stored.state.db.session() as writer, asyncio.timeout(2):
        writer.add(thing(name="a"))
        await writer.flush()

        assert (await stored_http.get("/")).json() == 0


async def test_a_row_belongs_to_its_session_until_detached(stored, stored_http, thing):
    row = thing(name="a")

    @stored.post("/", status_code=200)
    async def handler(db: Db) -> bool:
        db.add(row)
        return session_of(row) is db

    assert (await stored_http.post("/")).json() is True
    with pytest.raises(ValueError, match="Thing does not belong to a session"):
        session_of(row)


async def test_a_query_sees_rows_added_before_it(stored, stored_http, thing):
    @stored.post("/", status_code=200)
    async def handler(db: Db) -> int:
        db.add(thing(name="a"))
        return await db.scalar(select(func.count()).select_from(thing)) or 0

    assert (await stored_http.post("/")).json() == 1

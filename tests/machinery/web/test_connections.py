"""A request returns its connection to the pool before its response is sent, whatever the response."""

import asyncio
from typing import Annotated, Any

import pytest
from hawkapi import Depends, Request
from hawkapi.responses import StreamingResponse
from pydantic import SecretStr
from sqlalchemy import func, select

from app import database
from app.database import Db
from app.web import Problem


def checked_out(app: Any) -> int:
    return sum(each.engine.pool.checkedout() for each in app.state.db.engines.values())


async def test_the_connection_is_released_when_a_success_is_sent(stored, raw, thing):
    @stored.post("/")
    async def handler(db: Db) -> None:
        db.add(thing(name="a"))

    answer = await raw(stored, "POST", "/", look=lambda: checked_out(stored))

    assert (answer.status, answer.seen_at_start) == (201, [0])


@pytest.mark.parametrize("error", [Problem(404, "No."), RuntimeError()])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_connection_is_released_when_an_error_is_sent(stored, raw, thing, error, method):
    async def handler(db: Db) -> None:
        await db.scalar(select(thing.id))
        raise error

    stored.add_route("/", handler, methods={method})
    answer = await raw(stored, method, "/", look=lambda: checked_out(stored))

    assert answer.seen_at_start == [0]


async def test_the_connection_is_released_when_a_later_dependency_refuses(stored, raw, thing):
    async def nobody(request: Request) -> None:
        raise Problem(403, "No.")

    async def user(db: Db) -> None:
        await db.scalar(select(thing.id))

    @stored.get("/")
    async def handler(who: Annotated[None, Depends(user)], no: Annotated[None, Depends(nobody)]) -> None: ...

    answer = await raw(stored, "GET", "/", look=lambda: checked_out(stored))

    assert (answer.status, answer.seen_at_start) == (403, [0])


async def test_the_connection_is_released_while_a_stream_is_sent(stored, raw, thing):
    @stored.get("/")
    async def handler(db: Db) -> StreamingResponse:
        await db.scalar(select(thing.id))

        async def chunks():
            yield str(checked_out(stored)).encode()

        return StreamingResponse(chunks())

    answer = await raw(stored, "GET", "/")

    assert answer.body == b"0"


async def test_a_cancelled_request_releases_its_connection(stored, raw, thing):
    inside = asyncio.Event()

    @stored.post("/")
    async def handler(db: Db) -> None:
        db.add(thing(name="a"))
        await db.flush()
        inside.set()
        await asyncio.sleep(60)

    request = asyncio.create_task(raw(stored, "POST", "/"))
    await inside.wait()
    request.cancel()
    await asyncio.wait([request])

    assert (request.cancelled(), checked_out(stored)) == (True, 0)
    async with stored.state.db.session() as session:
        assert await session.scalar(select(func.count()).select_from(thing)) == 0


async def test_many_refused_requests_do_not_exhaust_the_pool(stored, stored_http, thing):
    @stored.get("/")
    async def handler(db: Db) -> None:
        await db.scalar(select(thing.id))
        raise Problem(403, "No.")

    answers = await asyncio.gather(*[stored_http.get("/") for _ in range(60)])

    assert {each.status_code for each in answers} == {403}


def test_the_database_password_is_in_no_repr(new_app, settings):
    app = new_app()
    app.state.settings = settings.model_copy(
        update={"database_url": SecretStr("postgresql+asyncpg://ada:the-password@127.0.0.1/shop")}
    )

    database.connect(app)

    assert "the-password" not in repr(app.state.db)
    assert "ada" in repr(app.state.db)

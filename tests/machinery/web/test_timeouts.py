"""How long a body may take to arrive and a response to start, and what a timeout leaves behind."""

import asyncio

import pytest
from hawkapi import Request
from hawkapi.responses import StreamingResponse
from sqlalchemy import select

from app.database import Db
from app.users import User

JSON = [(b"content-type", b"application/json")]
START = {"type": "http.request", "body": b'{"a": ', "more_body": True}


def checked_out(app):
    return sum(each.engine.pool.checkedout() for each in app.state.db.engines.values())


@pytest.fixture
def speak():
    """`await speak(app, receive)`: the response messages to a POST whose body comes from `receive`."""

    async def call(app, receive, http_version="1.1"):
        messages = []

        async def send(message):
            messages.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": http_version,
            "scheme": "http",
            "method": "POST",
            "path": "/",
            "query_string": b"",
            "headers": JSON,
            "client": ("203.0.113.9", 50000),
            "server": ("test", 80),
        }
        await app(scope, receive, send)
        return messages

    return call


@pytest.fixture
def stalled(never):
    """Sends the start of a body, and then nothing."""
    parts = iter([START])

    async def receive():
        message = next(parts, None)
        return message or await never()

    return receive


@pytest.fixture
def reading(app_with):
    """`reading(body_timeout=0.05)`: an application with a route that reads a body."""

    def build(**settings):
        web = app_with(**settings)

        @web.post("/")
        async def handler(body: dict[str, int]) -> dict[str, int]:
            return body

        return web

    return build


# Bodies


async def test_a_missing_body_times_out(reading, speak, stalled):
    start, body = await speak(reading(body_timeout=0.05), stalled)

    assert start["status"] == 408
    assert dict(start["headers"])[b"content-type"] == b"application/problem+json"
    assert dict(start["headers"])[b"connection"] == b"close"
    assert b"longer than 0.05 s" in body["body"]


async def test_an_http_2_timeout_ends_the_request_but_not_the_connection(reading, speak, stalled):
    """HTTP/2 has no Connection header (RFC 9113, section 8.2.2)."""
    start, _ = await speak(reading(body_timeout=0.05), stalled, http_version="2")

    assert start["status"] == 408
    assert b"connection" not in dict(start["headers"])


async def test_a_slow_body_times_out(reading, speak):
    async def drip():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    start, _ = await speak(reading(body_timeout=0.1), drip)

    assert start["status"] == 408


async def test_the_body_timeout_does_not_limit_the_response(reading, speak):
    async def late():
        await asyncio.sleep(0.6)
        return {"type": "http.request", "body": b'{"a": 1}', "more_body": False}

    start, _ = await speak(reading(body_timeout=30, request_timeout=0.5), late)

    assert start["status"] == 201


async def test_the_handler_timeout_does_not_include_the_body(app_with, speak):
    web = app_with(body_timeout=0.2, request_timeout=30)

    @web.post("/")
    async def handler(request: Request) -> int:
        total = 0
        async for chunk in request.stream():
            total += len(chunk)
            await asyncio.sleep(0.15)
        return total

    parts = iter([True, True, False])

    async def receive():
        return {"type": "http.request", "body": b"x", "more_body": next(parts)}

    start, body = await speak(web, receive)

    assert (start["status"], body["body"]) == (201, b"3")


async def test_a_middleware_that_reads_a_slow_body_times_out_too(app_with, speak, stalled):
    web = app_with(body_timeout=0.05)

    class Reading:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            while (await receive()).get("more_body"):
                pass
            await self.app(scope, receive, send)

    web.add_middleware(Reading)

    start, _ = await speak(web, stalled)

    assert start["status"] == 408


# Responses


async def test_a_response_that_does_not_start_is_504(app_with, raw, never, caplog):
    web = app_with(request_timeout=0.05)

    @web.get("/")
    async def handler() -> None:
        await never()

    answer = await raw(web, "GET", "/")

    assert answer.status == 504
    assert answer.headers[b"content-type"] == b"application/problem+json"
    assert answer.headers[b"x-content-type-options"] == b"nosniff"
    assert "was cancelled after 0.05 s" in caplog.text


async def test_a_head_response_that_does_not_start_is_504_without_a_body(app_with, raw, never):
    web = app_with(request_timeout=0.05)

    @web.get("/")
    async def handler() -> None:
        await never()

    answer = await raw(web, "HEAD", "/")

    assert (answer.status, answer.body) == (504, b"")


async def test_a_stream_is_not_limited(app_with, raw):
    web = app_with(request_timeout=0.2)

    @web.get("/")
    async def handler() -> StreamingResponse:
        async def chunks():
            for _ in range(3):
                await asyncio.sleep(0.15)
                yield b"x"

        return StreamingResponse(chunks())

    answer = await raw(web, "GET", "/")

    assert (answer.status, answer.body) == (200, b"xxx")


async def test_a_timeout_inside_the_handler_is_not_logged_as_cancelled(app_with, raw, caplog):
    web = app_with(request_timeout=30)

    @web.get("/")
    async def handler() -> None:
        async with asyncio.timeout(0.01):
            await asyncio.sleep(60)

    answer = await raw(web, "GET", "/")

    assert answer.status == 504
    assert "was cancelled" not in caplog.text


async def test_a_background_task_does_not_time_out(app_with, raw):
    web = app_with(request_timeout=0.05)
    done = []

    class After:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)
            await asyncio.sleep(0.1)
            done.append(True)

    web.add_middleware(After)

    answer = await raw(web, "GET", "/")

    assert (answer.status, done) == (404, [True])


async def test_a_timed_out_request_writes_nothing_and_holds_no_connection(build_app, raw, never, db):
    app = build_app(request_timeout=0.5)

    @app.post("/slow")
    async def handler(db: Db) -> None:
        db.add(User(email="written-too-early@example.com", hashed_password="x"))
        await db.flush()
        await never()

    answer = await raw(app, "POST", "/slow")

    assert answer.status == 504
    assert checked_out(app) == 0
    async with db.session() as session:
        session.add(User(email="ada@example.com", hashed_password="x"))
    async with db.session(commit=False) as session:
        assert list(await session.scalars(select(User.email))) == ["ada@example.com"]


async def test_many_timed_out_requests_do_not_exhaust_the_pool(build_app, raw, never):
    app = build_app(request_timeout=1, database_pool_size=3)

    @app.get("/slow")
    async def slow(db: Db) -> None:
        await db.scalar(select(User.id))
        await never()

    @app.get("/quick")
    async def quick(db: Db) -> None:
        await db.scalar(select(User.id))

    await asyncio.gather(*[raw(app, "GET", "/slow") for _ in range(10)])
    answer = await raw(app, "GET", "/quick")

    assert answer.status == 204
    assert checked_out(app) == 0

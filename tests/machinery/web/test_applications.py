"""The lifespan: two applications share nothing, a failed startup is logged, shutdown waits for requests."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hawkapi import Request
from hawkapi.routing.router import Router
from pydantic import SecretStr
from sqlalchemy import text

from app import database
from app.database import Db
from app.web import App


async def test_a_websocket_is_closed_before_it_is_accepted(new_app):
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    app = new_app()
    app._ws_routes["/feed"] = (send, None)
    await app({"type": "websocket", "path": "/feed", "headers": []}, receive, send)

    assert sent == [{"type": "websocket.close"}]


class Server:
    """The part of a server that handles the lifespan."""

    def __init__(self, app: App) -> None:
        self.to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self.task = asyncio.create_task(app(scope, self.to_app.get, self.from_app.put))

    async def tell(self, message: str) -> dict[str, Any]:
        await self.to_app.put({"type": f"lifespan.{message}"})
        async with asyncio.timeout(5):
            return await self.from_app.get()


@asynccontextmanager
async def running(app: App) -> AsyncIterator[None]:
    server = Server(app)
    await server.tell("startup")
    yield
    await server.tell("shutdown")
    await server.task


@pytest.fixture
def stored_in(new_app: Callable[..., App], settings: Any, tmp_path: Any) -> Callable[[str], App]:
    """`stored_in("a")`: an application on an SQLite file of that name."""

    def make(name: str) -> App:
        app = new_app(name)
        # No connection creates the file.
        (tmp_path / f"{name}.db").touch()
        add_database(app, settings, f"sqlite+aiosqlite:///{tmp_path}/{name}.db")
        return app

    return make


def add_database(app: App, settings: Any, url: str) -> None:
    app.state.settings = settings.model_copy(update={"database_url": SecretStr(url)})
    database.connect(app)


async def test_a_handler_finds_its_application(web, http):
    @web.get("/")
    async def handler(request: Request) -> bool:
        return request.scope["app"] is web

    assert (await http.get("/")).json() is True


async def test_one_router_serves_two_applications(new_app, connected):
    router = Router()

    @router.get("/")
    async def handler(request: Request) -> str:
        return request.scope["app"].title

    first, second = new_app("first"), new_app("second")
    first.include_router(router)
    second.include_router(router)

    async with connected(first) as one, connected(second) as two:
        assert [(await one.get("/")).json(), (await two.get("/")).json()] == ["first", "second"]


async def test_two_applications_use_their_own_databases(stored_in, connected):
    router = Router()

    @router.get("/")
    async def handler(db: Db) -> list[str]:
        listed = await db.execute(text("PRAGMA database_list"))
        return [row.file.rpartition("/")[2] for row in listed]

    first, second = stored_in("first"), stored_in("second")
    first.include_router(router)
    second.include_router(router)

    async with running(first), running(second), connected(first) as one, connected(second) as two:
        assert [(await one.get("/")).json(), (await two.get("/")).json()] == [["first.db"], ["second.db"]]


def test_two_applications_share_no_state(new_app):
    first, second = new_app(), new_app()
    first.state.service = object()

    assert not hasattr(second.state, "service")


async def test_a_failed_startup_is_logged_in_full(web, caplog):
    @web.on_startup
    async def connect_to_something() -> None:
        raise RuntimeError("no route to host")

    answer = await Server(web).tell("startup")

    assert answer["type"] == "lifespan.startup.failed"
    assert "connect_to_something" in caplog.text
    assert "Traceback" in caplog.text


async def test_a_plain_function_can_run_at_startup(web):
    seen: list[str] = []
    web.on_startup(lambda: seen.append("started"))

    async with running(web):
        assert seen == ["started"]


async def test_shutdown_waits_for_requests_before_closing_the_database(stored_in, raw):
    app = stored_in("waiting")
    inside, go_on, order = asyncio.Event(), asyncio.Event(), []

    @app.on_shutdown
    async def close_service() -> None:
        order.append("closed")

    @app.get("/")
    async def handler(db: Db) -> int:
        inside.set()
        await go_on.wait()
        order.append("answered")
        return (await db.execute(text("SELECT 1"))).scalar_one()

    server = Server(app)
    await server.tell("startup")
    request = asyncio.create_task(raw(app, "GET", "/"))
    await inside.wait()
    stop = asyncio.create_task(server.tell("shutdown"))
    await asyncio.sleep(0.05)
    go_on.set()
    await stop

    assert ((await request).status, order) == (200, ["answered", "closed"])


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("sqlite+aiosqlite:////no/such/folder/a.db", id="sqlite"),
        pytest.param("postgresql+asyncpg://nobody:s3cret@127.0.0.1:1/nothing", id="postgresql"),
        pytest.param("postgresql+asyncpg://nobody:s3cret@localhost:1/nothing", id="postgresql by name"),
    ],
)
async def test_without_its_database_the_application_returns_503_with_retry_after(web, http, settings, url):
    add_database(web, settings, url)

    @web.get("/")
    async def handler(db: Db) -> None:
        await db.execute(text("SELECT 1"))

    answer = await http.get("/")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "nothing" not in answer.text
    assert "s3cret" not in answer.text

"""Fixtures for the tests of `app/web`: small applications, called with httpx or raw ASGI."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import httpx
import pytest
from sqlalchemy import ForeignKey, String
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app import database
from app.settings import Settings
from app.web import App

SETTINGS = {"environment": "test", "secret_key": sha256(b"the secret of the tests").hexdigest()}


def make_app(title: str = "Test") -> App:
    return App(title=title, version="1.0.0", description="", max_body_size=1000)


def connect(app: App) -> httpx.AsyncClient:
    """A client that fails the test if an exception escapes the application."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test")


@pytest.fixture
def new_app() -> Callable[..., App]:
    """`new_app()`: another empty application."""
    return make_app


@pytest.fixture
def web() -> App:
    """An empty application. The test adds its routes."""
    return make_app()


@pytest.fixture
def app_with() -> Callable[..., App]:
    """`app_with(body_timeout=0.05)`: an empty application with these settings."""

    def build(**values: Any) -> App:
        settings = Settings(_env_file=None, **(SETTINGS | values))  # type: ignore[call-arg]
        return App(title="Test", version="1.0.0", description="", max_body_size=1000, settings=settings)

    return build


@pytest.fixture
def never() -> Callable[[], Awaitable[None]]:
    """`await never()`: wait until cancelled."""

    async def wait() -> None:
        await asyncio.Event().wait()

    return wait


@pytest.fixture
def access_lines() -> Iterator[Callable[[], list[logging.LogRecord]]]:
    """`access_lines()`: the records of `app.access` so far."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("app.access")
    logger.addHandler(handler)
    yield lambda: list(records)
    logger.removeHandler(handler)


@pytest.fixture
async def http(web: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `web`."""
    async with connect(web) as client:
        yield client


@dataclass
class Answer:
    """The messages that an application sent."""

    messages: list[Any] = field(default_factory=list)
    seen_at_start: list[Any] = field(default_factory=list)
    received: int = 0

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.messages[1:])


WHOLE = ({"type": "http.request", "body": b"", "more_body": False},)


async def raw_call(
    app: App,
    method: str,
    path: str,
    *,
    incoming: Iterable[dict[str, Any]] = WHOLE,
    headers: Iterable[tuple[bytes, bytes]] = (),
    query: bytes = b"",
    look: Callable[[], Any] = lambda: None,
) -> Answer:
    """Send *app* an ASGI request as a server would. *look* is called when the response starts."""
    answer = Answer()
    waiting = iter((*incoming, *({"type": "http.disconnect"},) * 100))

    async def receive() -> dict[str, Any]:
        answer.received += 1
        return next(waiting)

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer.seen_at_start.append(look())
        answer.messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "headers": list(headers),
        "client": ("203.0.113.9", 50000),
        "server": ("test", 80),
    }
    await app(scope, receive, send)
    return answer


@pytest.fixture
def raw() -> Callable[..., Awaitable[Answer]]:
    """`await raw(app, "GET", "/")`: the messages that the application sent."""
    return raw_call


class Tables(DeclarativeBase):
    """Tables for these tests only, invisible to migrations and other tests."""


class Shelf(Tables):
    __tablename__ = "web_test_shelves"
    id: Mapped[int] = mapped_column(primary_key=True)


class Thing(Tables):
    __tablename__ = "web_test_things"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    number: Mapped[int | None]
    # Checked only at COMMIT, so a transaction can fail even if every statement succeeds.
    shelf_id: Mapped[int | None] = mapped_column(
        ForeignKey("web_test_shelves.id", deferrable=True, initially="DEFERRED")
    )


@pytest.fixture
def thing() -> type[Thing]:
    """The mapped class of the table in `stored`."""
    return Thing


@pytest.fixture
async def stored(settings: Settings) -> AsyncIterator[App]:
    """An empty application with a database and the tables above."""
    engine = create_async_engine(settings.database_url.get_secret_value())
    async with engine.begin() as connection:
        await connection.run_sync(Tables.metadata.create_all)
    app = make_app()
    app.state.settings = settings
    database.connect(app)
    yield app
    await app.state.db.dispose()
    async with engine.begin() as connection:
        await connection.run_sync(Tables.metadata.drop_all)
    await engine.dispose()


@pytest.fixture
async def stored_http(stored: App) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `stored`."""
    async with connect(stored) as client:
        yield client


@pytest.fixture
def connected() -> Callable[[App], httpx.AsyncClient]:
    """`async with connected(app) as client:` for a test with several applications."""
    return connect

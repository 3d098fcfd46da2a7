"""Fixtures for the limits: a shared Redis, Redis servers that tests restart, and small applications.

TEST_REDIS_URL names the shared Redis; without it, `redis-server` is started on a free port.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, NoReturn, Self
from uuid import uuid4

import httpx
import pytest
import redis
from hawkapi import Depends
from pydantic import SecretStr

from app import limits
from app.limits import LimiterUnavailable, limited
from app.limits.redis import RedisLimiter
from app.settings import Settings
from app.web import App, health


def missing(reason: str) -> NoReturn:
    """Skip the test for this reason, or fail it if REQUIRE_SERVICES is set."""
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """A Redis server for one test. It keeps nothing on disk, so it is empty after a restart."""

    def __init__(self, folder: Path, *options: str, url: str | None = None) -> None:
        self.port = free_port()
        self.url = url or f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = options or ("--port", str(self.port))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it responds."""
        self._process = subprocess.Popen(
            ["redis-server", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *self._options],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
        )
        with redis.Redis.from_url(self.url, retry=None) as client:
            for _ in range(500):
                try:
                    client.ping()
                except (redis.ConnectionError, redis.TimeoutError):
                    time.sleep(0.01)
                else:
                    return
        raise RuntimeError("redis-server does not respond")

    def kill(self) -> None:
        self._send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._process = None

    def hang(self) -> None:
        """Make the server accept connections without ever responding."""
        self._send(signal.SIGSTOP)

    def go_on(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def names(self) -> list[str]:
        """All keys."""
        with redis.Redis.from_url(self.url, decode_responses=True) as client:
            return sorted(client.scan_iter())


type MakeServer = Callable[..., RedisServer]


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeServer]:
    """`make_server()`: a Redis for this test only, killed at the end of the test run."""
    if shutil.which("redis-server") is None:
        missing("redis-server is not installed, and this test starts and stops its own")
    servers: list[RedisServer] = []

    def make(*options: str, url: str | None = None) -> RedisServer:
        server = RedisServer(tmp_path_factory.mktemp("redis"), *options, url=url)
        servers.append(server)
        server.start()
        return server

    yield make
    for server in servers:
        server.kill()


@pytest.fixture
def server(make_server: MakeServer) -> Iterator[RedisServer]:
    """A Redis that the test can stop and start."""
    server = make_server()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def redis_url(request: pytest.FixtureRequest) -> str:
    """A Redis that other tests may also use, so each test gives its keys a separate prefix."""
    given = os.environ.get("TEST_REDIS_URL")
    if given:
        return given
    if shutil.which("redis-server") is None:
        missing("no Redis is available: set TEST_REDIS_URL or install redis-server")
    return request.getfixturevalue("make_server")().url


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid4().hex}:"


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the timeout long enough for slow machines."""
    monkeypatch.setattr("app.limits.redis._STEP_TIMEOUT", 30)
    monkeypatch.setattr("app.limits.redis._TIMEOUT", 60)


type Connect = Callable[..., RedisLimiter]


@pytest.fixture
async def connect(redis_url: str, prefix: str, patience: None) -> AsyncIterator[Connect]:
    """`connect()`: another client of the shared Redis, with this test's keys."""
    async with AsyncExitStack() as stack:

        def make(url: str = redis_url, **options: str) -> RedisLimiter:
            limiter = RedisLimiter(url, **({"prefix": prefix} | options))
            stack.push_async_callback(limiter.close)
            return limiter

        yield make
        # Leftover keys expire.
        with suppress(LimiterUnavailable):
            await make().clear()


type MakeApp = Callable[..., App]


@pytest.fixture
async def make_app(settings: Settings) -> AsyncIterator[MakeApp]:
    """`make_app(url, redis_outage="refuse")`: an application whose GET / allows three requests an hour."""
    async with AsyncExitStack() as stack:

        def make(url: str | None = None, **changes: object) -> App:
            app = App(title="Test", version="1.0.0", description="", max_body_size=1000)
            redis_url = SecretStr(url) if url else None
            app.state.settings = settings.model_copy(update={"redis_url": redis_url, **changes})
            limits.install(app)
            app.include_router(health.router)
            stack.push_async_callback(app.state.limiter.close)

            @app.get("/")
            async def handler(guard: Annotated[None, Depends(limited("3/h"))]) -> dict[str, bool]:
                return {"allowed": True}

            return app

        yield make


type Visit = Callable[..., httpx.AsyncClient]


@pytest.fixture
def visit() -> Visit:
    """`async with visit(app, "203.0.113.9") as client:` sends requests from this address."""

    def connected(app: App, address: str = "203.0.113.9") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        return httpx.AsyncClient(transport=transport, base_url="http://test")

    return connected


class FakeRedis:
    """A server that accepts and counts connections, sends *greeting* and never responds."""

    greeting = b""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self._end = asyncio.Event()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.talk(reader, writer)
        writer.close()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.greeting)
        await self._end.wait()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        yield self
        server.close()
        self._end.set()


class DroppingRedis(FakeRedis):
    """Closes its first connection at the first command. Later connections allow everything."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while self.connections > 1 and await reader.read(1000):
            writer.write(b":0\r\n")
        await reader.read(1)


@pytest.fixture
async def silent(patience: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeRedis]:
    """A Redis that hangs from the start, with a short timeout."""
    monkeypatch.setattr("app.limits.redis._STEP_TIMEOUT", 0.2)
    monkeypatch.setattr("app.limits.redis._TIMEOUT", 0.4)
    async with FakeRedis().listening() as fake:
        yield fake


@pytest.fixture
async def dropping() -> AsyncIterator[FakeRedis]:
    """A Redis whose first connection dies."""
    async with DroppingRedis().listening() as fake:
        yield fake


@pytest.fixture
def unused() -> int:
    """A port without a listener."""
    return free_port()

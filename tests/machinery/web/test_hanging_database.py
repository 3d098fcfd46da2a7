"""PostgreSQL behind a proxy that stops forwarding bytes: requests get a 503 in time, and the application
recovers.
"""

import asyncio
import os
from contextlib import suppress

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, select

from app.database import Db
from app.users import User

pytestmark = pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="needs a PostgreSQL server")

HOUR = 3600


class Proxy:
    """Forwards bytes to a server until the test makes it hang. Connections stay open, and new ones are
    accepted.
    """

    def __init__(self, host, port):
        self._server = (host, port)
        self._flows = asyncio.Event()
        self._flows.set()
        self._tasks = set()

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hang(self):
        self._flows.clear()

    def go_on(self):
        self._flows.set()

    async def _accept(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        await self._flows.wait()
        with suppress(OSError):
            there_reader, there_writer = await asyncio.open_connection(*self._server)
            await asyncio.gather(self._pass_on(reader, there_writer), self._pass_on(there_reader, writer))

    async def _pass_on(self, reader, writer):
        try:
            while data := await reader.read(65536):
                await self._flows.wait()
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def proxy(settings):
    url = make_url(settings.database_url.get_secret_value())
    async with Proxy(url.host, url.port or 5432) as proxy:
        behind = url.set(host="127.0.0.1", port=proxy.port)
        proxy.url = SecretStr(behind.render_as_string(hide_password=False))
        yield proxy


@pytest.fixture
def through(build_app, proxy):
    """`through(database_timeout=1)`: an application whose database is behind the proxy."""

    def build(**settings):
        app = build_app(database_url=proxy.url, **settings)

        @app.get("/read")
        async def read(db: Db) -> None:
            await db.scalar(select(User.id))

        @app.post("/written")
        async def write(db: Db) -> None:
            db.add(User(email="ada@example.com", hashed_password="x"))
            await db.flush()
            # The next statement in this request is the commit.
            if "hang" in app.state.__dict__:
                proxy.hang()

        return app

    return build


@pytest.fixture
def visit():
    def connected(app):
        return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test", timeout=60)

    return connected


async def in_time(work):
    """Wait for *work*, for a minute at most."""
    async with asyncio.timeout(60):
        return await work


@pytest.mark.parametrize(
    "limits",
    [{"database_timeout": 0.5, "request_timeout": HOUR}, {"database_timeout": HOUR, "request_timeout": 0.5}],
    ids=["statement", "request"],
)
async def test_a_hanging_query_is_503_and_its_connection_is_discarded(through, visit, proxy, limits):
    app = through(**limits)
    async with visit(app) as client:
        assert (await client.get("/read")).status_code == 204
        proxy.hang()

        answer = await in_time(client.get("/read"))

        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert app.state.db.get().engine.pool.checkedout() == 0
        proxy.go_on()
        assert (await in_time(client.get("/read"))).status_code == 204


async def test_a_pool_full_of_hanging_connections_recovers(through, visit, proxy):
    app = through(database_timeout=0.5, request_timeout=HOUR, database_pool_size=3)
    async with visit(app) as client:
        await asyncio.gather(*[client.get("/read") for _ in range(3)])
        proxy.hang()

        answers = await in_time(asyncio.gather(*[client.get("/read") for _ in range(12)]))

        assert {each.status_code for each in answers} == {503}
        proxy.go_on()
        answers = await in_time(asyncio.gather(*[client.get("/read") for _ in range(12)]))
        assert {each.status_code for each in answers} == {204}


async def test_an_interrupted_commit_is_not_a_success(through, visit, db):
    app = through(database_timeout=0.5, request_timeout=HOUR)
    app.state.hang = True
    async with visit(app) as client:
        answer = await in_time(client.post("/written"))

        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    async with db.session(commit=False) as session:
        assert await session.scalar(select(User.id)) is None


async def test_readyz_reports_the_outage_within_seconds(through, visit, proxy):
    app = through(database_timeout=HOUR)
    async with visit(app) as client:
        assert (await client.get("/readyz")).status_code == 200
        proxy.hang()

        answer = await in_time(client.get("/readyz"))

        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, False)
        assert (await client.get("/livez")).status_code == 200
        proxy.go_on()
        assert (await in_time(client.get("/readyz"))).status_code == 200


async def test_the_application_closes_even_if_its_connections_hang(through, visit, proxy):
    app = through(database_timeout=HOUR, database_pool_size=8)
    async with visit(app) as client:
        await asyncio.gather(*[client.get("/read") for _ in range(8)])
        proxy.hang()

        await in_time(app.state.db.dispose())

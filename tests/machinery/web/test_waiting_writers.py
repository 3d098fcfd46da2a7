"""SQLite: requests that wait for the write lock do not keep others from reading."""

import asyncio
import sqlite3
from contextlib import closing

import httpx
import pytest
from sqlalchemy import make_url

WRITERS = 5
"""More than the connections for writing."""


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def served(app, build_app, request):
    """An application with and without DATABASE_FAST_PATHS. *app* empties the tables afterwards."""
    return build_app(database_fast_paths=request.param)


@pytest.fixture
async def http(served):
    transport = httpx.ASGITransport(app=served)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def other_writer(database_url):
    """Another process's connection, which can take the write lock."""
    if not database_url.startswith("sqlite"):
        pytest.skip("PostgreSQL has no such lock")
    with closing(sqlite3.connect(make_url(database_url).database, isolation_level=None)) as connection:
        yield connection


async def test_waiting_writers_do_not_delay_reads(served, http, other_writer, make_user, login):
    headers = login(await make_user("ada@example.com"))
    writing = served.state.db.get().engine.pool
    other_writer.execute("BEGIN IMMEDIATE")
    writers = [
        asyncio.create_task(http.patch("/users/me", json={"language": "de"}, headers=headers))
        for _ in range(WRITERS)
    ]
    async with asyncio.timeout(5):
        while writing.checkedout() < writing.size():
            await asyncio.sleep(0.01)

        read = await http.get("/users/me", headers=headers)
        ready = await http.get("/readyz")

    assert not any(each.done() for each in writers)
    assert (read.status_code, ready.status_code) == (200, 200)
    other_writer.execute("COMMIT")
    assert [(await each).status_code for each in writers] == [200] * WRITERS


async def test_a_writer_can_read_on_the_side_while_others_wait(served):
    """A session for reading inside one for writing needs no connection of the writers."""

    async def write():
        async with served.state.db.session() as db:
            await db.connection()
            async with served.state.reading() as reading:
                await reading.connection()

    async with asyncio.timeout(served.state.settings.database_timeout / 2):
        await asyncio.gather(*(write() for _ in range(WRITERS)))

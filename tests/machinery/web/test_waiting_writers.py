"""SQLite: requests that wait for the write lock do not keep others from reading."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from alembic import command
from alembic.config import Config
from pydantic import SecretStr

from tests.conftest import PROJECT

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
WRITERS = 5
"""More than there are write connections."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A migrated SQLite database, whichever database the other tests use."""
    path = tmp_path / "own.db"
    config = Config(toml_file=PROJECT / "pyproject.toml")
    config.attributes["database_url"] = f"sqlite+aiosqlite:///{path}"
    command.upgrade(config, "heads")
    return path


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def served(build_app, file, request):
    """An application with and without DATABASE_FAST_PATHS."""
    url = SecretStr(f"sqlite+aiosqlite:///{file}")
    return build_app(database_url=url, database_fast_paths=request.param)


@pytest.fixture
async def http(served):
    transport = httpx.ASGITransport(app=served)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def other_writer(file):
    """Another process's connection, which can take the write lock."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


async def test_waiting_writers_do_not_delay_reads(served, http, other_writer):
    await http.post("/users/register", json=ADA)
    token = (await http.post("/users/login", json=ADA)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
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


async def test_a_writer_can_open_a_read_session_while_others_wait(served):
    """A read session that is opened inside a write session does not need a write connection."""

    async def write():
        async with served.state.db.session() as db:
            await db.connection()
            async with served.state.reading() as reading:
                await reading.connection()

    async with asyncio.timeout(served.state.settings.database_timeout / 2):
        await asyncio.gather(*(write() for _ in range(WRITERS)))

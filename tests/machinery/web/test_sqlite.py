"""SQLite: each statement takes one round trip to the connection's thread and returns the driver's results."""

import aiosqlite
import pytest
from pydantic import SecretStr
from sqlalchemy import exc, insert, select, update

from app.database import Db


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def settings(settings, tmp_path, request):
    """An SQLite database, whichever database the other tests use, with and without DATABASE_FAST_PATHS."""
    url = SecretStr(f"sqlite+aiosqlite:///{tmp_path / 'own.db'}")
    return settings.model_copy(update={"database_url": url, "database_fast_paths": request.param})


@pytest.fixture
def trips(monkeypatch):
    """Calls sent to connection threads since the test started."""
    sent = []
    execute = aiosqlite.Connection._execute

    async def counted(self, function, *arguments, **options):
        sent.append(function)
        return await execute(self, function, *arguments, **options)

    monkeypatch.setattr(aiosqlite.Connection, "_execute", counted)
    return sent


@pytest.mark.parametrize("settings", [True], ids=["fast"], indirect=True)
async def test_a_single_read_makes_one_round_trip(stored, stored_http, thing, trips):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[int]:
        return list(await db.scalars(select(thing.id)))

    await stored_http.get("/")  # opens the connection
    trips.clear()
    assert (await stored_http.get("/")).status_code == 200

    assert len(trips) == 1


async def test_a_result_has_rows_names_and_counts(stored, thing):
    async with stored.state.db.session() as session:
        added = await session.execute(insert(thing).values(name="a", number=1))
        many = await (await session.connection()).execute(
            insert(thing), [{"name": "b", "number": 1}, {"name": "c", "number": 2}]
        )
        changed = await session.execute(update(thing).where(thing.number == 1).values(number=3))
        returned = await session.execute(update(thing).values(number=4).returning(thing.name))
        found = await session.execute(select(thing.name, thing.number).order_by(thing.name))

        assert added.inserted_primary_key == (1,)
        assert many.rowcount == 2
        assert changed.rowcount == 2
        assert sorted(returned.scalars()) == ["a", "b", "c"]
        assert list(found.keys()) == ["name", "number"]
        assert found.fetchone() == ("a", 4)
        assert found.fetchmany(1) == [("b", 4)]
        assert found.fetchall() == [("c", 4)]


async def test_driver_errors_become_sqlalchemy_errors(stored, thing):
    async with stored.state.db.session(commit=False) as session:
        session.add_all([thing(name="a"), thing(name="a")])
        with pytest.raises(exc.IntegrityError):
            await session.flush()
        await session.rollback()

        assert await session.scalar(select(thing.name)) is None


async def test_a_stream_is_read_incrementally(stored, thing):
    async with stored.state.db.session() as session:
        session.add_all([thing(name="a"), thing(name="b")])
        await session.flush()

        assert [name async for name in await session.stream_scalars(select(thing.name))] == ["a", "b"]

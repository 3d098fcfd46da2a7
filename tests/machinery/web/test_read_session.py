"""The database session of GET and HEAD: it opens no transaction and leaves no state on the connection."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, event, func, insert, select, text, update

from app.database import Db, separate_transaction


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def settings(settings, request):
    """The settings with and without DATABASE_FAST_PATHS."""
    return settings.model_copy(update={"database_fast_paths": request.param})


@pytest.fixture
def postgresql(settings):
    if "postgresql" not in settings.database_url.get_secret_value():
        pytest.skip("a function of PostgreSQL")


async def moments(tx):
    return [await tx.scalar(text("SELECT now()::text")) for _ in range(2)]


async def test_each_statement_runs_on_its_own(stored, stored_http, thing):
    count = select(func.count()).select_from(thing)

    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[int]:
        before = await db.scalar(count)
        async with stored.state.db.session() as writer:
            writer.add(thing(name="a"))
        return [before, await db.scalar(count)]

    assert (await stored_http.get("/")).json() == [0, 1]


async def test_no_transaction_is_started(stored, stored_http, postgresql):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[str]:
        return await moments(db)  # now() is the time at which the transaction started

    first, second = (await stored_http.get("/")).json()
    assert first != second


async def test_a_handler_may_request_one_snapshot(stored, stored_http, postgresql):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[str]:
        await db.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        return await moments(db)

    first, second = (await stored_http.get("/")).json()
    assert first == second


async def test_the_connection_starts_transactions_again_for_writes(stored, stored_http, thing):
    @stored.get("/", status_code=200)
    async def read(db: Db) -> list[str]:
        return list(await db.scalars(select(thing.name)))

    @stored.post("/", status_code=200)
    async def write(db: Db) -> None:
        db.add(thing(name="a"))
        await db.flush()
        raise RuntimeError

    assert (await stored_http.get("/")).json() == []
    assert (await stored_http.post("/")).status_code == 500
    # On PostgreSQL, both used the same connection.
    assert stored.state.db.get().engine.pool.checkedin() == 1
    assert (await stored_http.get("/")).json() == []


@pytest.mark.parametrize("statement", [insert, update, delete])
async def test_write_statements_are_refused(stored, stored_http, thing, statement):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> None:
        await db.execute(statement(thing).execution_options(synchronize_session=False))

    assert (await stored_http.get("/")).status_code == 500


async def test_loaded_objects_belong_to_the_session(stored, stored_http, thing):
    async with stored.state.db.session() as session:
        session.add(thing(name="a"))

    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[bool]:
        row = await db.scalar(select(thing))
        return [row in db, row is await db.get(thing, row.id)]

    assert (await stored_http.get("/")).json() == [True, True]


async def test_a_session_bound_to_a_connection_uses_it(stored, thing):
    async with stored.state.db.get().engine.connect() as connection:
        await connection.execute(insert(thing).values(name="a"))
        async with stored.state.reading(bind=connection) as session:
            assert await session.scalar(select(thing.name)) == "a"
        assert await connection.scalar(select(thing.name)) == "a"
        await connection.rollback()


async def test_added_rows_are_never_lost_silently(stored, stored_http, thing):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> None:
        db.add(thing(name="a"))

    assert (await stored_http.get("/")).status_code == 500
    assert (await stored_http.head("/")).status_code == 500


async def test_a_read_does_not_wait_for_a_writer(stored, stored_http, thing):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[str]:
        return list(await db.scalars(select(thing.name)))

    async with stored.state.db.session() as writer:
        writer.add(thing(name="a"))
        await writer.flush()
        async with asyncio.timeout(5):
            assert (await stored_http.get("/")).json() == []


async def test_bookkeeping_has_its_own_transaction(stored, stored_http, thing):
    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[str]:
        await db.scalar(select(thing.name))
        async with separate_transaction(db) as own:
            own.add(thing(name="a"))
        return list(await db.scalars(select(thing.name)))

    assert (await stored_http.get("/")).json() == ["a"]


async def test_loaded_objects_survive_the_release_of_the_connection(stored, stored_http, thing):
    async with stored.state.db.session() as session:
        session.add(thing(name="a"))

    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[Any]:
        row = await db.scalar(select(thing))
        async with separate_transaction(db):
            in_use = sum(each.engine.pool.checkedout() for each in stored.state.db.engines.values())
        return [row.name, in_use]

    assert (await stored_http.get("/")).json() == ["a", 0]


async def test_engine_listeners_see_the_reads(stored, stored_http, thing):
    heard = []

    for each in stored.state.db.engines.values():
        event.listen(each.engine.sync_engine, "before_cursor_execute", lambda *call: heard.append(call[2]))

    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[int]:
        return list(await db.scalars(select(thing.id)))

    await stored_http.get("/")

    assert len(heard) == 1


@pytest.mark.parametrize("is_first", [True, False])
async def test_rows_can_be_streamed(stored, stored_http, thing, is_first):
    """PostgreSQL streams rows only within a transaction."""
    async with stored.state.db.session() as session:
        session.add_all([thing(name=name) for name in "abc"])
    names = select(thing.name).order_by(thing.name)

    @stored.get("/", status_code=200)
    async def handler(db: Db) -> list[str]:
        if not is_first:
            await db.scalar(names)
        some = names.execution_options(yield_per=2)
        return [name async for name in await db.stream_scalars(some)] + list(await db.scalars(names))

    assert [(await stored_http.get("/")).json() for _ in range(2)] == [[*"abcabc"]] * 2
    assert sum(each.engine.pool.checkedout() for each in stored.state.db.engines.values()) == 0

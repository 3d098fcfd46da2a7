"""The clock and its column type: times are stored exactly on both databases."""

import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import StringIO
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from hawkapi_sqlalchemy import Database
from sqlalchemy import Column, Integer, Table, func, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base

PROJECT = Path(__file__).parent.parent
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


class Tables(DeclarativeBase):
    """Tables for these tests only, invisible to migrations and other tests."""


class Event(Tables):
    __tablename__ = "clock_test_events"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime | None] = mapped_column(UTCDateTime, server_default=func.current_timestamp())


@pytest.fixture
async def events(db: Database) -> AsyncIterator[Database]:
    """The database with the table above."""
    engine = db.get().engine
    async with engine.begin() as connection:
        await connection.run_sync(Tables.metadata.create_all)
    yield db
    async with engine.begin() as connection:
        await connection.run_sync(Tables.metadata.drop_all)


async def store(database: Database, *moments: datetime | None) -> None:
    async with database.session() as session:
        rows = [{"id": number, "at": moment} for number, moment in enumerate(moments)]
        await session.execute(insert(Event.__table__), rows)


async def read(database: Database, *conditions: object) -> list[datetime | None]:
    async with database.session(commit=False) as session:
        query = select(Event.at).where(*conditions).order_by(Event.at)  # type: ignore[arg-type]
        return list(await session.scalars(query))


def test_now_is_in_utc():
    assert clock.now().tzinfo is UTC
    assert abs(datetime.now(UTC) - clock.now()) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "moment",
    [NOON, NOON + TICK, NOON - TICK, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)],
)
async def test_a_time_is_restored_exactly_and_in_utc(events: Database, moment: datetime):
    await store(events, moment)

    (found,) = await read(events)
    assert found == moment
    assert found is not None
    assert found.utcoffset() == timedelta(0)


async def test_a_time_in_another_zone_is_the_same_time(events: Database):
    in_tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    await store(events, in_tokyo)

    assert await read(events) == [NOON]
    assert await read(events, Event.at == in_tokyo) == [NOON]


async def test_a_missing_time_is_none(events: Database):
    await store(events, None)

    assert await read(events) == [None]


async def test_times_are_compared_and_ordered_to_the_microsecond(events: Database):
    second = timedelta(seconds=1)
    await store(events, NOON + TICK, NOON, NOON + second, NOON - TICK)

    assert await read(events) == [NOON - TICK, NOON, NOON + TICK, NOON + second]
    assert await read(events, Event.at < NOON) == [NOON - TICK]
    assert await read(events, Event.at <= NOON) == [NOON - TICK, NOON]
    assert await read(events, Event.at > NOON) == [NOON + TICK, NOON + second]


async def test_a_time_written_by_the_database_equals_the_one_read(events: Database):
    """SQLite compares times as strings, and its CURRENT_TIMESTAMP has no fractions of a second."""
    async with events.session() as session:
        await session.execute(insert(Event).values(id=1))
        await session.execute(text("INSERT INTO clock_test_events (id) VALUES (2)"))
    written = (await read(events))[0]

    assert written is not None
    assert abs(written - datetime.now(UTC)) < timedelta(minutes=1)
    assert await read(events, Event.at == written, Event.id == 2) == [written]
    assert await read(events, Event.at < written) == []


@pytest.fixture
def orders() -> Iterator[None]:
    """A model with a time column but without a revision."""
    table = Table(
        "orders_of_a_test", Base.metadata, Column("id", Integer, primary_key=True), Column("at", UTCDateTime)
    )
    yield
    Base.metadata.remove(table)


@pytest.mark.usefixtures("orders")
def test_a_new_revision_does_not_import_the_application(migrated: str, tmp_path: Path):
    """Code that a revision imports can never be changed again."""
    for folder in ("app", "migrations"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    config = Config(toml_file=tmp_path / "pyproject.toml", stdout=StringIO())
    config.attributes["database_url"] = migrated

    script = command.revision(config, "add orders", autogenerate=True)

    source = Path(script.path).read_text()  # type: ignore[union-attr,arg-type]
    assert 'sa.Column("at", sa.DateTime(timezone=True), nullable=True)' in source
    assert "app." not in source

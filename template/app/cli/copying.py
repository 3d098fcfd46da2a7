"""Copies all tables to another database, and converts values that SQLite and PostgreSQL store differently.

Template-owned; `database_copy.py` defines the command. Everything happens in one transaction on the new
database.
"""

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    Integer,
    TableClause,
    Text,
    column,
    func,
    inspect,
    literal_column,
    select,
    table,
    text,
    type_coerce,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import JSON, TypeDecorator, TypeEngine

from app.cli.database import open_engine
from app.cli.table_export import snapshot, stored_table
from app.clock import UTCDateTime
from app.database import Base
from app.main import load_features
from app.settings import Settings

type Tell = Callable[[int, int], None]
"""Called with the number of rows just copied and the total number of rows in the database."""

_BATCH = 1000
"""Rows per batch."""
_VERSIONS = "alembic_version"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""In SQLite, SQLAlchemy stores an interval as this time plus the interval."""
_FOREIGN_KEYS = """
SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid)
FROM pg_constraint WHERE contype = 'f' AND connamespace = current_schema()::regnamespace
"""
_SEQUENCES = """
SELECT format('SELECT setval(%L, coalesce(max(%I), 0) + 1, false) FROM %s', sequence, attname, relation)
FROM (
    SELECT attname, attrelid::regclass AS relation,
           pg_get_serial_sequence(attrelid::regclass::text, attname) AS sequence
    FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
          AND attnum > 0 AND NOT attisdropped
) AS columns
WHERE sequence IS NOT NULL
"""


class CopyFailed(Exception):
    """The copy failed. The message explains why and what to do."""


@dataclass
class Tally:
    """The number of rows in a table, and a checksum that does not depend on the order of the rows."""

    rows: int = 0
    total: int = 0

    def add(self, row: Sequence[Any], columns: TableClause) -> None:
        """Count a row.

        The result is the same for both databases, even if they return the row's values as different types.
        """
        values = [
            json.loads(value) if isinstance(each.type, _JsonText) and value else _comparable(value)
            for value, each in zip(row, columns.columns, strict=True)
        ]
        digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).digest()
        self.rows += 1
        self.total = (self.total + int.from_bytes(digest)) % 2**256

    @property
    def checksum(self) -> str:
        """16 hexadecimal digits."""
        return f"{self.total:064x}"[:16]


async def first_with_rows(settings: Settings) -> str | None:
    """The name of a table that has rows, or None if every table is empty."""
    async with snapshot(settings) as connection:
        for name in await _names(connection):
            one = select(literal_column("1", Integer())).select_from(table(name)).limit(1)
            if await connection.scalar(one):
                return name
    return None


async def copy_all(settings: Settings, target: Settings, tell: Tell) -> dict[str, Tally]:
    """Copy all rows to the database in *target*, which must be migrated. Returns each table's tally.

    Raises:
        CopyFailed: rows could not be copied, or differ in the copy. The new database is unchanged.
    """
    load_features()
    engine = open_engine(target)
    try:
        async with snapshot(settings) as old, engine.begin() as new:
            names = await _names(old)
            if missing := sorted({*names} - {*await _names(new)}):
                raise CopyFailed(
                    f"The copy would lack {', '.join(missing)}, which no migration creates. Write a"
                    " migration, or drop the table."
                )
            sources = {name: await _table(old, name) for name in names}
            targets = {name: await _table(new, name) for name in names}
            async with _without_foreign_keys(new):
                tallies = await _copy_tables(old, sources, new, targets, tell)
            await _set_sequences(new)
            for name, each in targets.items():
                found = await _tally(new, each)
                if found != tallies[name]:
                    raise CopyFailed(
                        f"The rows in {name} differ in the copy: {found.rows} with the checksum"
                        f" {found.checksum} instead of {tallies[name].rows} with {tallies[name].checksum}."
                    )
            return tallies
    finally:
        await engine.dispose()


async def _names(connection: AsyncConnection) -> list[str]:
    names = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
    return sorted({*names} - {_VERSIONS})


async def _table(connection: AsyncConnection, name: str) -> TableClause:
    """The table without its computed columns. The column types come from the database.

    Time columns keep the models' type. On SQLite, that type stores times as text in its own format. Times in
    different formats would sort and compare incorrectly.
    """
    described = await connection.run_sync(lambda sync: inspect(sync).get_columns(name))
    computed = {each["name"] for each in described if "computed" in each}
    stored = await connection.run_sync(stored_table, name)
    kept = [each for each in stored.columns if each.name not in computed]
    is_text = connection.dialect.name == "sqlite"
    model = Base.metadata.tables.get(name)
    of_model = model.columns if model is not None else ()
    times = {each.name for each in of_model if isinstance(each.type, UTCDateTime)}

    def kind_of(stored: ColumnElement[Any]) -> TypeEngine[Any]:
        if stored.name in times:
            return UTCDateTime()
        if not isinstance(stored.type, JSON):
            return stored.type
        return _JsonText() if is_text else _CastJson(stored.type)

    return table(name, *(column(each.name, kind_of(each)) for each in kept))


async def _copy_tables(
    old: AsyncConnection,
    sources: dict[str, TableClause],
    new: AsyncConnection,
    targets: dict[str, TableClause],
    tell: Tell,
) -> dict[str, Tally]:
    numbers = [await old.scalar(select(func.count()).select_from(each)) or 0 for each in sources.values()]
    tallies = {name: Tally() for name in sources}
    for name, source in sources.items():
        kinds = {each.name: targets[name].columns[each.name].type for each in source.columns}
        # A migration may have inserted rows that also exist in the old database.
        await new.execute(targets[name].delete())
        try:
            async for rows in _batches(old, source):
                for row in rows:
                    tallies[name].add(row, source)
                values = [
                    {each: _adapted(value, kinds[each]) for each, value in zip(kinds, row, strict=True)}
                    for row in rows
                ]
                await new.execute(targets[name].insert(), values)
                tell(len(rows), sum(numbers))
        except DBAPIError as error:
            raise CopyFailed(f"A row in {name} was rejected: {error.orig}. Correct it first.") from error
        except (ValueError, OverflowError) as error:
            # SQLite can store any text in a column of any type.
            raise CopyFailed(f"A row in {name} cannot be read: {error}. Correct it first.") from error
    return tallies


async def _batches(
    connection: AsyncConnection, stored: TableClause
) -> AsyncGenerator[Sequence[Sequence[object]]]:
    async with connection.stream(select(stored), execution_options={"yield_per": _BATCH}) as result:
        async for rows in result.partitions():
            yield rows


async def _tally(connection: AsyncConnection, stored: TableClause) -> Tally:
    tally = Tally()
    async for rows in _batches(connection, stored):
        for row in rows:
            tally.add(row, stored)
    return tally


# Differences between the databases


@asynccontextmanager
async def _without_foreign_keys(connection: AsyncConnection) -> AsyncGenerator[None]:
    """Suspend foreign keys, because rows are copied in any order and may refer to rows in the same table."""
    if connection.dialect.name == "sqlite":
        # SQLite enforces foreign keys only when enforcement is turned on.
        yield
        broken = (await connection.exec_driver_sql("PRAGMA foreign_key_check")).mappings().first()
        if broken:
            raise CopyFailed(
                f"A row in {broken['table']} refers to a row in {broken['parent']} that does not exist."
            )
        return
    keys = (await connection.execute(text(_FOREIGN_KEYS))).all()
    for relation, name, _ in keys:
        await connection.exec_driver_sql(f"ALTER TABLE {relation} DROP CONSTRAINT {name}")
    yield
    for relation, name, definition in keys:
        try:
            await connection.exec_driver_sql(f"ALTER TABLE {relation} ADD CONSTRAINT {name} {definition}")
        except DBAPIError as error:
            raise CopyFailed(
                f"A row in {relation} refers to a row that does not exist ({name}). SQLite allows this if"
                " another tool changes the data. Correct it first."
            ) from error


async def _set_sequences(connection: AsyncConnection) -> None:
    """Make sequences continue after the copied IDs. SQLite does this automatically."""
    if connection.dialect.name == "postgresql":
        for statement in (await connection.scalars(text(_SEQUENCES))).all():
            await connection.exec_driver_sql(statement)


class _JsonText(TypeDecorator[str]):
    """JSON, read as text, because a decoded JSON `null` would be indistinguishable from SQL's NULL."""

    impl = Text
    cache_ok = True


class _CastJson(_JsonText):
    """Converts JSON to and from text, for a database that does not store JSON as text."""

    cache_ok = True

    def __init__(self, stored: TypeEngine[Any]) -> None:
        super().__init__()
        self.stored = stored

    def bind_expression(self, bindparam: Any) -> ColumnElement[Any]:
        """Convert text to JSON."""
        return sql_cast(type_coerce(bindparam, Text()), self.stored)

    def column_expression(self, column: Any) -> ColumnElement[Any]:
        """Convert JSON to text."""
        return sql_cast(type_coerce(column, self.stored), Text())


def _adapted(value: object, kind: TypeEngine[Any]) -> object:
    """*value* in the form that a column of *kind* accepts."""
    match value, _python_type(kind):
        case datetime(), python if python is timedelta:
            return _utc(value) - _EPOCH
        case timedelta(), python if python is datetime:
            return (_EPOCH + value).replace(tzinfo=None)
        case datetime(), _:
            has_zone = isinstance(kind, UTCDateTime) or (isinstance(kind, DateTime) and kind.timezone)
            return _utc(value) if has_zone else _utc(value).replace(tzinfo=None)
        case str(), python if python is UUID:
            return UUID(value)
        case UUID(), python if python is str:
            return value.hex
        case _:
            return value


def _python_type(kind: TypeEngine[Any]) -> type[object] | None:
    try:
        return kind.python_type
    except NotImplementedError:
        return None


def _comparable(value: object) -> object:
    """*value* as JSON. Equal values produce the same JSON, even if the databases store them differently."""
    match value:
        case bool():
            return int(value)
        case datetime():
            return _utc(value).isoformat()
        case timedelta():
            return (_EPOCH + value).isoformat()
        case date() | time():
            return value.isoformat()
        case UUID():
            return value.hex
        case bytes():
            return value.hex()
        case Decimal():
            return f"{value.normalize():f}"
        case None | str() | int() | float():
            return value
        case _:
            return str(value)


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

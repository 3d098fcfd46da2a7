"""`app db export`: writes tables to a file, as the database stores them. Template-owned."""

import asyncio
import base64
import json
import math
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import INVOCATION_DIR, fail, friendly_errors, require_database
from app.cli.whole_file import explained, whole_file

if TYPE_CHECKING:
    from sqlalchemy import Connection, TableClause
    from sqlalchemy.ext.asyncio import AsyncConnection

    from app.settings import Settings

STDOUT = "-"
"""The file name that stands for standard output."""

type _Write = Callable[[dict[str, Any]], None]
"""Writes an object as one line."""


@friendly_errors
def export(
    tables: Annotated[
        list[str], typer.Argument(metavar="TABLE", help="The tables, as `app db tables` lists them.")
    ],
    output: Annotated[
        str, typer.Option(metavar="FILE", help="A file that does not exist yet, or - for standard output.")
    ],
) -> None:
    """Write all rows of the given tables to a file, as JSON Lines.

    The rows are written as the database stores them and can contain secrets. Only you can read the file. Keep
    it out of git.

    A line with "table" and "columns" starts a table and gives the type of each column. A line with "table"
    and "row" is a row. Times are ISO 8601, in UTC if they have no offset. Bytes are base64. Numbers that JSON
    cannot represent are written as text.
    """
    from app.settings import load_settings

    settings = load_settings()
    require_database(settings)
    with _lines_to(output) as write:
        counts = asyncio.run(_export(settings, list(dict.fromkeys(tables)), write))
    exported = ", ".join(
        f"{rows} {'row' if rows == 1 else 'rows'} of {name}" for name, rows in counts.items()
    )
    typer.echo(f"Exported {exported}.", err=output == STDOUT)


@asynccontextmanager
async def snapshot(settings: "Settings") -> AsyncGenerator["AsyncConnection"]:
    """A connection that sees the database as it is now, regardless of later commits."""
    from sqlalchemy import make_url

    from app.cli.database import open_engine

    url = make_url(settings.database_url.get_secret_value())
    # At PostgreSQL's default isolation level, each statement sees everything committed before it.
    level = "SERIALIZABLE" if url.get_backend_name() == "sqlite" else "REPEATABLE READ"
    engine = open_engine(settings, isolation_level=level)
    try:
        async with engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                # The driver does not start a transaction for reads.
                await connection.exec_driver_sql("BEGIN")
            yield connection
    finally:
        await engine.dispose()


async def _export(settings: "Settings", names: list[str], write: _Write) -> dict[str, int]:
    """Write the tables in *names*, and return how many rows each has."""
    async with snapshot(settings) as connection:
        return await connection.run_sync(_export_tables, names, write)


def _export_tables(connection: "Connection", names: list[str], write: _Write) -> dict[str, int]:
    from sqlalchemy import inspect

    missing = [name for name in names if name not in inspect(connection).get_table_names()]
    if missing:
        fail(f"The database has no table {', '.join(missing)}. `uv run app db tables` lists the tables.")
    return {name: _export_table(connection, name, write) for name in names}


def _export_table(connection: "Connection", name: str, write: _Write) -> int:
    """Write a table, and return how many rows it has."""
    from sqlalchemy import select
    from sqlalchemy.types import NullType

    stored = stored_table(connection, name)
    types = {each.name: each.type for each in stored.columns}
    dialect = connection.dialect
    # SQLAlchemy does not know the types of all PostgreSQL extensions and cannot name unknown types.
    names = {
        each: "unknown" if isinstance(kind, NullType) else kind.compile(dialect)
        for each, kind in types.items()
    }
    write({"table": name, "columns": names})
    count = 0
    try:
        for row in connection.execute(select(stored), execution_options={"stream_results": True}).mappings():
            write({"table": name, "row": {each: _finite(value) for each, value in row.items()}})
            count += 1
    except (ValueError, OverflowError) as error:
        # SQLite can store any text in a column of any type.
        fail(f"A row in {name} cannot be read: {error}. Correct it in the database.")
    return count


def stored_table(connection: "Connection", name: str) -> "TableClause":
    """A table whose column types come from the database.

    It does not use the models' types, which may decrypt or convert the stored values.
    """
    from sqlalchemy import column, inspect, table

    columns = inspect(connection).get_columns(name)
    return table(name, *(column(each["name"], each["type"]) for each in columns))


def _finite(value: Any) -> Any:
    """*value*, or its string form if JSON cannot represent it (NaN and infinity)."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str:
    """A string for *value*, whose type does not exist in JSON."""
    match value:
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case datetime() | date() | time():
            return value.isoformat()
        case _:
            return str(value)


@contextmanager
def _lines_to(output: str) -> Generator[_Write]:
    """A function that writes lines to *output*."""
    with _stdout() if output == STDOUT else _new_file(INVOCATION_DIR / output) as stream:

        def write(line: dict[str, Any]) -> None:
            with explained("Standard output" if output == STDOUT else output):
                stream.write(f"{json.dumps(line, default=_text)}\n")

        yield write


@contextmanager
def _stdout() -> Generator[IO[str]]:
    yield sys.stdout
    with explained("Standard output"):
        sys.stdout.flush()


@contextmanager
def _new_file(path: Path) -> Generator[IO[str]]:
    """A file that only its owner can read. After the block, the file is either complete or absent."""
    with whole_file(path) as part:
        stream = part.open("w", encoding="ascii")
        try:
            yield stream
            with explained(path):
                stream.flush()
        finally:
            # Closing flushes the buffer, which fails again if the disk is full.
            with suppress(OSError):
                stream.close()

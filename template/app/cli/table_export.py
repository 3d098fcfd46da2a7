"""`app db export`: writes tables to a file, as the database stores them. Template-owned."""

import asyncio
import base64
import json
import math
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import date, datetime, time
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import INVOCATION_DIR, fail, friendly_errors, require_database
from app.cli.permissions import OWNER_ONLY

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.settings import Settings

STDOUT = "-"
"""As a file name, means standard output."""

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
    """Write all rows of tables to a file, as JSON Lines.

    The rows are as the database stores them and can contain secrets. Only you can read the file. Keep it out
    of git.

    A line with "table" and "columns" begins a table and gives the type of each column. A line with "table"
    and "row" is a row. Times are ISO 8601, in UTC if they have no offset. Bytes are base64. Numbers that JSON
    lacks are text.
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


async def _export(settings: "Settings", names: list[str], write: _Write) -> dict[str, int]:
    """Write the tables *names*. Returns how many rows each has."""
    from sqlalchemy import make_url
    from sqlalchemy.ext.asyncio import create_async_engine

    url = make_url(settings.database_url.get_secret_value())
    # At PostgreSQL's default isolation level, each statement sees what others committed before it.
    level = "SERIALIZABLE" if url.get_backend_name() == "sqlite" else "REPEATABLE READ"
    engine = create_async_engine(url, isolation_level=level)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_export_in_transaction, names, write)
    finally:
        await engine.dispose()


def _export_in_transaction(connection: "Connection", names: list[str], write: _Write) -> dict[str, int]:
    from sqlalchemy import inspect

    if connection.dialect.name == "sqlite":
        # The driver does not begin a transaction for reads.
        connection.exec_driver_sql("BEGIN")
    missing = [name for name in names if name not in inspect(connection).get_table_names()]
    if missing:
        fail(f"The database has no table {', '.join(missing)}. `uv run app db tables` lists the tables.")
    return {name: _export_table(connection, name, write) for name in names}


def _export_table(connection: "Connection", name: str, write: _Write) -> int:
    """Write a table. Returns how many rows it has."""
    from sqlalchemy import column, inspect, select, table
    from sqlalchemy.types import NullType

    # Not the models' types: a model's type may decrypt or convert the stored value.
    types = {each["name"]: each["type"] for each in inspect(connection).get_columns(name)}
    stored = table(name, *(column(each, kind) for each, kind in types.items()))
    dialect = connection.dialect
    # SQLAlchemy does not know the types of every PostgreSQL extension, and cannot name unknown ones.
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
        # SQLite stores any text in any column.
        fail(f"A row of {name} cannot be read: {error}. Correct it in the database.")
    return count


def _finite(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str:
    """The text for a value that JSON has no type for."""
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
            with _explained("Standard output" if output == STDOUT else output):
                stream.write(f"{json.dumps(line, default=_text)}\n")

        yield write


@contextmanager
def _stdout() -> Generator[IO[str]]:
    yield sys.stdout
    with _explained("Standard output"):
        sys.stdout.flush()


@contextmanager
def _new_file(path: Path) -> Generator[IO[str]]:
    """A file that only its owner can read. After the block, it is complete or does not exist."""
    if os.path.lexists(path):
        fail(f"{path} already exists, and an export does not overwrite files. Choose another file.")
    with _explained(path):
        # The name has the same ending, because git may ignore only such files.
        part = NamedTemporaryFile(  # noqa: SIM115 - it is renamed
            "w", encoding="ascii", dir=path.parent, prefix=f"{path.stem}.", suffix=path.suffix, delete=False
        )
    try:
        yield part.file
        with _explained(path):
            part.flush()
            os.fsync(part.fileno())
            part.close()
            # Fails if someone else has created the file in the meantime.
            path.touch(OWNER_ONLY, exist_ok=False)
            Path(part.name).replace(path)
    finally:
        # Closing flushes the buffer, which fails again if the disk is full.
        with suppress(OSError):
            part.close()
        Path(part.name).unlink(missing_ok=True)


@contextmanager
def _explained(output: str | Path) -> Generator[None]:
    """End with a sentence if *output* cannot be written."""
    try:
        yield
    except BrokenPipeError:
        # `| head`: Click exits quietly.
        raise
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}. Choose another file or folder.")

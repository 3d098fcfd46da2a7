"""`app db export`: the content of the file and its consistency. No file is replaced or left incomplete."""

import asyncio
import errno
import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Engine,
    Executable,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    event,
    text,
)
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner, Result

from app.cli import cli
from app.settings import Settings

METADATA = MetaData()
PARCELS = Table(
    "export_parcels",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(20)),
    Column("sent_at", DateTime(timezone=True)),
    Column("key", LargeBinary),
    Column("weight", Float),
    Column("price", Numeric(8, 2)),
    Column("labels", JSON),
)
"""A table without a model, with a value of every kind."""
STAMPS = Table("export_stamps", METADATA, Column("id", Integer, primary_key=True))
PARCEL: dict[str, Any] = {
    "id": 1,
    "name": "Zoë",
    "sent_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "key": b"\0\xff",
    "weight": float("inf"),
    "price": 1.5,
    "labels": {"fragile": [True, None]},
}

type Export = Callable[..., Result]


@pytest.fixture
def tables(database_url: str) -> Iterator[str]:
    """The URL of a database with a parcel and a stamp. Others can write to it while the export reads."""

    async def change(function: Callable[..., None]) -> None:
        engine = create_async_engine(database_url)
        async with engine.begin() as connection:
            await connection.run_sync(function)
        await engine.dispose()

    if database_url.startswith("sqlite"):
        execute(database_url, text("PRAGMA journal_mode = WAL"))
    asyncio.run(change(METADATA.create_all))
    execute(database_url, PARCELS.insert().values(PARCEL), STAMPS.insert().values(id=1))
    yield database_url
    asyncio.run(change(METADATA.drop_all))


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Export:
    """`export("users", to="-")`: run the command in this process, on the database of `tables`."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("SECRET_KEY", "0123456789abcdef" * 4)
    monkeypatch.setenv("MAIL_BACKEND", "memory")
    if "tables" in request.fixturenames:
        monkeypatch.setenv("DATABASE_URL", request.getfixturevalue("tables"))

    def run(*tables: str, to: str | Path) -> Result:
        return CliRunner().invoke(cli, ["db", "export", *tables, "--output", str(to)])

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    return folder


def execute(url: str, *statements: Executable) -> None:
    async def run() -> None:
        engine = create_async_engine(url)
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(statement)
        await engine.dispose()

    asyncio.run(run())


def lines(written: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.splitlines()]


def refusal(result: Result) -> str:
    """The command's error message."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr


# What is exported


def test_rows_are_exported_as_the_database_stores_them(export: Export, tables: str, folder: Path):
    result = export("export_parcels", to=folder / "parcels.jsonl")

    header, row = lines((folder / "parcels.jsonl").read_text())
    offset = "" if tables.startswith("sqlite") else "+00:00"
    assert result.stdout == "Exported 1 row of export_parcels.\n"
    assert list(header) == ["table", "columns"]
    assert list(header["columns"]) == list(PARCEL)
    assert header["columns"]["name"] == "VARCHAR(20)"
    assert row == {
        "table": "export_parcels",
        "row": {
            "id": 1,
            "name": "Zoë",
            "sent_at": f"2026-01-02T03:04:05{offset}",
            "key": "AP8=",
            "weight": "inf",
            "price": "1.50",
            "labels": {"fragile": [True, None]},
        },
    }


def test_several_tables_are_in_one_file(export: Export, tables: str, folder: Path):
    export("export_stamps", "export_parcels", "export_stamps", to=folder / "all.jsonl")

    written = lines((folder / "all.jsonl").read_text())
    assert [(each["table"], "row" in each) for each in written] == [
        ("export_stamps", False),
        ("export_stamps", True),
        ("export_parcels", False),
        ("export_parcels", True),
    ]


def test_an_empty_table_has_its_columns(export: Export, tables: str, folder: Path):
    execute(tables, STAMPS.delete())

    export("export_stamps", to=folder / "stamps.jsonl")

    assert lines((folder / "stamps.jsonl").read_text()) == [
        {"table": "export_stamps", "columns": {"id": "INTEGER"}}
    ]


def test_rows_written_during_the_export_are_not_in_the_file(export: Export, tables: str, folder: Path):
    """All tables are exported as of one moment. Otherwise a row could refer to a missing row."""

    def write(connection: object, cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT") and "FROM export_stamps" in statement:
            with ThreadPoolExecutor(1) as pool:
                pool.submit(execute, tables, STAMPS.insert().values(id=2)).result()

    event.listen(Engine, "before_cursor_execute", write)
    try:
        first = export("export_parcels", "export_stamps", to=folder / "first.jsonl")
    finally:
        event.remove(Engine, "before_cursor_execute", write)
    second = export("export_stamps", to=folder / "second.jsonl")

    assert first.stdout == "Exported 1 row of export_parcels, 1 row of export_stamps.\n"
    assert second.stdout == "Exported 2 rows of export_stamps.\n"


def test_standard_output_contains_only_rows(export: Export, tables: str):
    result = export("export_stamps", to="-")

    assert lines(result.stdout)[1] == {"table": "export_stamps", "row": {"id": 1}}
    assert result.stderr == "Exported 1 row of export_stamps.\n"


# The file


def test_only_the_owner_can_read_the_file(export: Export, tables: str, folder: Path):
    export("export_stamps", to=folder / "stamps.jsonl")

    (file,) = folder.iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("stamps.jsonl", 0o600)


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_a_file_is_not_overwritten(export: Export, tables: str, folder: Path, kind: str):
    file = folder / "stamps.jsonl"
    if kind == "file":
        file.write_text("mine")
    else:
        file.symlink_to(folder / "nothing")

    sentence = refusal(export("export_stamps", to=file))

    assert "stamps.jsonl already exists, and existing files are not overwritten" in sentence
    assert [each.name for each in folder.iterdir()] == ["stamps.jsonl"]
    assert kind != "file" or file.read_text() == "mine"


def test_a_file_created_during_the_export_is_not_overwritten(
    export: Export, tables: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    file = folder / "stamps.jsonl"
    monkeypatch.setattr(os, "fsync", lambda number: file.write_text("mine"))

    sentence = refusal(export("export_stamps", to=file))

    assert "stamps.jsonl cannot be written: File exists. Choose another" in sentence
    assert ([each.name for each in folder.iterdir()], file.read_text()) == (["stamps.jsonl"], "mine")


def test_a_full_disk_leaves_nothing(
    export: Export, tables: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)

    sentence = refusal(export("export_stamps", to=folder / "stamps.jsonl"))

    assert "stamps.jsonl cannot be written: No space left on device. Choose another" in sentence
    assert list(folder.iterdir()) == []


def test_a_missing_folder_is_named(export: Export, tables: str, folder: Path):
    sentence = refusal(export("export_stamps", to=folder / "nowhere" / "stamps.jsonl"))

    assert "nowhere/stamps.jsonl cannot be written: No such file or directory." in sentence


# What cannot be exported


def test_a_missing_table_is_named(export: Export, tables: str, folder: Path):
    sentence = refusal(export("export_stamps", "export_stumps", to=folder / "stamps.jsonl"))

    assert "The database has no table export_stumps. `uv run app db tables` lists the tables." in sentence
    assert list(folder.iterdir()) == []


def test_a_value_that_cannot_be_read_is_named(export: Export, folder: Path, monkeypatch: pytest.MonkeyPatch):
    database = folder.parent / "app.db"
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{database}")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE parcels (sent_at DATETIME)")
        connection.execute("INSERT INTO parcels VALUES ('2026-01-02 03:04:05'), ('soon')")

    sentence = refusal(export("parcels", to=folder / "parcels.jsonl"))

    assert sentence.startswith("A row in parcels cannot be read: ")
    assert "'soon'" in sentence
    assert list(folder.iterdir()) == []

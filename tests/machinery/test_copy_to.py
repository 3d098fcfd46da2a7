"""`app db copy-to`: in both directions, either all data arrives unchanged or none does."""

import asyncio
import json
import re
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy import make_url, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner, Result

from app.cli import cli, copying
from app.cli.database import upgrade_to_heads
from app.clock import UTCDateTime
from app.settings import Settings
from app.users.models import User
from tests.conftest import make_settings

METADATA = sa.MetaData()
PARCELS = sa.Table(
    "copy_parcels",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("parent_id", sa.ForeignKey("copy_parcels.id")),
    sa.Column("name", sa.String(20)),
    sa.Column("is_fragile", sa.Boolean),
    sa.Column("sent_at", UTCDateTime),
    sa.Column("day", sa.Date),
    sa.Column("hour", sa.Time),
    sa.Column("lasts", sa.Interval),
    sa.Column("key", sa.LargeBinary),
    sa.Column("weight", sa.Float),
    sa.Column("price", sa.Numeric(8, 2)),
    sa.Column("labels", sa.JSON),
    sa.Column("size", sa.Enum("small", "large", name="copy_size")),
    sa.Column("public_id", sa.Uuid),
)
"""A table without a model, with a value of every kind."""
INDEXED = sa.Table(
    "copy_notes",
    METADATA,
    sa.Column("name", sa.String(10), primary_key=True),
    sa.Column("labels", sa.JSON().with_variant(JSONB, "postgresql")),
)
FULL: dict[str, Any] = {
    "id": 1,
    # The row with this id is written later.
    "parent_id": 2,
    "name": "Zoë 🦅",
    "is_fragile": True,
    "sent_at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    "day": date(2026, 1, 2),
    "hour": time(3, 4, 5),
    "lasts": timedelta(days=400, seconds=1),
    "key": b"\0\xff",
    "weight": 0.1,
    "price": Decimal("1.50"),
    "labels": {"ü": [True, None, 1.5, "x"]},
    "size": "large",
    "public_id": UUID("8d7f0fd5-55a8-4f3f-a4f3-3f4bb7c5d5e1"),
}
EMPTY: dict[str, Any] = dict.fromkeys(FULL) | {"id": 2, "labels": sa.null()}
NULLS: dict[str, Any] = dict.fromkeys(FULL) | {"id": 7, "is_fragile": False, "labels": sa.JSON.NULL}

type CopyTo = Callable[..., Result]
type MakeDatabase = Callable[[str], str]


def run(url: str, *statements: Any) -> list[sa.Row[Any]]:
    """Execute *statements*, and return the rows of the last one."""

    async def execute() -> list[sa.Row[Any]]:
        engine = create_async_engine(url)
        try:
            async with engine.begin() as connection:
                for each in statements:
                    if callable(each):
                        await connection.run_sync(each)
                    else:
                        result = await connection.execute(each)
            return list(result) if result.returns_rows else []
        finally:
            await engine.dispose()

    return asyncio.run(execute())


@pytest.fixture(scope="module")
def server(database_url: str) -> Callable[[str], None]:
    """Runs a statement on the server, outside a transaction."""

    def execute(statement: str) -> None:
        async def send() -> None:
            engine = create_async_engine(database_url, isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                await connection.execute(text(statement))
            await engine.dispose()

        asyncio.run(send())

    return execute


@pytest.fixture(scope="module")
def prepared(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, server: Callable[[str], None]
) -> Iterator[dict[str, str]]:
    """The URLs of migrated databases with the two tables, by kind: PostgreSQL only if there is a server."""
    urls = {"sqlite": f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('prepared') / 'app.db'}"}
    if not database_url.startswith("sqlite"):
        template = make_url(database_url).set(database=f"copy_{uuid4().hex[:12]}")
        urls["postgresql"] = template.render_as_string(hide_password=False)
    for url in urls.values():
        migrate(make_settings(database_url=url))
    yield urls
    if "postgresql" in urls:
        server(f"DROP DATABASE {make_url(urls['postgresql']).database} WITH (FORCE)")


def migrate(settings: Settings) -> None:
    """Migrate, and add the two tables as if the project's migrations had created them."""
    upgrade_to_heads(settings)
    run(settings.database_url.get_secret_value(), METADATA.create_all, text("SELECT 1"))


@pytest.fixture
def make_database(
    prepared: dict[str, str], server: Callable[[str], None], tmp_path: Path
) -> Iterator[MakeDatabase]:
    """`make_database("postgresql")`: the URL of a copy of `prepared`."""
    made: list[str] = []

    def make(kind: str) -> str:
        template = make_url(prepared[kind])
        if kind == "sqlite":
            file = tmp_path / f"{uuid4().hex[:8]}.db"
            file.write_bytes(Path(template.database or "").read_bytes())
            return f"sqlite+aiosqlite:///{file}"
        made.append(f"copy_{uuid4().hex[:12]}")
        server(f"CREATE DATABASE {made[-1]} TEMPLATE {template.database}")
        return template.set(database=made[-1]).render_as_string(hide_password=False)

    yield make
    for name in made:
        server(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def kind(database_url: str) -> str:
    """The kind of the new database: the one that the tests use. The old database is always SQLite."""
    return "sqlite" if database_url.startswith("sqlite") else "postgresql"


@pytest.fixture
def old(make_database: MakeDatabase) -> str:
    """A database with a user and rows in two tables without a model."""
    url = make_database("sqlite")
    run(
        url,
        sa.insert(User).values(email="ada@example.com", hashed_password="x"),
        PARCELS.insert().values(EMPTY),
        PARCELS.insert().values(FULL),
        PARCELS.insert().values(NULLS),
        INDEXED.insert().values(name="b", labels={"z": 1, "a": 2}),
        INDEXED.insert().values(name="Ä", labels=[]),
    )
    return url


@pytest.fixture
def new(kind: str, make_database: MakeDatabase) -> str:
    """A migrated database without rows."""
    return make_database(kind)


@pytest.fixture
def copy_to(monkeypatch: pytest.MonkeyPatch) -> CopyTo:
    """`copy_to(old, new)`: run the command in this process."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("SECRET_KEY", "0123456789abcdef" * 4)
    monkeypatch.setenv("MAIL_BACKEND", "memory")
    monkeypatch.setattr("app.cli.database_copy.upgrade_to_heads", migrate)

    def run(old: str, *arguments: str) -> Result:
        monkeypatch.setenv("DATABASE_URL", old)
        return CliRunner().invoke(cli, ["db", "copy-to", *arguments])

    return run


def refusal(result: Result) -> str:
    """The command's error message."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return result.stderr


def table_of(result: Result) -> dict[str, tuple[str, str]]:
    """The rows and the checksum of each table."""
    assert result.exit_code == 0, result.output
    found = re.findall(r"^(\w+) +([\d,]+)  ([0-9a-f]{16})$", result.stdout, re.MULTILINE)
    return {name: (rows, checksum) for name, rows, checksum in found}


def is_empty(url: str) -> bool:
    return not run(url, sa.select(User.id)) and not run(url, PARCELS.select())


# What is copied


def test_every_value_arrives(copy_to: CopyTo, old: str, new: str):
    result = copy_to(old, new)

    assert result.exit_code == 0, result.output
    for table in (PARCELS, INDEXED, User.__table__):
        rows = [sorted(run(url, table.select()), key=lambda row: row[0]) for url in (old, new)]
        assert rows[0] == rows[1]
        assert rows[0]
    [full, *_] = run(new, PARCELS.select().where(PARCELS.c.id == 1))
    assert full._asdict() == FULL


@pytest.fixture
def on_interrupt() -> Iterator[Callable[[Any], None]]:
    """`on_interrupt(handler)` sets what Ctrl+C does, until the end of the test."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("handler", "during"),
    [(signal.default_int_handler, signal.SIG_DFL), (signal.SIG_IGN, signal.SIG_IGN)],
    ids=["usual", "ignored"],
)
def test_ctrl_c_ends_the_copy_at_once(
    copy_to: CopyTo,
    old: str,
    new: str,
    on_interrupt: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
    handler: Any,
    during: Any,
):
    """asyncpg may never return from a cancelled `executemany`."""
    on_interrupt(handler)
    handlers = list[Any]()
    copy_all = copying.copy_all

    async def watched(*arguments: Any) -> Any:
        handlers.append(signal.getsignal(signal.SIGINT))
        return await copy_all(*arguments)

    monkeypatch.setattr(copying, "copy_all", watched)

    copy_to(old, new)
    handlers.append(signal.getsignal(signal.SIGINT))

    assert handlers == [during, handler]


def test_json_null_is_not_null(copy_to: CopyTo, old: str, new: str):
    copy_to(old, new)

    is_null = sa.select(PARCELS.c.id, PARCELS.c.labels.is_(sa.null())).order_by(PARCELS.c.id)
    assert [tuple(row) for row in run(new, is_null)] == [(1, False), (2, True), (7, False)]


def test_copying_back_keeps_the_checksums(copy_to: CopyTo, old: str, new: str, make_database: MakeDatabase):
    """Data copied to PostgreSQL and back has the same checksums."""
    there = copy_to(old, new)
    back = make_database("sqlite")

    again = copy_to(new, back)

    assert table_of(again) == table_of(there)
    assert run(back, PARCELS.select().order_by("id")) == run(old, PARCELS.select().order_by("id"))
    with closing(sqlite3.connect(make_url(back).database or "")) as connection:
        [stored] = connection.execute("SELECT labels FROM copy_parcels WHERE id = 1").fetchone()
    assert json.loads(stored) == FULL["labels"]


def test_whole_seconds_compare_as_before(copy_to: CopyTo, old: str, new: str, make_database: MakeDatabase):
    """SQLite compares times as text, so the copy must have the format that the model writes."""
    whole = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    run(old, sa.update(User).values(created_at=whole))
    copy_to(old, new)
    back = make_database("sqlite")
    copy_to(new, back)

    for url in (new, back):
        assert run(url, sa.select(User.email).where(User.created_at == whole)) == [("ada@example.com",)]
        assert run(url, sa.select(User.email).where(User.created_at > whole)) == []


def test_new_rows_get_ids_after_the_copied_ones(copy_to: CopyTo, old: str, new: str):
    copy_to(old, new)

    [row] = run(new, PARCELS.insert().values(name="next").returning(PARCELS.c.id))

    assert row.id == 8


def test_foreign_keys_are_the_same_after_the_copy(copy_to: CopyTo, old: str, new: str):
    copy_to(old, new)

    assert foreign_keys(old) == foreign_keys(new)
    assert foreign_keys(new)["user_sessions"]


def foreign_keys(url: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def read(connection: sa.Connection) -> None:
        inspector = sa.inspect(connection)
        for name in ("copy_parcels", "user_sessions"):
            keys = inspector.get_foreign_keys(name)
            found[name] = [(each["constrained_columns"], each["options"]) for each in keys]

    run(url, read, text("SELECT 1"))
    return found


def test_many_rows_take_several_batches(copy_to: CopyTo, old: str, new: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(copying, "_BATCH", 2)

    result = copy_to(old, new)

    assert result.exit_code == 0, result.output
    assert len(run(new, PARCELS.select())) == 3


def test_rows_of_migrations_are_not_duplicated(
    copy_to: CopyTo, old: str, new: str, monkeypatch: pytest.MonkeyPatch
):
    def insert(settings: Settings) -> None:
        run(new, INDEXED.insert().values(name="b", labels={}))

    monkeypatch.setattr("app.cli.database_copy.upgrade_to_heads", insert)

    assert copy_to(old, new).exit_code == 0
    assert len(run(new, INDEXED.select())) == 2


def test_a_missing_database_is_created_and_migrated(copy_to: CopyTo, old: str, new: str, kind: str, server):
    url = make_url(new)
    if kind == "sqlite":
        Path(url.database or "").unlink()
    else:
        server(f"DROP DATABASE {url.database}")

    assert copy_to(old, new).exit_code == 0
    assert run(new, text("SELECT * FROM alembic_version ORDER BY 1")) == run(
        old, text("SELECT * FROM alembic_version ORDER BY 1")
    )
    assert kind != "sqlite" or stat.S_IMODE(Path(url.database or "").stat().st_mode) == 0o600


def test_a_table_lists_what_was_copied(copy_to: CopyTo, old: str, new: str):
    result = copy_to(old, new)

    rows = table_of(result)
    assert {"users", "copy_parcels", "copy_notes"} < {*rows}
    assert "alembic_version" not in rows
    assert rows["copy_parcels"][0] == "3"
    assert rows["user_sessions"] == ("0", "0" * 16)
    assert "Copied 6 rows to " in result.stdout


def test_the_url_can_be_in_the_environment_and_its_password_is_not_shown(
    copy_to: CopyTo, old: str, new: str, monkeypatch: pytest.MonkeyPatch
):
    url = make_url(new)
    if url.get_backend_name() == "postgresql":
        url = url.set(password="s3cret")
    monkeypatch.setenv("TARGET_DATABASE_URL", url.render_as_string(hide_password=False))

    result = copy_to(old)

    assert result.exit_code == 0, result.output
    assert "s3cret" not in result.output
    assert len(run(new, PARCELS.select())) == 3


# When nothing is copied


def test_a_database_with_data_is_refused(copy_to: CopyTo, old: str, new: str):
    copy_to(old, new)
    run(old, PARCELS.delete())

    sentence = refusal(copy_to(old, new))

    assert "has data in the table copy_notes. Choose a database without data." in sentence
    assert len(run(new, PARCELS.select())) == 3


def test_the_database_itself_is_refused(copy_to: CopyTo, old: str):
    assert "has data" in refusal(copy_to(old, old))


def test_nothing_is_copied_if_a_row_cannot_be_read(copy_to: CopyTo, old: str, new: str):
    run(old, text("UPDATE copy_parcels SET sent_at = 'soon' WHERE id = 7"))

    sentence = refusal(copy_to(old, new))

    assert "Nothing was copied to " in sentence
    assert "A row in copy_parcels cannot be read" in sentence
    assert is_empty(new)


def test_nothing_is_copied_if_rows_differ(
    copy_to: CopyTo, old: str, new: str, monkeypatch: pytest.MonkeyPatch
):
    """The cause of the difference does not matter."""
    adapted = copying._adapted
    monkeypatch.setattr(
        copying, "_adapted", lambda value, kind: "Eve" if value == FULL["name"] else adapted(value, kind)
    )

    sentence = refusal(copy_to(old, new))

    assert "The rows in copy_parcels differ in the copy: 3 with the checksum" in sentence
    assert is_empty(new)


def test_nothing_is_copied_if_a_row_refers_to_a_missing_row(copy_to: CopyTo, old: str, new: str):
    run(old, text("UPDATE copy_parcels SET parent_id = 99 WHERE id = 7"))

    assert "A row in copy_parcels refers to a row" in refusal(copy_to(old, new))
    assert is_empty(new)


def test_a_table_that_no_migration_creates_is_named(copy_to: CopyTo, old: str, new: str):
    run(old, text("CREATE TABLE copy_by_hand (id INTEGER)"))

    assert "The copy would lack copy_by_hand, which no migration creates." in refusal(copy_to(old, new))
    assert is_empty(new)


def test_a_database_that_is_not_migrated_is_refused(copy_to: CopyTo, old: str, new: str):
    run(old, text("DELETE FROM alembic_version WHERE version_num LIKE 'users_%'"))

    assert "The database lacks migrations (users_" in refusal(copy_to(old, new))


@pytest.mark.parametrize("url", ["mysql://db.example.org/shop", "postgresql+asyncpg://", "copy.db"])
def test_another_kind_of_url_is_refused(copy_to: CopyTo, old: str, url: str):
    assert "DATABASE_URL: must be sqlite+aiosqlite:///path" in refusal(copy_to(old, url))


def test_an_unreachable_server_is_named_without_the_password(copy_to: CopyTo, old: str):
    sentence = refusal(copy_to(old, "postgresql+asyncpg://ada:s3cret@127.0.0.1:1/shop"))

    assert "Nothing was copied to postgresql+asyncpg://ada:***@127.0.0.1:1/shop." in sentence
    assert "s3cret" not in sentence


# Only on PostgreSQL


def test_nothing_is_copied_if_a_text_is_too_long_for_postgresql(
    copy_to: CopyTo, old: str, new: str, kind: str
):
    """SQLite accepts longer strings."""
    if kind == "sqlite":
        pytest.skip("SQLite has no limit")
    run(old, text("UPDATE copy_parcels SET name = 'a name of more than twenty characters' WHERE id = 7"))

    sentence = refusal(copy_to(old, new))

    assert "A row in copy_parcels was rejected" in sentence
    assert "value too long" in sentence
    assert "more than twenty" not in sentence
    assert is_empty(new)

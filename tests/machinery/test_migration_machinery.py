"""The template's migrations: new revisions, SQLite's copying of tables, and data from the first release."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Table,
    event,
    false,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.ext.asyncio import create_async_engine

from app.database import Base

PROJECT = Path(__file__).parent.parent


def execute[T](url: str, action: Callable[[Connection], T], **options: Any) -> T:
    """The result of calling *action* with a connection to the database at *url*."""

    async def run() -> T:
        engine = create_async_engine(url, **options)
        async with engine.begin() as connection:
            result = await connection.run_sync(action)
        await engine.dispose()
        return result

    return asyncio.run(run())


def tables(url: str) -> set[str]:
    return execute(url, lambda connection: set(inspect(connection).get_table_names()))


@pytest.fixture
def empty_database(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database of the kind that the other tests use."""
    if database_url.startswith("sqlite"):
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    name = f"test_{uuid4().hex[:12]}"
    on_server = {"isolation_level": "AUTOCOMMIT"}
    execute(database_url, lambda connection: connection.execute(text(f"CREATE DATABASE {name}")), **on_server)
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    execute(database_url, lambda connection: connection.execute(text(f"DROP DATABASE {name}")), **on_server)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project to write revisions into."""
    copy = tmp_path / "project"
    for folder in ("app", "migrations"):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", copy)
    return copy


@pytest.fixture
def config(project: Path, empty_database: str) -> Config:
    """Alembic on the copy of the project and the empty database."""
    config = Config(toml_file=project / "pyproject.toml")
    config.attributes["database_url"] = empty_database
    return config


@pytest.fixture
def new_table() -> Iterator[Table]:
    """A model without a revision."""
    table = Table("orders_of_a_test", Base.metadata, Column("id", Integer, primary_key=True))
    yield table
    Base.metadata.remove(table)


def revise(config: Config, message: str, **options: Any) -> Script:
    """Write a revision, as `alembic revision -m "..."` does."""
    script = command.revision(config, message, **options)
    assert isinstance(script, Script)
    return script


# The revisions


def test_the_sql_can_be_printed_before_it_runs(config: Config, empty_database: str) -> None:
    config.output_buffer = StringIO()

    # Only the features' revisions are printed: for anything beyond a new column, SQLite needs the database.
    command.upgrade(config, "users@head", sql=True)

    assert "CREATE TABLE users" in config.output_buffer.getvalue()
    assert tables(empty_database) == set()


# New revisions


@pytest.mark.usefixtures("new_table")
def test_a_new_revision_can_be_applied_and_reverted(config: Config, empty_database: str) -> None:
    command.upgrade(config, "heads")
    revise(config, "add orders", autogenerate=True)

    command.upgrade(config, "heads")
    command.check(config)
    with_orders = tables(empty_database)
    command.downgrade(config, "app@-1")

    assert with_orders - tables(empty_database) == {"orders_of_a_test"}


def test_the_default_of_a_boolean_is_written_for_every_database(
    config: Config, new_table: Table, project: Path
) -> None:
    new_table.append_column(Column("is_paid", Boolean, nullable=False, server_default=false()))
    command.upgrade(config, "heads")

    script = revise(config, "add orders", autogenerate=True)

    assert "server_default=sa.false()" in Path(script.path).read_text("utf-8")
    command.upgrade(config, "heads")


def test_a_revision_written_by_hand_continues_your_own_branch(config: Config, project: Path) -> None:
    before = ScriptDirectory.from_config(config).get_revision("app@head")

    script = revise(config, "fill in the countries")

    assert Path(script.path).parent == project / "migrations" / "versions"
    assert script.down_revision == before.revision


def test_your_branch_depends_on_the_features_it_uses(config: Config) -> None:
    first = ScriptDirectory.from_config(config).get_revision("app_0001")

    assert first.dependencies == ("users_0001", "mail_0001")


def test_a_new_revision_depends_on_new_feature_revisions(config: Config) -> None:
    revise(config, "up to date")
    revise(config, "shipped", head="users@head", rev_id="users_9999")

    after_the_update = revise(config, "mine")
    one_more = revise(config, "mine again")

    assert after_the_update.dependencies == "users_9999"
    assert one_more.dependencies is None


def test_a_feature_keeps_its_revisions_in_its_own_folder(config: Config, project: Path) -> None:
    script = revise(config, "shipped", head="users@head", rev_id="users_9999")

    assert Path(script.path).parent == project / "app" / "users" / "migrations"
    assert ScriptDirectory.from_config(config).get_revision("users@head").revision == "users_9999"


def test_no_revision_is_written_when_nothing_has_changed(config: Config, project: Path) -> None:
    config.stdout = StringIO()
    command.upgrade(config, "heads")
    before = sorted(project.rglob("*.py"))

    command.revision(config, "nothing", autogenerate=True)

    assert sorted(project.rglob("*.py")) == before
    assert "No revision was written" in config.stdout.getvalue()


# SQLite changes a table by copying it


@pytest.fixture
def foreign_keys_everywhere() -> Iterator[None]:
    """Every connection of this process to SQLite enforces foreign keys."""

    def enforce(connection: Any, record: Any) -> None:
        if "sqlite" in type(connection).__module__:
            connection.cursor().execute("PRAGMA foreign_keys = ON")

    event.listen(Engine, "connect", enforce)
    yield
    event.remove(Engine, "connect", enforce)


REBUILD_USERS = """
revision = "app_9999"
down_revision = "{head}"
branch_labels = None
depends_on = None

from alembic import op
import sqlalchemy as sa


def upgrade():
    with op.batch_alter_table("users", recreate="auto") as users:
        users.alter_column("email", existing_type=sa.String(320), type_=sa.String(300))
"""


@pytest.fixture
def orders_of_users() -> Iterator[Table]:
    """A table whose rows are deleted with their users."""
    user = ForeignKey("users.id", ondelete="CASCADE")
    table = Table("orders_of_a_test", Base.metadata, Column("user_id", user, primary_key=True))
    yield table
    Base.metadata.remove(table)


@pytest.mark.usefixtures("foreign_keys_everywhere")
def test_changing_a_table_keeps_the_rows_that_reference_it(
    config: Config, project: Path, empty_database: str, orders_of_users: Table
) -> None:
    command.upgrade(config, "heads")
    head = ScriptDirectory.from_config(config).get_revision("app@head").revision
    (project / "migrations" / "versions" / "rebuild.py").write_text(REBUILD_USERS.format(head=head))
    user = {"id": "1", "email": "ada@example.com", "hashed_password": "", "is_active": True}
    rest = {"is_verified": True, "is_superuser": False, "password_version": 0}

    def insert(connection: Connection) -> None:
        orders_of_users.create(connection)
        connection.execute(Base.metadata.tables["users"].insert().values(user | rest))
        connection.execute(orders_of_users.insert().values(user_id="1"))

    execute(empty_database, insert)

    command.upgrade(config, "heads")

    assert execute(empty_database, lambda connection: len(connection.execute(orders_of_users.select()).all()))


# Upgrading from one release to the next, with existing rows

ACCOUNTS = [
    {
        "id": "1",
        "email": "ada@example.com",
        "hashed_password": "$argon2id$ada",
        "is_active": True,
        "is_verified": True,
        "is_superuser": True,
        "password_version": 3,
        "created_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "updated_at": datetime(2026, 2, 3, tzinfo=UTC),
    },
    {
        "id": "2",
        "email": "eve@example.com",
        "hashed_password": "$argon2id$eve",
        "is_active": False,
        "is_verified": False,
        "is_superuser": False,
        "password_version": 0,
        "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "updated_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    },
]


def stored_accounts(url: str) -> list[dict[str, Any]]:
    """The accounts, with the columns of the first release."""
    columns = [Base.metadata.tables["users"].c[name] for name in ACCOUNTS[0]]
    query = select(*columns).order_by("id")
    return execute(url, lambda connection: [dict(row) for row in connection.execute(query).mappings()])


@pytest.fixture
def first_release(config: Config, empty_database: str, orders_of_users: Table) -> str:
    """A database of the first release, with accounts and a custom table."""
    command.upgrade(config, "users_0001")

    def fill(connection: Connection) -> None:
        orders_of_users.create(connection)
        columns = [Column(name, Base.metadata.tables["users"].c[name].type) for name in ACCOUNTS[0]]
        connection.execute(Table("users", MetaData(), *columns).insert(), ACCOUNTS)
        connection.execute(orders_of_users.insert(), [{"user_id": "1"}, {"user_id": "2"}])

    execute(empty_database, fill)
    return empty_database


def orders(url: str) -> list[str]:
    query = text("SELECT user_id FROM orders_of_a_test ORDER BY user_id")
    return execute(url, lambda connection: list(connection.execute(query).scalars()))


@pytest.mark.usefixtures("foreign_keys_everywhere")
def test_accounts_of_the_first_release_are_kept(config: Config, first_release: str) -> None:
    command.upgrade(config, "users@head")

    new = text("SELECT pending_email, delete_after, failed_logins, must_reset_password FROM users")
    assert stored_accounts(first_release) == ACCOUNTS
    assert orders(first_release) == ["1", "2"]
    added = execute(first_release, lambda connection: connection.execute(new).all())
    assert added == [(None, None, 0, 0)] * 2


@pytest.mark.usefixtures("foreign_keys_everywhere")
def test_accounts_are_kept_by_downgrades(config: Config, first_release: str) -> None:
    """Only data that the older release cannot store is lost."""
    command.upgrade(config, "users@head")
    now, later = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    login = {"id": "s", "user_id": "1", "kind": "bearer", "secret_hash": "x", "replaced_tokens": "[]"}
    times = {"created_at": now, "authenticated_at": now, "last_seen_at": now, "expires_at": later}
    client = {"ip_address": "", "user_agent": ""}
    row = login | times | client | {"password_version": 3}
    insert = Base.metadata.tables["user_sessions"].insert().values(row)
    execute(first_release, lambda connection: connection.execute(insert))

    command.downgrade(config, "users_0001")
    back = stored_accounts(first_release), orders(first_release), tables(first_release)
    command.upgrade(config, "users@head")

    assert back[:2] == (ACCOUNTS, ["1", "2"])
    assert not back[2] & {"user_sessions", "audit_events"}
    assert stored_accounts(first_release) == ACCOUNTS
    assert orders(first_release) == ["1", "2"]


# The outbox, with an e-mail of the first release

MAIL = {
    "id": 7,
    "message": "{}",
    "status": "dead",
    "attempts": 8,
    "next_attempt_at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    "created_at": datetime(2026, 1, 2, tzinfo=UTC),
    "last_error": "refused",
}


def stored_mail(url: str) -> dict[str, Any]:
    """The only e-mail, with the columns of the first release."""
    columns = [Base.metadata.tables["mail_outbox"].c[name] for name in MAIL]
    found = execute(url, lambda connection: dict(connection.execute(select(*columns)).mappings().one()))
    times = {name: found[name].replace(tzinfo=UTC) for name in ("next_attempt_at", "created_at")}
    return found | times


@pytest.mark.usefixtures("foreign_keys_everywhere")
def test_mails_of_the_first_release_are_kept_by_upgrade_and_downgrade(
    config: Config, empty_database: str
) -> None:
    command.upgrade(config, "mail_0001")
    columns = [Column(name, Base.metadata.tables["mail_outbox"].c[name].type) for name in MAIL]
    insert = Table("mail_outbox", MetaData(), *columns).insert().values(MAIL)
    execute(empty_database, lambda connection: connection.execute(insert))

    command.upgrade(config, "mail@head")
    forth = stored_mail(empty_database)
    new = text("SELECT user_id, subject, expires_at, unfinished FROM mail_outbox")
    added = execute(empty_database, lambda connection: tuple(connection.execute(new).one()))
    command.downgrade(config, "mail_0001")
    back = stored_mail(empty_database)

    assert (forth, back) == (MAIL, MAIL)
    assert added == (None, "", None, 0)

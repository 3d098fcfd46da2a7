"""`app import-hawkapi-users` either converts the hawkapi-users table or leaves it unchanged."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    inspect,
    make_url,
    select,
    text,
)
from typer.testing import CliRunner, Result

from app.cli import cli
from app.cli.database import revision_files, what_is_missing
from app.settings import Settings, load_settings
from app.users.models import User
from tests.conftest import OWN_REQUIRED
from tests.test_migrations import execute, tables

PROJECT = Path(__file__).parent.parent.parent
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"

type Import = Callable[..., Result]


def what_is_still_missing() -> str:
    settings = load_settings()
    return asyncio.run(what_is_missing(settings, revision_files(settings)))


def library_table(name: str, *own: Any) -> Table:
    """The table created by hawkapi-users, with custom columns."""
    time = DateTime(timezone=True)
    return Table(
        name,
        MetaData(),
        Column("id", String(36), primary_key=True),
        Column("email", String(320), unique=True, index=True, nullable=False),
        Column("hashed_password", String(255), nullable=False),
        Column("is_active", Boolean, nullable=False),
        Column("is_verified", Boolean, nullable=False),
        Column("is_superuser", Boolean, nullable=False),
        Column("password_version", Integer, nullable=False),
        Column("created_at", time, server_default=func.current_timestamp(), nullable=False),
        Column("updated_at", time, server_default=func.current_timestamp(), nullable=False),
        *own,
    )


def alembic_version() -> Table:
    return Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def account(user_id: str, email: str, **values: Any) -> dict[str, Any]:
    flags = {"is_active": True, "is_verified": False, "is_superuser": False, "password_version": 0}
    times = {
        "created_at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "updated_at": datetime(2026, 2, 3, 4, 5, 6, 789012, tzinfo=UTC),
    }
    return {"id": user_id, "email": email, "hashed_password": HASH} | flags | times | values


ACCOUNTS = [
    account("1", "ada@example.com", is_verified=True, is_superuser=True, password_version=3),
    account("2", "eve@example.com", is_active=False),
]


@pytest.fixture
def database(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a new database without tables, used by the commands."""
    name = f"test_{uuid4().hex[:12]}"
    is_sqlite = database_url.startswith("sqlite")
    file = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    url = file if is_sqlite else make_url(database_url).set(database=name).render_as_string(False)
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for variable, value in {
        **OWN_REQUIRED,
        "ENVIRONMENT": "test",
        "SECRET_KEY": "0123456789abcdef" * 4,
        "DATABASE_URL": url,
        "MAIL_BACKEND": "memory",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    if is_sqlite:
        yield url
        return
    on_server = {"isolation_level": "AUTOCOMMIT"}
    execute(database_url, lambda connection: connection.execute(text(f"CREATE DATABASE {name}")), **on_server)
    yield url
    execute(database_url, lambda connection: connection.execute(text(f"DROP DATABASE {name}")), **on_server)


@pytest.fixture
def sqlite(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a SQLite file for the commands, regardless of the database that other tests use."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    return url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project without your own migrations. Tests may add files to the copy."""
    copy = tmp_path / "project"
    for folder in ("app", "migrations"):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", copy)
    for revision in set(copy.glob("migrations/versions/*.py")) - {*copy.glob("*/*/app_0001_base.py")}:
        revision.unlink()
    monkeypatch.setattr("app.cli.database.PROJECT", copy)
    return copy


@pytest.fixture
def run_import(project: Path, database: str) -> Import:
    """`run_import("--table", "accounts")` runs the command. Without *stdin*, the confirmation is skipped."""
    return lambda *arguments, stdin="": CliRunner().invoke(
        cli, ["import-hawkapi-users", *([] if stdin else ["--yes"]), *arguments], input=stdin
    )


def create(url: str, table: Table, rows: list[dict[str, Any]]) -> None:
    """Create *table* with *rows*, as the old application would have."""

    def run(connection: Connection) -> None:
        table.create(connection)
        connection.execute(table.insert(), rows)

    execute(url, run)


def run_sql(url: str, *statements: str) -> None:
    def run(connection: Connection) -> None:
        for statement in statements:
            connection.execute(text(statement))

    execute(url, run)


def stored(url: str, table: str = "users") -> list[dict[str, Any]]:
    """The accounts, read with this application's column types."""
    columns = [Column(name, User.__table__.c[name].type) for name in ACCOUNTS[0]]
    query = select(Table(table, MetaData(), *columns)).order_by("id")
    return execute(url, lambda connection: [dict(row) for row in connection.execute(query).mappings()])


def everything(url: str) -> dict[str, Any]:
    """Tables, columns, keys, indexes and rows."""

    def read(connection: Connection) -> dict[str, Any]:
        found = inspect(connection)
        return {
            name: (
                str(found.get_columns(name)),
                [(each["name"], each["column_names"], each["unique"]) for each in found.get_indexes(name)],
                str(found.get_foreign_keys(name)),
                str(found.get_pk_constraint(name)),
                connection.execute(text(f'SELECT * FROM "{name}"')).all(),
            )
            for name in found.get_table_names()
        }

    return execute(url, read)


def revisions(url: str) -> set[str]:
    query = text("SELECT version_num FROM alembic_version")
    return execute(url, lambda connection: set(connection.execute(query).scalars()))


def refusal(result: Result) -> str:
    """The command's error message."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr


# The import


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_command_explains_itself(run_import: Import, option: str):
    result = run_import(option)

    assert result.exit_code == 0
    assert "hawkapi-users created in this database" in result.stdout


def test_wrong_settings_are_named(run_import: Import, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SECRET_KEY", "short")

    assert "SECRET_KEY: must be at least 32 characters" in refusal(run_import())


@pytest.mark.parametrize("name", ["users", "accounts", 'odd "name"'])
def test_accounts_are_imported_unchanged(run_import: Import, database: str, name: str):
    create(database, library_table(name), ACCOUNTS)

    result = run_import("--table", name)

    assert result.exit_code == 0, result.output
    assert "Accounts in it: 2." in result.stdout
    assert stored(database) == ACCOUNTS
    assert tables(database) >= {"users", "user_sessions", "alembic_version"}
    assert what_is_still_missing() == ""


def test_models_and_database_agree_after_the_import(database: str):
    """Your own migrations also run. The table is empty because they must not rely on existing accounts."""
    execute(database, library_table("accounts").create)

    imported = CliRunner().invoke(cli, ["import-hawkapi-users", "--table", "accounts", "--yes"])

    assert imported.exit_code == 0, imported.output
    check = CliRunner().invoke(cli, ["db", "check"])
    assert check.exit_code == 0, check.output


def test_keys_and_indexes_get_the_names_that_later_migrations_use(run_import: Import, database: str):
    create(database, library_table("accounts"), ACCOUNTS)

    run_import("--table", "accounts")

    indexes = execute(database, lambda connection: inspect(connection).get_indexes("users"))
    key = execute(database, lambda connection: inspect(connection).get_pk_constraint("users"))
    assert [(each["name"], each["column_names"]) for each in indexes if each["unique"]] == [
        ("ix_users_email", ["email"])
    ]
    # SQLite does not assign a name to a key that was created without one.
    assert key["name"] == ("pk_users" if database.startswith("postgresql") else None)


def test_foreign_keys_to_the_accounts_follow_the_table(run_import: Import, database: str):
    accounts = library_table("accounts")
    owner = ForeignKey("accounts.id", ondelete="CASCADE")
    orders = Table("old_orders", accounts.metadata, Column("owner_id", owner, primary_key=True))
    create(database, accounts, ACCOUNTS)
    create(database, orders, [{"owner_id": "1"}, {"owner_id": "2"}])

    result = run_import("--table", "accounts")

    [key] = execute(database, lambda connection: inspect(connection).get_foreign_keys("old_orders"))
    assert (key["referred_table"], key["options"]) == ("users", {"ondelete": "CASCADE"})
    assert len(everything(database)["old_orders"][-1]) == 2
    assert "keeps your own tables: old_orders." in result.stdout


def test_your_own_columns_are_kept_and_named(run_import: Import, database: str):
    own = Column("old_nickname", String(40)), Column("old_tenant", String(36), nullable=False)
    create(database, library_table("users", *own), [account("1", "ada@example.com", old_tenant="t")])

    result = run_import()

    assert "keeps your own columns: old_nickname, old_tenant." in result.stdout
    assert "gives these columns a value: old_tenant." in result.stdout
    assert "t" in everything(database)["users"][-1][0]


def test_imported_times_match_in_queries(run_import: Import, database: str):
    """SQLite stores times as text. The library writes a fraction even for whole seconds (05.000000)."""
    create(database, library_table("users"), ACCOUNTS)
    same_time = select(func.count()).where(User.__table__.c.created_at == ACCOUNTS[0]["created_at"])

    run_import()

    assert execute(database, lambda connection: connection.scalar(same_time)) == 2


def test_email_addresses_are_normalized(run_import: Import, database: str):
    rows = [account("1", "Ada@bücher.example"), account("2", "eve@a.org")]
    create(database, library_table("users"), rows)

    result = run_import()

    assert [each["email"] for each in stored(database)] == ["ada@xn--bcher-kva.example", "eve@a.org"]
    assert "1 account (id 1) has an e-mail address that is rewritten" in result.stdout
    assert "cher" not in result.output


def test_an_unknown_password_hash_is_kept_and_named(run_import: Import, database: str):
    rows = [account("1", "ada@example.com", hashed_password="$2b$12$old"), account("2", "eve@example.com")]
    create(database, library_table("users"), rows)

    result = run_import()

    assert "1 account (id 1) has a password that hawkapi-users did not hash" in result.stdout
    assert "$2b$" not in result.output
    assert stored(database) == rows


def test_migrations_of_the_old_application_are_named_and_forgotten(run_import: Import, database: str):
    create(database, library_table("users"), ACCOUNTS)
    create(database, alembic_version(), [{"version_num": "old_0007"}])

    result = run_import()

    assert "alembic_version no longer lists old_0007" in result.stdout
    assert what_is_still_missing() == ""
    assert "old_0007" not in revisions(database)


OWN_MIGRATION = """
revision = "app_9999"
down_revision = "app_0001"
branch_labels = None
depends_on = None

from alembic import op
import sqlalchemy as sa


def upgrade():
    op.create_table("old_orders", sa.Column("owner_id", sa.String(36), primary_key=True))
"""


@pytest.fixture
def old_orders(project: Path, database: str) -> None:
    """A table that the old application created, and your own migration that creates it in a new database."""
    (project / "migrations" / "versions" / "orders.py").write_text(OWN_MIGRATION)
    orders = Table("old_orders", MetaData(), Column("owner_id", String(36), primary_key=True))
    create(database, library_table("accounts"), ACCOUNTS)
    execute(database, orders.create)


@pytest.mark.usefixtures("old_orders")
def test_your_own_migration_can_be_recorded_as_applied(run_import: Import, database: str):
    result = run_import("--table", "accounts", "--applied", "app_9999")

    assert result.exit_code == 0, result.output
    assert "recorded as applied: users_0001, app_9999." in result.stdout
    assert "app_9999" in revisions(database)
    assert what_is_still_missing() == ""
    assert "mail_outbox" in tables(database)


# Refusals


@pytest.mark.usefixtures("old_orders")
def test_a_failure_leaves_the_database_unchanged(run_import: Import, database: str):
    before = everything(database)

    sentence = refusal(run_import("--table", "accounts"))

    assert "Nothing was changed." in sentence
    assert "old_orders" in sentence
    assert "--applied" in sentence
    assert everything(database) == before


DIFFERENCES = {
    "missing column": ("ALTER TABLE users DROP COLUMN password_version", "password_version is missing"),
    "other column": ("ALTER TABLE users RENAME COLUMN is_active TO enabled", "is_active is missing"),
    "column of a later migration": ("ALTER TABLE users ADD COLUMN language TEXT", "already has language"),
    "no index": ("DROP INDEX ix_users_email", "There is no unique index whose only column is email"),
    "partial index": (
        "DROP INDEX ix_users_email; CREATE UNIQUE INDEX ix_users_email ON users (email) WHERE is_active",
        "There is no unique index whose only column is email",
    ),
    "index over more": (
        "DROP INDEX ix_users_email; CREATE UNIQUE INDEX ix_users_email ON users (email, id)",
        "There is no unique index whose only column is email",
    ),
}


@pytest.mark.parametrize(("change", "difference"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_table_that_differs_from_the_librarys_is_refused_and_left_unchanged(
    run_import: Import, database: str, change: str, difference: str
):
    create(database, library_table("users"), ACCOUNTS)
    run_sql(database, *change.split(";"))
    before = everything(database)

    sentence = refusal(run_import())

    assert "The table users differs from the one that hawkapi-users 0.1 and 0.2 create" in sentence
    assert difference in sentence
    assert everything(database) == before


def test_a_unique_constraint_does_not_replace_the_unique_index(run_import: Import, database: str):
    create(database, library_table("users", UniqueConstraint("email")), ACCOUNTS)
    run_sql(database, "DROP INDEX ix_users_email")

    assert "There is no unique index whose only column is email" in refusal(run_import())


def test_every_difference_is_listed(run_import: Import, database: str):
    table = Table(
        "users",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("email", String(100), nullable=False),
        Column("hashed_password", String(255)),
    )
    create(database, table, [{"email": "ada@example.com"}])

    sentence = refusal(run_import())

    assert "- The column id is INTEGER NOT NULL; it should be VARCHAR(36) NOT NULL.\n" in sentence
    assert "- The column email is VARCHAR(100) NOT NULL; it should be VARCHAR(320) NOT NULL.\n" in sentence
    assert "- The column hashed_password is VARCHAR(255); it should be VARCHAR(255) NOT NULL.\n" in sentence
    assert sentence.count("is missing") == 6
    assert "There is no unique index whose only column is email" in sentence


def test_a_different_primary_key_is_reported(run_import: Import, database: str):
    owner = Table("users", MetaData(), Column("email", String(320), primary_key=True))
    create(database, owner, [{"email": "ada@example.com"}])

    assert "The primary key is (email); it should be (id)." in refusal(run_import())


@pytest.mark.parametrize(
    ("other", "accounts"),
    [("ada@a.org", "1 account (id 1) has"), ("ADA@a.org", "2 accounts (ids 1, 2) have")],
)
def test_two_spellings_of_one_email_address_are_refused_without_showing_it(
    run_import: Import, database: str, other: str, accounts: str
):
    create(database, library_table("users"), [account("1", "Ada@a.org"), account("2", other)])

    result = run_import()

    assert f"{accounts} the e-mail address of another account" in refusal(result)
    assert "a.org" not in result.output


STRANGE = {
    "id": ("id = ''", "an id that is not text of 1 to 36 characters"),
    "blob": ("email = x'00'", "an e-mail address that is not text"),
    "flag": ("is_active = 'true'", "a value other than 0 or 1 in is_active"),
    "version": ("password_version = 'x'", "a password_version that is not an integer"),
    "time": ("created_at = '2026-01-02T03:04:05+00:00'", "a created_at that does not look like"),
}


@pytest.mark.parametrize(("change", "difference"), STRANGE.values(), ids=STRANGE)
def test_values_that_only_sqlite_stores_are_refused(
    run_import: Import, sqlite: str, change: str, difference: str
):
    create(sqlite, library_table("users"), ACCOUNTS)
    run_sql(sqlite, f"UPDATE users SET {change} WHERE id = '1'")

    assert f"has {difference}" in refusal(run_import())


def test_a_database_in_use_is_refused(run_import: Import, database: str, monkeypatch: pytest.MonkeyPatch):
    create(database, library_table("users"), ACCOUNTS)
    monkeypatch.setattr("app.import_hawkapi_users.revisions.LOCK_TIMEOUT", 0.1)

    def import_while_writing(connection: Connection) -> str:
        connection.execute(text("UPDATE users SET password_version = 1"))
        # The command needs its own thread, because this thread already runs an event loop.
        with ThreadPoolExecutor(1) as thread:
            return refusal(thread.submit(run_import).result())

    assert "Stop the old application" in execute(database, import_while_writing)


def test_nothing_happens_without_confirmation(run_import: Import, database: str):
    create(database, library_table("users"), ACCOUNTS)

    result = run_import(stdin="n\n")

    assert result.exit_code == 1
    assert "Only a backup can restore the old database" in result.stdout
    assert tables(database) == {"users"}


def test_the_import_runs_after_confirmation(run_import: Import, database: str):
    create(database, library_table("users"), ACCOUNTS)

    result = run_import(stdin="y\n")

    assert result.exit_code == 0, result.output
    assert what_is_still_missing() == ""


def test_check_changes_nothing(run_import: Import, database: str):
    create(database, library_table("accounts"), ACCOUNTS)

    result = run_import("--table", "accounts", "--check")

    assert result.exit_code == 0, result.output
    assert "The table accounts is renamed to users" in result.stdout
    assert tables(database) == {"accounts"}


# Wrong table, wrong database


def test_a_table_with_the_librarys_columns_is_suggested(run_import: Import, database: str):
    create(database, library_table("accounts"), ACCOUNTS)

    assert "uv run app import-hawkapi-users --table accounts" in refusal(run_import())


def test_a_database_without_such_a_table_is_refused(run_import: Import, database: str):
    create(database, Table("old_orders", MetaData(), Column("id", String(36))), [{"id": "1"}])

    assert "no other table has the library's columns. Check DATABASE_URL." in refusal(run_import())


def test_a_missing_database_is_not_created(run_import: Import, sqlite: str, tmp_path: Path):
    sentence = refusal(run_import())

    assert "Set DATABASE_URL to the old application's database." in sentence
    assert not (tmp_path / "old.db").exists()


def test_an_empty_database_is_refused(run_import: Import, database: str):
    run_sql(database, "CREATE TABLE empty (id INTEGER)", "DROP TABLE empty")

    assert "uv run app db upgrade" in refusal(run_import())


def test_a_second_table_named_users_is_refused(run_import: Import, database: str):
    create(database, library_table("accounts"), ACCOUNTS)
    execute(database, library_table("users").create)

    sentence = refusal(run_import("--table", "accounts"))

    assert (
        "accounts cannot become users, because another table has that name. Rename that one first."
        in sentence
    )


def test_a_second_import_changes_nothing_and_succeeds(run_import: Import, database: str):
    """Deployment scripts can safely run the import every time."""
    create(database, library_table("accounts"), ACCOUNTS)
    run_import("--table", "accounts")
    before = everything(database)

    result = run_import("--table", "accounts")

    assert result.exit_code == 0, result.output
    assert "uv run app db upgrade" in result.stdout
    assert everything(database) == before


def test_tables_created_before_the_import_must_be_removed_first(run_import: Import, database: str):
    create(database, library_table("accounts"), ACCOUNTS)
    CliRunner().invoke(cli, ["db", "upgrade"])

    sentence = refusal(run_import("--table", "accounts"))
    CliRunner().invoke(cli, ["db", "downgrade", "base"])
    result = run_import("--table", "accounts")

    assert "accounts in it: 0" in sentence
    assert "uv run app db downgrade base" in sentence
    assert result.exit_code == 0, result.output
    assert stored(database) == ACCOUNTS


def test_a_partly_known_migration_history_is_refused(run_import: Import, database: str):
    create(database, library_table("users"), ACCOUNTS)
    create(database, alembic_version(), [{"version_num": "mail_0001"}, {"version_num": "old_0007"}])

    sentence = refusal(run_import())

    assert "mail_0001, which this project has, and at old_0007, which it does not have" in sentence


def test_an_unknown_revision_is_named(run_import: Import, database: str):
    create(database, library_table("users"), ACCOUNTS)

    assert "app_1234" in refusal(run_import("--applied", "app_1234"))


def test_migrations_of_the_template_cannot_be_recorded_as_applied(run_import: Import, database: str):
    create(database, library_table("users"), ACCOUNTS)

    assert "users_0002 is one of the template's migrations" in refusal(run_import("--applied", "users_0002"))


# Your own tests go below; template updates never touch them.

"""`app adopt`: the table of hawkapi-users becomes this application's, or is left as it was.

Of no use, like app/cli/adopt.py, app/cli/revisions.py and app/users/adoption.py, without such a table.
"""

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
from app.cli.database import pending
from app.settings import Settings, load_settings
from app.users.models import User
from tests.test_migrations import execute, tables

PROJECT = Path(__file__).parent.parent
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"

type Adopt = Callable[..., Result]


def library_table(name: str, *own: Any) -> Table:
    """The table that hawkapi-users makes, with columns that its user has added."""
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
    """The URL of a new database without a table, which the commands use."""
    name = f"test_{uuid4().hex[:12]}"
    is_sqlite = database_url.startswith("sqlite")
    file = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    url = file if is_sqlite else make_url(database_url).set(database=name).render_as_string(False)
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    for variable, value in {
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
    """A SQLite file in the place of the database, whatever the other tests run on."""
    url = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    return url


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project without migrations of yours, in a copy that more can be written into."""
    copy = tmp_path / "project"
    for folder in ("app", "migrations"):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", copy)
    for revision in set(copy.glob("migrations/versions/*.py")) - {*copy.glob("*/*/app_0001_base.py")}:
        revision.unlink()
    monkeypatch.setattr("app.cli.database.PROJECT", copy)
    return copy


@pytest.fixture
def adopt(project: Path, database: str) -> Adopt:
    """`adopt("--table", "accounts")`: the command, which is not asked whether it may."""
    return lambda *arguments, stdin="": CliRunner().invoke(
        cli, ["adopt", *([] if stdin else ["--yes"]), *arguments], input=stdin
    )


def make(url: str, table: Table, rows: list[dict[str, Any]]) -> None:
    """Make *table* with *rows* in it, as the old application would."""

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
    """The accounts as this application reads them."""
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
    """The sentence that the command ended with."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    return result.stderr


# What is taken over


@pytest.mark.parametrize("name", ["users", "accounts", 'odd "name"'])
def test_accounts_are_kept_as_they_are(adopt: Adopt, database: str, name: str):
    make(database, library_table(name), ACCOUNTS)

    result = adopt("--table", name)

    assert result.exit_code == 0, result.output
    assert "Accounts in it: 2." in result.stdout
    assert stored(database) == ACCOUNTS
    assert tables(database) >= {"users", "user_sessions", "alembic_version"}
    assert not pending(load_settings())


def test_the_models_and_the_database_agree_afterwards(database: str):
    """With the migrations of yours, too; without accounts, which they may not be made for."""
    execute(database, library_table("accounts").create)

    adopted = CliRunner().invoke(cli, ["adopt", "--table", "accounts", "--yes"])

    assert adopted.exit_code == 0, adopted.output
    check = CliRunner().invoke(cli, ["db", "check"])
    assert check.exit_code == 0, check.output


def test_keys_and_indexes_get_the_names_that_later_migrations_go_by(adopt: Adopt, database: str):
    make(database, library_table("accounts"), ACCOUNTS)

    adopt("--table", "accounts")

    indexes = execute(database, lambda connection: inspect(connection).get_indexes("users"))
    key = execute(database, lambda connection: inspect(connection).get_pk_constraint("users"))
    assert [(each["name"], each["column_names"], bool(each["unique"])) for each in indexes] == [
        ("ix_users_email", ["email"], True)
    ]
    # SQLite keeps no name for a key that was made without one.
    assert key["name"] == ("pk_users" if database.startswith("postgresql") else None)


def test_tables_that_refer_to_the_accounts_keep_doing_so(adopt: Adopt, database: str):
    accounts = library_table("accounts")
    owner = ForeignKey("accounts.id", ondelete="CASCADE")
    orders = Table("old_orders", accounts.metadata, Column("owner_id", owner, primary_key=True))
    make(database, accounts, ACCOUNTS)
    make(database, orders, [{"owner_id": "1"}, {"owner_id": "2"}])

    result = adopt("--table", "accounts")

    [key] = execute(database, lambda connection: inspect(connection).get_foreign_keys("old_orders"))
    assert (key["referred_table"], key["options"]) == ("users", {"ondelete": "CASCADE"})
    assert len(everything(database)["old_orders"][-1]) == 2
    assert "Tables of your own stay: old_orders." in result.stdout


def test_columns_of_your_own_are_kept_and_named(adopt: Adopt, database: str):
    own = Column("old_nickname", String(40)), Column("old_tenant", String(36), nullable=False)
    make(database, library_table("users", *own), [account("1", "ada@example.com", old_tenant="t")])

    result = adopt()

    assert "Columns of your own stay: old_nickname, old_tenant." in result.stdout
    assert "nobody can register: old_tenant." in result.stdout
    assert "t" in everything(database)["users"][-1][0]


def test_a_time_is_found_by_its_value(adopt: Adopt, database: str):
    """The library writes a full second as 05.000000 into SQLite, where a time is text."""
    make(database, library_table("users"), ACCOUNTS)
    same_time = select(func.count()).where(User.__table__.c.created_at == ACCOUNTS[0]["created_at"])

    adopt()

    assert execute(database, lambda connection: connection.scalar(same_time)) == 2


def test_an_address_is_spelled_as_it_is_looked_up(adopt: Adopt, database: str):
    rows = [account("1", "Ada@bücher.example"), account("2", "eve@a.org")]
    make(database, library_table("users"), rows)

    result = adopt()

    assert [each["email"] for each in stored(database)] == ["ada@xn--bcher-kva.example", "eve@a.org"]
    assert "1 account (id 1) has an address that is written anew" in result.stdout
    assert "cher" not in result.output


def test_a_hash_that_is_not_the_librarys_is_named_and_kept(adopt: Adopt, database: str):
    rows = [account("1", "ada@example.com", hashed_password="$2b$12$old"), account("2", "eve@example.com")]
    make(database, library_table("users"), rows)

    result = adopt()

    assert "1 account (id 1) has a password that was not hashed by hawkapi-users" in result.stdout
    assert "$2b$" not in result.output
    assert stored(database) == rows


def test_migrations_of_the_old_application_are_named_and_forgotten(adopt: Adopt, database: str):
    make(database, library_table("users"), ACCOUNTS)
    make(database, alembic_version(), [{"version_num": "old_0007"}])

    result = adopt()

    assert "alembic_version forgets old_0007" in result.stdout
    assert not pending(load_settings())
    assert "old_0007" not in revisions(database)


OF_YOURS = """
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
    """A table of the old application, and the migration of yours that makes it in a new database."""
    (project / "migrations" / "versions" / "orders.py").write_text(OF_YOURS)
    orders = Table("old_orders", MetaData(), Column("owner_id", String(36), primary_key=True))
    make(database, library_table("accounts"), ACCOUNTS)
    execute(database, orders.create)


@pytest.mark.usefixtures("old_orders")
def test_a_migration_of_yours_that_the_database_needs_no_more_is_noted(adopt: Adopt, database: str):
    result = adopt("--table", "accounts", "--has", "app_9999")

    assert result.exit_code == 0, result.output
    assert "noted as done: users_0001, app_9999." in result.stdout
    assert "app_9999" in revisions(database)
    assert not pending(load_settings())
    assert "mail_outbox" in tables(database)


# What is refused


@pytest.mark.usefixtures("old_orders")
def test_a_failure_leaves_the_database_as_it_was(adopt: Adopt, database: str):
    before = everything(database)

    sentence = refusal(adopt("--table", "accounts"))

    assert "Nothing was changed." in sentence
    assert "old_orders" in sentence
    assert "--has" in sentence
    assert everything(database) == before


DIFFERENCES = {
    "missing column": ("ALTER TABLE users DROP COLUMN password_version", "password_version is missing"),
    "other column": ("ALTER TABLE users RENAME COLUMN is_active TO enabled", "is_active is missing"),
    "no index": ("DROP INDEX ix_users_email", "No unique index covers email"),
    "partial index": (
        "DROP INDEX ix_users_email; CREATE UNIQUE INDEX ix_users_email ON users (email) WHERE is_active",
        "No unique index covers email",
    ),
    "index over more": (
        "DROP INDEX ix_users_email; CREATE UNIQUE INDEX ix_users_email ON users (email, id)",
        "No unique index covers email",
    ),
}


@pytest.mark.parametrize(("change", "difference"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_table_that_is_not_the_librarys_is_left_alone(
    adopt: Adopt, database: str, change: str, difference: str
):
    make(database, library_table("users"), ACCOUNTS)
    run_sql(database, *change.split(";"))
    before = everything(database)

    sentence = refusal(adopt())

    assert "The table users is not as hawkapi-users 0.1 and 0.2 make it" in sentence
    assert difference in sentence
    assert everything(database) == before


def test_a_constraint_is_not_the_index_that_the_models_describe(adopt: Adopt, database: str):
    make(database, library_table("users", UniqueConstraint("email")), ACCOUNTS)
    run_sql(database, "DROP INDEX ix_users_email")

    assert "No unique index covers email" in refusal(adopt())


def test_every_difference_is_listed(adopt: Adopt, database: str):
    table = Table(
        "users",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("email", String(100), nullable=False),
        Column("hashed_password", String(255)),
    )
    make(database, table, [{"email": "ada@example.com"}])

    sentence = refusal(adopt())

    assert "- The column id is INTEGER NOT NULL; it should be VARCHAR(36) NOT NULL.\n" in sentence
    assert "- The column email is VARCHAR(100) NOT NULL; it should be VARCHAR(320) NOT NULL.\n" in sentence
    assert "- The column hashed_password is VARCHAR(255); it should be VARCHAR(255) NOT NULL.\n" in sentence
    assert sentence.count("is missing") == 6
    assert "No unique index covers email" in sentence


def test_another_primary_key_is_a_difference(adopt: Adopt, database: str):
    owner = Table("users", MetaData(), Column("email", String(320), primary_key=True))
    make(database, owner, [{"email": "ada@example.com"}])

    assert "The primary key is (email); it should be (id)." in refusal(adopt())


@pytest.mark.parametrize(
    ("other", "accounts"),
    [("ada@a.org", "1 account (id 1) has"), ("ADA@a.org", "2 accounts (ids 1, 2) have")],
)
def test_two_spellings_of_one_address_are_refused_without_showing_it(
    adopt: Adopt, database: str, other: str, accounts: str
):
    make(database, library_table("users"), [account("1", "Ada@a.org"), account("2", other)])

    result = adopt()

    assert f"{accounts} an address that another account has" in refusal(result)
    assert "a.org" not in result.output


STRANGE = {
    "id": ("id = ''", "ids that are not text of 1 to 36 characters"),
    "blob": ("email = x'00'", "addresses that are not text"),
    "flag": ("is_active = 'true'", "is_active, is_verified or is_superuser other than 0 and 1"),
    "version": ("password_version = 'x'", "password_version that is not a whole number"),
    "time": ("created_at = '2026-01-02T03:04:05+00:00'", "created_at that is not written as"),
}


@pytest.mark.parametrize(("change", "difference"), STRANGE.values(), ids=STRANGE)
def test_values_that_only_sqlite_stores_are_refused(adopt: Adopt, sqlite: str, change: str, difference: str):
    make(sqlite, library_table("users"), ACCOUNTS)
    run_sql(sqlite, f"UPDATE users SET {change} WHERE id = '1'")

    assert f"has {difference}" in refusal(adopt())


def test_nothing_happens_to_a_database_in_use(adopt: Adopt, database: str, monkeypatch: pytest.MonkeyPatch):
    make(database, library_table("users"), ACCOUNTS)
    monkeypatch.setattr("app.cli.revisions.LOCK_TIMEOUT", 0.1)

    def adopt_while_writing(connection: Connection) -> str:
        connection.execute(text("UPDATE users SET password_version = 1"))
        # A thread of its own, since this one's event loop is busy.
        with ThreadPoolExecutor(1) as thread:
            return refusal(thread.submit(adopt).result())

    assert "stop the old application" in execute(database, adopt_while_writing)


def test_nothing_happens_without_consent(adopt: Adopt, database: str):
    make(database, library_table("users"), ACCOUNTS)

    result = adopt(stdin="n\n")

    assert result.exit_code == 1
    assert "Only a backup brings the old database back" in result.stdout
    assert tables(database) == {"users"}


def test_consent_is_enough(adopt: Adopt, database: str):
    make(database, library_table("users"), ACCOUNTS)

    result = adopt(stdin="y\n")

    assert result.exit_code == 0, result.output
    assert not pending(load_settings())


def test_looking_changes_nothing(adopt: Adopt, database: str):
    make(database, library_table("accounts"), ACCOUNTS)

    result = adopt("--table", "accounts", "--check")

    assert result.exit_code == 0, result.output
    assert "The table accounts gets the name users" in result.stdout
    assert tables(database) == {"accounts"}


# The wrong table, the wrong database


def test_a_table_that_looks_like_the_librarys_is_suggested(adopt: Adopt, database: str):
    make(database, library_table("accounts"), ACCOUNTS)

    assert "uv run app adopt --table accounts" in refusal(adopt())


def test_a_database_of_something_else_is_refused(adopt: Adopt, database: str):
    make(database, Table("old_orders", MetaData(), Column("id", String(36))), [{"id": "1"}])

    assert "no other has the library's columns: check DATABASE_URL" in refusal(adopt())


def test_a_database_that_is_not_there_is_not_made(adopt: Adopt, sqlite: str, tmp_path: Path):
    sentence = refusal(adopt())

    assert "DATABASE_URL has to name the old application's" in sentence
    assert not (tmp_path / "old.db").exists()


def test_an_empty_database_needs_no_adoption(adopt: Adopt, database: str):
    run_sql(database, "CREATE TABLE empty (id INTEGER)", "DROP TABLE empty")

    assert "uv run app db upgrade" in refusal(adopt())


def test_only_one_table_can_become_users(adopt: Adopt, database: str):
    make(database, library_table("accounts"), ACCOUNTS)
    execute(database, library_table("users").create)

    assert "there is another table users: rename that one first" in refusal(adopt("--table", "accounts"))


def test_adopting_again_does_nothing_and_succeeds(adopt: Adopt, database: str):
    """So that it may stand in a script."""
    make(database, library_table("accounts"), ACCOUNTS)
    adopt("--table", "accounts")
    before = everything(database)

    result = adopt("--table", "accounts")

    assert result.exit_code == 0, result.output
    assert "uv run app db upgrade" in result.stdout
    assert everything(database) == before


def test_tables_that_were_made_before_adopting_are_in_the_way_until_removed(adopt: Adopt, database: str):
    make(database, library_table("accounts"), ACCOUNTS)
    CliRunner().invoke(cli, ["db", "upgrade"])

    sentence = refusal(adopt("--table", "accounts"))
    CliRunner().invoke(cli, ["db", "downgrade", "base"])
    result = adopt("--table", "accounts")

    assert "accounts in it: 0" in sentence
    assert "uv run app db downgrade base" in sentence
    assert result.exit_code == 0, result.output
    assert stored(database) == ACCOUNTS


def test_a_half_known_history_is_refused(adopt: Adopt, database: str):
    make(database, library_table("users"), ACCOUNTS)
    make(database, alembic_version(), [{"version_num": "mail_0001"}, {"version_num": "old_0007"}])

    sentence = refusal(adopt())

    assert "mail_0001, which this project knows, and at old_0007, which it does not" in sentence


def test_a_revision_that_does_not_exist_is_named(adopt: Adopt, database: str):
    make(database, library_table("users"), ACCOUNTS)

    assert "app_1234" in refusal(adopt("--has", "app_1234"))


def test_migrations_of_the_template_cannot_be_passed_over(adopt: Adopt, database: str):
    make(database, library_table("users"), ACCOUNTS)

    assert "users_0002 is a migration of the template" in refusal(adopt("--has", "users_0002"))

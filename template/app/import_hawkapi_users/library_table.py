"""Check a hawkapi-users table, then convert it into this application's users table.

Template-owned. Only `app import-hawkapi-users` uses this module.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Inspector,
    Integer,
    MetaData,
    String,
    Table,
    func,
    inspect,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.engine.interfaces import ReflectedColumn, ReflectedIndex
from sqlalchemy.types import TypeEngine

from app.database import Base
from app.users.email_addresses import normalize_email
from app.users.models import TEMPLATE_COLUMNS

TABLE = "users"
"""The table's name after the import."""

EXPECTED: dict[str, TypeEngine[Any]] = {
    "id": String(36),
    "email": String(320),
    "hashed_password": String(255),
    "is_active": Boolean(),
    "is_verified": Boolean(),
    "is_superuser": Boolean(),
    "password_version": Integer(),
    "created_at": DateTime(timezone=True),
    "updated_at": DateTime(timezone=True),
}
"""The columns created by hawkapi-users 0.1 and 0.2, and by `users_0001`. All of them are NOT NULL."""
_ADDED = (TEMPLATE_COLUMNS | {"language"}) - EXPECTED.keys()
"""The columns created by later migrations."""

_TIME = "____-__-__ __:__:__"
_INVALID_IN_SQLITE = (
    (
        "an id that is not text of 1 to 36 characters",
        "typeof(id) <> 'text' OR length(id) NOT BETWEEN 1 AND 36",
    ),
    ("an e-mail address that is not text", "typeof(email) <> 'text'"),
    (
        "a value other than 0 or 1 in is_active, is_verified or is_superuser",
        "is_active NOT IN (0, 1) OR is_verified NOT IN (0, 1) OR is_superuser NOT IN (0, 1)",
    ),
    ("a password_version that is not an integer", "typeof(password_version) <> 'integer'"),
    *(
        (
            f"a {name} that does not look like 2026-01-31 12:00:00 or 2026-01-31 12:00:00.000000",
            f"NOT ({name} LIKE '{_TIME}' OR {name} LIKE '{_TIME}.______')",
        )
        for name in ("created_at", "updated_at")
    ),
)
"""Descriptions of invalid values, each with an SQL condition that finds them. SQLite does not enforce column
types; PostgreSQL does."""


@dataclass(frozen=True)
class Inspection:
    """The result of `inspect_table`. The table can be imported if there are no *differences*."""

    table: str
    accounts: int = 0
    differences: list[str] = field(default_factory=list[str])
    """The ways in which the table differs from the library's table, one sentence each."""
    notes: list[str] = field(default_factory=list[str])
    """Things the user should know before the import, one sentence each."""
    normalized: dict[str, str] = field(default_factory=dict[str, str])
    """Maps the id of each account whose e-mail address is not normalized to the normalized address."""

    def changes(self) -> list[str]:
        """The changes that `import_table` will make, one sentence each."""
        kept = f"The table keeps its name, {TABLE}."
        renamed = f"The table {self.table} is renamed to {TABLE}, and foreign keys to it are updated."
        normalized = (
            f"{_count(list(self.normalized))} an e-mail address that is rewritten in lower case and with an"
            " ASCII domain."
        )
        return [kept if self.table == TABLE else renamed, *([normalized] if self.normalized else [])]


def library_tables(connection: Connection) -> list[str]:
    """Return the names of the tables that have all of the library's columns."""
    tables = inspect(connection).get_multi_columns()
    return sorted(
        name for (_, name), columns in tables.items() if set(EXPECTED) <= {each["name"] for each in columns}
    )


def inspect_table(connection: Connection, table: str) -> Inspection:
    """Check the columns, keys and values of *table*, which must exist. Does not change the table."""
    inspector = inspect(connection)
    columns = {each["name"]: each for each in inspector.get_columns(table)}
    differences = [*_column_differences(connection, columns), *_key_differences(inspector, table)]
    if differences:
        # The queries below need the library's columns.
        return Inspection(table, differences=differences)
    accounts = _accounts(table)
    normalized = _emails_to_normalize(connection, accounts)
    return Inspection(
        table,
        accounts=connection.scalar(select(func.count()).select_from(accounts)) or 0,
        differences=[
            *_invalid_values(connection, accounts),
            *_duplicate_emails(connection, accounts, normalized),
        ],
        notes=[
            *_own_columns(columns),
            *_own_tables(inspector, table),
            *_unknown_hashes(connection, accounts),
        ],
        normalized=normalized,
    )


def import_table(connection: Connection, inspection: Inspection) -> None:
    """Convert the inspected table into the one that `users_0001` creates, in the caller's transaction.

    Raises:
        ValueError: the table has no unique index on email, which means that it was not inspected.
    """
    operations = Operations(MigrationContext.configure(connection))
    primary_key = inspect(connection).get_pk_constraint(inspection.table)["name"]
    index = _email_index(inspect(connection), inspection.table)
    if index is None:
        raise ValueError(f"{inspection.table} has no unique index on email: inspect the table first.")
    if inspection.table != TABLE:
        # This also updates the foreign keys, triggers and views that refer to the table.
        operations.rename_table(inspection.table, TABLE)
    if index["name"] != (wanted := f"ix_{TABLE}_email"):
        operations.drop_index(str(index["name"]), table_name=TABLE)
        operations.create_index(wanted, TABLE, ["email"], unique=True)
    if connection.dialect.name == "postgresql" and primary_key and primary_key != f"pk_{TABLE}":
        quoted = connection.dialect.identifier_preparer.quote_identifier(primary_key)
        operations.execute(f"ALTER TABLE {TABLE} RENAME CONSTRAINT {quoted} TO pk_{TABLE}")
    accounts = _accounts(TABLE)
    for user_id, email in inspection.normalized.items():
        connection.execute(update(accounts).where(accounts.c.id == user_id).values(email=email))
    if connection.dialect.name == "sqlite":
        # SQLite stores times as text. Remove `.000000`, which `UTCDateTime` does not write.
        for name in ("created_at", "updated_at"):
            time = literal_column(name, String)
            full_seconds = update(accounts).where(time.like("%.000000"))
            connection.execute(full_seconds.values({name: func.substr(time, 1, 19)}))


def _accounts(table: str) -> Table:
    return Table(table, MetaData(), *(Column(name, type_) for name, type_ in EXPECTED.items()))


# Differences: reasons not to import


def _column_differences(connection: Connection, columns: dict[str, ReflectedColumn]) -> list[str]:
    differences: list[str] = []
    for name, type_ in EXPECTED.items():
        expected = f"{type_.compile(connection.dialect)} NOT NULL"
        column = columns.get(name)
        if column is None:
            differences.append(f"The column {name} is missing; it should be {expected}.")
            continue
        actual = column["type"].compile(connection.dialect) + ("" if column["nullable"] else " NOT NULL")
        if actual != expected:
            differences.append(f"The column {name} is {actual}; it should be {expected}.")
    if added := sorted(_ADDED & columns.keys()):
        differences.append(
            f"The table already has {', '.join(added)}, which this application's migrations add. Rename your"
            " own columns."
        )
    return differences


def _key_differences(inspector: Inspector, table: str) -> list[str]:
    differences: list[str] = []
    key = inspector.get_pk_constraint(table)["constrained_columns"]
    if key != ["id"]:
        differences.append(f"The primary key is ({', '.join(key)}); it should be (id).")
    if _email_index(inspector, table) is None:
        differences.append(
            "There is no unique index whose only column is email."
            f" Create one: CREATE UNIQUE INDEX ix_{table}_email ON {table} (email)."
        )
    return differences


def _email_index(inspector: Inspector, table: str) -> ReflectedIndex | None:
    for index in inspector.get_indexes(table):
        is_partial = any(option.endswith("_where") for option in index.get("dialect_options", {}))
        is_constraint = "duplicates_constraint" in index
        if index["unique"] and index["column_names"] == ["email"] and not (is_partial or is_constraint):
            return index
    return None


def _invalid_values(connection: Connection, accounts: Table) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    found: list[str] = []
    for description, condition in _INVALID_IN_SQLITE:
        ids = list(connection.scalars(select(accounts.c.id).where(text(condition))))
        if ids:
            found.append(f"{_count(ids)} {description}.")
    return found


def _emails_to_normalize(connection: Connection, accounts: Table) -> dict[str, str]:
    found: dict[str, str] = {}
    for user_id, email in connection.execute(select(accounts.c.id, accounts.c.email)):
        if (normalized := normalize_email(str(email))) != email:
            found[user_id] = normalized
    return found


def _duplicate_emails(connection: Connection, accounts: Table, normalized: dict[str, str]) -> list[str]:
    wanted = Counter(normalized.values())
    ids = [
        user_id
        for user_id, email in normalized.items()
        if wanted[email] > 1 or connection.scalar(select(accounts.c.id).where(accounts.c.email == email))
    ]
    if not ids:
        return []
    return [
        f"{_count(ids)} the e-mail address of another account, spelled differently (capitals, spaces or a"
        " domain that is not ASCII). Change or delete one of the two accounts."
    ]


# Notes: the import succeeds anyway


def _own_columns(columns: dict[str, ReflectedColumn]) -> list[str]:
    own = [each for name, each in columns.items() if name not in Base.metadata.tables[TABLE].columns]
    if not own:
        return []
    notes = [
        f"The table keeps your own columns: {_names(own)}. Add them to the end of `User` in"
        " app/users/models.py, or the next migration from `uv run app db revision` will drop them."
    ]
    required = [each for each in own if not each["nullable"] and each.get("default") is None]
    if required:
        notes.append(f"Registration fails until `User` gives these columns a value: {_names(required)}.")
    return notes


def _own_tables(inspector: Inspector, table: str) -> list[str]:
    own = set(inspector.get_table_names()) - {*Base.metadata.tables, table, "alembic_version"}
    if not own:
        return []
    return [
        f"The database keeps your own tables: {', '.join(sorted(own))}. Move their models into a package"
        " under app/, or the next migration from `uv run app db revision` will drop them."
    ]


def _unknown_hashes(connection: Connection, accounts: Table) -> list[str]:
    hashed = accounts.c.hashed_password
    ids = list(connection.scalars(select(accounts.c.id).where(hashed.not_like("$argon2%"))))
    if not ids:
        return []
    return [
        f"{_count(ids)} a password that hawkapi-users did not hash. Logging in with it fails before and after"
        " the import. A password reset sets a new one."
    ]


def _names(columns: list[ReflectedColumn]) -> str:
    return ", ".join(each["name"] for each in columns)


def _count(ids: list[str]) -> str:
    """`2 accounts (ids a, b) have`: the number and the first ids, never the e-mail addresses."""
    shown = ", ".join(str(each) for each in ids[:5]) + (", …" if len(ids) > 5 else "")
    return f"1 account (id {shown}) has" if len(ids) == 1 else f"{len(ids)} accounts (ids {shown}) have"

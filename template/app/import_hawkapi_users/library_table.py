"""The table of the library hawkapi-users: what is expected of it, and how it becomes this application's.

For `uv run app adopt` alone, of no use once the accounts are here. Template-owned.
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
from app.users.addresses import normalize_email

TABLE = "users"
"""The name that the table gets, whatever the library called it."""

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
"""What hawkapi-users 0.1 and 0.2 make, and `users_0001` too. None of it may be NULL."""

_TIME = "____-__-__ __:__:__"
_SQLITE_VALUES = (
    (
        "ids that are not text of 1 to 36 characters",
        "typeof(id) <> 'text' OR length(id) NOT BETWEEN 1 AND 36",
    ),
    ("addresses that are not text", "typeof(email) <> 'text'"),
    (
        "is_active, is_verified or is_superuser other than 0 and 1",
        "is_active NOT IN (0, 1) OR is_verified NOT IN (0, 1) OR is_superuser NOT IN (0, 1)",
    ),
    ("password_version that is not a whole number", "typeof(password_version) <> 'integer'"),
    *(
        (
            f"{name} that is not written as 2026-01-31 12:00:00 or 2026-01-31 12:00:00.000000",
            f"NOT ({name} LIKE '{_TIME}' OR {name} LIKE '{_TIME}.______')",
        )
        for name in ("created_at", "updated_at")
    ),
)
"""What cannot be stored on PostgreSQL, and can on SQLite, where the type of a column binds no value."""


@dataclass(frozen=True)
class Examination:
    """What was found in a table. It can be taken over when there are no *differences*."""

    table: str
    accounts: int = 0
    differences: list[str] = field(default_factory=list[str])
    """What is not as the library makes it, each as a sentence."""
    notes: list[str] = field(default_factory=list[str])
    """What the owner of the table should know, each as a sentence."""
    respelled: dict[str, str] = field(default_factory=dict[str, str])
    """The id, and the address as `normalize_email` returns it, of those that are stored otherwise."""

    def changes(self) -> list[str]:
        """What `take_over` does, in sentences."""
        kept = f"The table keeps its name, {TABLE}."
        renamed = f"The table {self.table} gets the name {TABLE}; what refers to it follows."
        respelled = (
            f"{_some(list(self.respelled))} an address that is written anew, in lower case and with its"
            " domain in ASCII, as addresses are looked up here."
        )
        return [kept if self.table == TABLE else renamed, *([respelled] if self.respelled else [])]


def candidates(connection: Connection) -> list[str]:
    """The tables that have every column of the library's."""
    tables = inspect(connection).get_multi_columns()
    return sorted(
        name for (_, name), columns in tables.items() if set(EXPECTED) <= {each["name"] for each in columns}
    )


def examine(connection: Connection, table: str) -> Examination:
    """Look at the columns, the keys and the values of *table*, which exists."""
    inspector = inspect(connection)
    columns = {each["name"]: each for each in inspector.get_columns(table)}
    differences = [*_differences_of_columns(connection, columns), *_differences_of_keys(inspector, table)]
    if differences:
        # Queries over a table of another shape would only fail.
        return Examination(table, differences=differences)
    rows = _rows_of(table)
    respelled = _addresses_to_respell(connection, rows)
    return Examination(
        table,
        accounts=connection.scalar(select(func.count()).select_from(rows)) or 0,
        differences=[*_strange_values(connection, rows), *_clashes(connection, rows, respelled)],
        notes=[*_own_columns(columns), *_own_tables(inspector, table), *_unknown_hashes(connection, rows)],
        respelled=respelled,
    )


def take_over(connection: Connection, found: Examination) -> None:
    """Make the table that was examined into `users` as after `users_0001`, in the caller's transaction."""
    operations = Operations(MigrationContext.configure(connection))
    primary_key = inspect(connection).get_pk_constraint(found.table)["name"]
    index = _index_of_addresses(inspect(connection), found.table)
    if index is None:
        raise ValueError(f"{found.table} was not examined: it has no unique index of addresses.")
    if found.table != TABLE:
        # Foreign keys, triggers and views of other tables follow.
        operations.rename_table(found.table, TABLE)
    if index["name"] != (wanted := f"ix_{TABLE}_email"):
        operations.drop_index(str(index["name"]), table_name=TABLE)
        operations.create_index(wanted, TABLE, ["email"], unique=True)
    if connection.dialect.name == "postgresql" and primary_key and primary_key != f"pk_{TABLE}":
        quoted = connection.dialect.identifier_preparer.quote_identifier(primary_key)
        operations.execute(f"ALTER TABLE {TABLE} RENAME CONSTRAINT {quoted} TO pk_{TABLE}")
    users = _rows_of(TABLE)
    for user_id, address in found.respelled.items():
        connection.execute(update(users).where(users.c.id == user_id).values(email=address))
    if connection.dialect.name == "sqlite":
        # There a time is text, and `Moment` writes a full second without a fraction.
        for name in ("created_at", "updated_at"):
            time = literal_column(name, String)
            shortest = update(users).where(time.like("%.000000")).values({name: func.substr(time, 1, 19)})
            connection.execute(shortest)


def _rows_of(table: str) -> Table:
    return Table(table, MetaData(), *(Column(name, type_) for name, type_ in EXPECTED.items()))


# What makes it another table


def _differences_of_columns(connection: Connection, columns: dict[str, ReflectedColumn]) -> list[str]:
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
    return differences


def _differences_of_keys(inspector: Inspector, table: str) -> list[str]:
    differences: list[str] = []
    key = inspector.get_pk_constraint(table)["constrained_columns"]
    if key != ["id"]:
        differences.append(f"The primary key is ({', '.join(key)}); it should be (id).")
    if _index_of_addresses(inspector, table) is None:
        differences.append(
            "No unique index covers email, and email alone:"
            f" CREATE UNIQUE INDEX ix_{table}_email ON {table} (email) makes one."
        )
    return differences


def _index_of_addresses(inspector: Inspector, table: str) -> ReflectedIndex | None:
    for index in inspector.get_indexes(table):
        is_partial = any(option.endswith("_where") for option in index.get("dialect_options", {}))
        is_constraint = "duplicates_constraint" in index
        if index["unique"] and index["column_names"] == ["email"] and not (is_partial or is_constraint):
            return index
    return None


def _strange_values(connection: Connection, rows: Table) -> list[str]:
    if connection.dialect.name != "sqlite":
        return []
    found: list[str] = []
    for what, condition in _SQLITE_VALUES:
        ids = list(connection.scalars(select(rows.c.id).where(text(condition))))
        if ids:
            found.append(f"{_some(ids)} {what}.")
    return found


def _addresses_to_respell(connection: Connection, rows: Table) -> dict[str, str]:
    found: dict[str, str] = {}
    for user_id, address in connection.execute(select(rows.c.id, rows.c.email)):
        if (spelled := normalize_email(str(address))) != address:
            found[user_id] = spelled
    return found


def _clashes(connection: Connection, rows: Table, respelled: dict[str, str]) -> list[str]:
    wanted = Counter(respelled.values())
    ids = [
        user_id
        for user_id, address in respelled.items()
        if wanted[address] > 1 or connection.scalar(select(rows.c.id).where(rows.c.email == address))
    ]
    if not ids:
        return []
    return [
        f"{_some(ids)} an address that another account has, too, in another spelling"
        " (capitals, spaces, a domain that is not in ASCII): change or delete one of the two."
    ]


# What is no difference, and worth knowing


def _own_columns(columns: dict[str, ReflectedColumn]) -> list[str]:
    own = [each for name, each in columns.items() if name not in Base.metadata.tables[TABLE].columns]
    if not own:
        return []
    notes = [
        f"Columns of your own stay: {_names(own)}. Describe them at the end of `User` in app/users/models.py,"
        " or the next `uv run app db revision` drops them."
    ]
    needed = [each for each in own if not each["nullable"] and each.get("default") is None]
    if needed:
        notes.append(f"Until `User` gives them a value, nobody can register: {_names(needed)}.")
    return notes


def _own_tables(inspector: Inspector, table: str) -> list[str]:
    own = set(inspector.get_table_names()) - {*Base.metadata.tables, table, "alembic_version"}
    if not own:
        return []
    return [
        f"Tables of your own stay: {', '.join(sorted(own))}. Move their models into a package under app/,"
        " or the next `uv run app db revision` drops them."
    ]


def _unknown_hashes(connection: Connection, rows: Table) -> list[str]:
    ids = list(connection.scalars(select(rows.c.id).where(rows.c.hashed_password.not_like("$argon2%"))))
    if not ids:
        return []
    return [
        f"{_some(ids)} a password that was not hashed by hawkapi-users and that nobody can log in with,"
        " there or here: a reset link by mail helps."
    ]


def _names(columns: list[ReflectedColumn]) -> str:
    return ", ".join(each["name"] for each in columns)


def _some(ids: list[str]) -> str:
    """`2 accounts (ids a, b) have`: how many, and the first of them. Addresses are not for a terminal."""
    shown = ", ".join(str(each) for each in ids[:5]) + (", …" if len(ids) > 5 else "")
    return f"1 account (id {shown}) has" if len(ids) == 1 else f"{len(ids)} accounts (ids {shown}) have"

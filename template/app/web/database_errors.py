"""Interprets database errors without exposing row values. Template-owned."""

import logging
import re
from functools import lru_cache
from time import monotonic
from traceback import walk_tb

from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as NoFreeConnection

MIGRATIONS_ARE_PENDING = (
    "The database lacks a table or column that the models define. Migrations are pending: run `uv run app db"
    ' revision -m "..."` if a model has changed, then `uv run app db upgrade`.'
)

_UNDEFINED_TABLE, _UNDEFINED_COLUMN = "42P01", "42703"
_ALREADY_THERE = {"42P07", "42701", "42710"}
"""SQLSTATE codes, as listed in appendix A of PostgreSQL's documentation."""
_DUPLICATE = {"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
"""SQLSTATE codes and SQLite's result codes."""
_BROKEN_REFERENCE = {"23503", "23001", "SQLITE_CONSTRAINT_FOREIGNKEY", "SQLITE_CONSTRAINT_TRIGGER"}
"""`ON DELETE RESTRICT` has its own codes: 23001 in PostgreSQL 18, and SQLite's code for triggers."""
_QUIET_SECONDS = 600
"""Seconds before the same missing table or column is logged again."""

_OUTAGE_ENDS = 60.0
"""After this many seconds without a failed request, the next failure counts as a new outage."""
_last_failure: float | None = None


def is_unavailable(error: BaseException) -> bool:
    """Whether *error* means that the database cannot be reached or temporarily rejects work."""
    if isinstance(error, NoFreeConnection | OperationalError | InterfaceError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if is_damaged(error.orig):
        return True
    # SQLSTATE classes: connection exception, insufficient resources, operator intervention.
    return error.connection_invalidated or _sqlstate(error).startswith(("08", "53", "57P"))


def was_rolled_back(error: BaseException) -> bool:
    """Whether the database rolled back the transaction because of another transaction, as in a deadlock."""
    return isinstance(error, DBAPIError) and _sqlstate(error).startswith("40")


def _sqlstate(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def is_damaged(error: BaseException | None) -> bool:
    """Whether *error* from SQLite's driver means that the file is damaged, moved, replaced or read-only."""
    name = str(getattr(error, "sqlite_errorname", ""))
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_IOERR"))


def waited_for_database(error: TimeoutError) -> bool:
    """Whether the code was waiting for the database when `asyncio.timeout` expired and raised *error*."""
    traceback = error.__cause__.__traceback__ if error.__cause__ is not None else None
    frames = walk_tb(traceback)
    return any(frame.f_globals.get("__name__", "").startswith("sqlalchemy.") for frame, _ in frames)


def begins_outage(error: BaseException) -> bool:
    """Whether *error* starts a database outage. Only an outage's first error is logged with a traceback."""
    global _last_failure
    if lacks_migration(error):
        # SQLite reports a missing table as an operational error, like an outage, but waiting does not help.
        return True
    now, before = monotonic(), _last_failure
    _last_failure = now
    return before is None or now - before > _OUTAGE_ENDS


def names_of(error: BaseException) -> str:
    """The class names of *error* and its cause. Unlike the message, they contain no private data."""
    cause: object = getattr(error, "orig", None)
    return " from ".join(type(each).__name__ for each in (error, cause) if each is not None)


def lacks_migration(error: BaseException) -> bool:
    """Whether *error* means that a statement used a table or column that does not exist."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    if getattr(error.orig, "sqlstate", None) in {_UNDEFINED_TABLE, _UNDEFINED_COLUMN}:
        return True
    return re.search("no such (table|column)|has no column named", str(error.orig)) is not None


def is_already_there(error: BaseException) -> bool:
    """Whether *error* means that a statement added a table, column or index that already exists."""
    if not isinstance(error, DBAPIError) or error.orig is None:
        return False
    if getattr(error.orig, "sqlstate", None) in _ALREADY_THERE:
        return True
    return re.search("duplicate column name|already exists", str(error.orig)) is not None


def log_missing_migration(logger: logging.Logger, error: BaseException) -> bool:
    """If *error* means that migrations are pending, log that and return True.

    Every request, every task and the mail worker then fail at the same time. Each missing name is therefore
    logged only once every ten minutes, without a traceback.
    """
    if not lacks_migration(error):
        return False
    # asyncpg's adapter puts the class name before the message.
    message = str(getattr(error, "orig", error)).rpartition("'>: ")[2]
    _log_once(logger, message, int(monotonic()) // _QUIET_SECONDS)
    return True


@lru_cache(maxsize=64)
def _log_once(logger: logging.Logger, message: str, period: int) -> None:
    logger.error("%s (%s)", MIGRATIONS_ARE_PENDING, message)


def is_duplicate(error: BaseException) -> bool:
    """Whether *error* means that a primary key, unique constraint or unique index was violated."""
    return isinstance(error, IntegrityError) and not _DUPLICATE.isdisjoint(_codes_of(error))


def breaks_reference(error: BaseException) -> bool:
    """Whether *error* means that a foreign key was violated."""
    return isinstance(error, IntegrityError) and not _BROKEN_REFERENCE.isdisjoint(_codes_of(error))


def _codes_of(error: IntegrityError) -> set[str]:
    return {str(getattr(error.orig, name, "")) for name in ("sqlstate", "sqlite_errorname")}


def constraint_of(error: BaseException) -> str:
    """The violated constraint's name, for the log. With SQLite, the error message, which has no values."""
    driver_error = getattr(error, "orig", None)
    details = getattr(driver_error, "__cause__", None)
    return getattr(details, "constraint_name", None) or str(driver_error)


def taken_fields(error: BaseException) -> list[str]:
    """The columns of the unique constraint or index that was violated. Empty if *error* is not such a
    violation, or if the columns are unknown.

    For PostgreSQL, the columns are derived from the constraint's name, which follows the naming convention in
    `app/database` or PostgreSQL's own. The columns of a composite constraint are returned as one name, joined
    by underscores.
    """
    if not isinstance(error, IntegrityError) or error.orig is None or not is_duplicate(error):
        return []
    if getattr(error.orig, "sqlite_errorname", "") == "SQLITE_CONSTRAINT_UNIQUE":
        columns = re.fullmatch(r"UNIQUE constraint failed: (\w+\.\w+(?:, \w+\.\w+)*)", str(error.orig))
        return [each.partition(".")[2] for each in columns[1].split(", ")] if columns else []
    details = error.orig.__cause__
    table, constraint = getattr(details, "table_name", None), str(getattr(details, "constraint_name", ""))
    name = re.escape(str(table))
    columns = re.fullmatch(rf"(?:uq|ix)_{name}_(\w+)|{name}_(\w+)_key", constraint)
    return [columns[1] or columns[2]] if columns else []

"""Settings and transactions for SQLite connections."""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import PoolResetState

from app.database.reading import READS
from app.web.database_errors import is_damaged


def never_created(url: str) -> str:
    """*url*, changed so that connections do not create the file. If the file has been moved, its write-ahead
    log may have been left behind, and an empty file next to that log would be a corrupt database
    (sqlite.org/howtocorrupt.html, section 4.4)."""
    parsed = make_url(url)
    query = {"mode": "rw", "uri": "true"}
    file = parsed.set(database=f"file:{quote(parsed.database or '')}").update_query_dict(query)
    return file.render_as_string(hide_password=False)


def configure(engine: Engine, *, timeout: float, fast_paths: bool, beside: Engine) -> None:
    """Prepare every connection that *engine* opens from now on. *timeout*: seconds to wait for a lock.
    *beside*: the other engine for the file, or *engine* itself if there is no other."""
    # At DEBUG, aiosqlite logs statements with their values, such as hashes and e-mailed links.
    logging.getLogger("aiosqlite").setLevel(logging.INFO)

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, record: Any) -> None:
        # Otherwise, the driver itself would start transactions, but only at the first write.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "foreign_keys = ON",
            f"busy_timeout = {round(timeout * 1000)}",
            "journal_mode = WAL",
            "synchronous = NORMAL",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    roll_back: Callable[[Any], None] = engine.dialect.do_rollback

    def roll_back_what_is_open(dbapi_connection: Any) -> None:
        # After reading, there is nothing to roll back, so skip the driver call, which costs a thread switch.
        if dbapi_connection.driver_connection.in_transaction:
            roll_back(dbapi_connection)

    engine.dialect.do_rollback = roll_back_what_is_open

    if fast_paths:
        from app.database.fast_paths import use_quick_cursors

        use_quick_cursors(engine)
        engine.dialect.do_begin = _begin
    else:
        event.listen(engine, "begin", _begin_unless_it_reads)

    @event.listens_for(engine, "reset")
    def on_reset(connection: Any, record: Any, state: PoolResetState) -> None:
        # If SQLite rejects a COMMIT because of a deferred foreign key, the transaction stays open, but
        # SQLAlchemy thinks it has ended. The connection's next user would be unable to start another.
        if not state.terminate_only and connection.driver_connection.in_transaction:
            connection.rollback()

    @event.listens_for(engine, "handle_error")
    def on_error(context: ExceptionContext) -> None:
        # The file may have been replaced, repaired or made writable: reopen it.
        if is_damaged(context.original_exception):
            context.is_disconnect = True
            # All connections in a process share the index of the write-ahead log. If one of them opened
            # the index read-only, no connection can write until that one is closed.
            if beside is not engine:
                beside.dispose()

    _ = (on_connect, on_reset, on_error)


def check_file(path: str) -> None:
    """Reopen the file and read from every table. An open connection would not notice that the file was moved.

    Raises:
        sqlite3.Error: the file is missing, damaged or read-only.
    """
    if not os.access(path, os.W_OK):
        raise sqlite3.OperationalError("the file is missing or read-only")
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, timeout=1)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if not found:
            raise sqlite3.OperationalError("the file has no tables")
        for (name,) in found:
            quoted = name.replace('"', '""')
            query = f'SELECT 1 FROM "{quoted}" LIMIT 1'  # nosec B608 # noqa: S608 - quoted
            connection.execute(query).fetchone()


# A transaction that reads and then writes fails immediately if another transaction has written in between.
# Taking the write lock at the start makes it wait instead. Read-only sessions do not start a transaction.
_BEGIN = "BEGIN IMMEDIATE"


def _begin(dbapi_connection: Any) -> None:
    cursor = dbapi_connection.cursor()
    cursor.execute(_BEGIN)
    cursor.close()


def _begin_unless_it_reads(connection: Connection) -> None:
    if not connection.get_execution_options().get(READS):
        connection.exec_driver_sql(_BEGIN)

# pyright: reportPrivateUsage=false
# SQLAlchemy and aiosqlite have no public place for this; tests/web/test_sqlite.py covers what is overridden.
"""SQLite with one trip to the thread of its connection for each statement."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
)


def configure(engine: Engine) -> None:
    """Give every connection that *engine* makes from now on cursors of this kind."""

    @event.listens_for(engine, "do_connect")
    def on_do_connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        connection = dialect.connect(*arguments, **options)
        return _Connection(dialect.loaded_dbapi, connection.driver_connection)

    _ = on_do_connect


@dataclass(slots=True)
class _Finished:
    """What is left of a driver's cursor when its statement is done and its rows are fetched."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None
    arraysize: int = 1

    def close(self) -> None:
        """It is closed."""


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """Executes, fetches and closes in one call of the connection's thread.

    SQLAlchemy's own makes a call for each, and changing threads costs more than a SELECT by its key.
    """

    __slots__ = ()
    _awaitable_cursor_close = False

    def __init__(self, adapt_connection: AsyncAdapt_aiosqlite_connection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._cursor = _Finished()  # type: ignore[assignment]
        self._soft_closed_memoized = {}
        self._rows = deque()

    async def _execute_async(self, operation: Any, parameters: Any) -> None:
        await self._run("execute", operation, () if parameters is None else parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Sequence[Any]) -> None:
        await self._run("executemany", operation, seq_of_parameters)

    async def _run(self, method: str, operation: str, parameters: Any) -> None:
        connection: Any = self._connection

        def in_thread() -> tuple[_Finished, list[Any]]:
            cursor = getattr(connection._conn, method)(operation, parameters)
            rows: list[Any] = cursor.fetchall() if cursor.description else []
            # The count of a statement with RETURNING is right once its rows are fetched.
            finished = _Finished(cursor.description, cursor.rowcount, cursor.lastrowid)
            cursor.close()
            return finished, rows

        async with self._adapt_connection._execute_mutex:
            self._cursor, rows = await connection._execute(in_thread)
            self._rows = deque(rows)


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls = _Cursor

# pyright: reportPrivateUsage=false
"""Optimizations that use private APIs of SQLAlchemy and aiosqlite. Template-owned.

DATABASE_FAST_PATHS turns the optimizations on. This module is imported only when they are on, so an update
that breaks a private API cannot break an application that has turned them off. The results are the same with
and without the optimizations, and the template's tests cover both. SQLAlchemy is pinned below 2.2 because of
this module.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
)
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state

from app.database.reading import ReadOnlySession

_LOADED_LATER = {"select", True, "raise", "raise_on_sql", "noload", None, "write_only", "dynamic"}


class ColumnLoader:
    """Creates an object from a row's columns, starting at *start*, without the ORM's loaders.

    Setting up the loaders for two objects takes SQLAlchemy longer than the rest of the query.
    """

    def __init__(self, mapper: Mapper[Any], start: int) -> None:
        attributes = list(mapper.column_attrs)
        columns: list[Any] = [each.columns[0] for each in attributes]
        # Two tables may have columns with the same name.
        self.columns = [column.label(f"column_{start + index}") for index, column in enumerate(columns)]
        self._manager = mapper.class_manager
        self._identity = mapper.identity_key_from_primary_key
        self._names = [each.key for each in attributes]
        self._part = slice(start, start + len(columns))
        self._key = [start + columns.index(column) for column in mapper.primary_key]

    def knows(self, db: Session, row: Sequence[Any]) -> bool:
        """Whether the session already has an object for the row. That object may have unsaved changes."""
        return self._key_of(row) in db.identity_map

    def load(self, db: Session, row: Sequence[Any]) -> Any:
        loaded = self._manager.new_instance()
        state = instance_state(loaded)
        state.dict.update(zip(self._names, row[self._part], strict=True))
        state.key = self._key_of(row)
        state.session_id = db.hash_key
        db.identity_map.add(state)
        return loaded

    def _key_of(self, row: Sequence[Any]) -> Any:
        return self._identity(tuple(row[index] for index in self._key))


def is_plain(mapper: Mapper[Any]) -> bool:
    """Whether an object is loaded from its columns alone, without event listeners."""
    eager = any(each.lazy not in _LOADED_LATER for each in mapper.relationships)
    deferred = any(each.deferred or len(each.columns) != 1 for each in mapper.column_attrs)
    return not (eager or deferred or mapper.polymorphic_on is not None or mapper.class_manager.dispatch.load)


class FastReadOnlySession(ReadOnlySession):
    """A session whose connection starts no transaction in SQLAlchemy or in the database."""

    _reading: Connection | None = None
    _is_closed = False

    def _connection_for_bind(
        self,
        engine: Engine | Connection,
        execution_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Connection:
        if isinstance(engine, Connection):
            # This connection belongs to the caller, for example to a test, and has its own transaction.
            return super()._connection_for_bind(engine, execution_options, **options)
        if self._reading is None:
            if self._is_closed:
                raise InvalidRequestError("This session has been permanently closed. Open another one.")
            self._reading = _connect(engine)
        if execution_options:
            self._reading.execution_options(**execution_options)
        return self._reading

    def close(self) -> None:
        super().close()
        self.release()
        self._is_closed = True

    def release(self) -> None:
        """Return the connection, but keep the loaded objects. The next statement gets another connection."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None


def begin_again_after_reading(engine: Engine) -> None:
    """On PostgreSQL, turn autocommit off again when a read-only session returns its connection."""

    @event.listens_for(engine, "reset")
    def on_reset(connection: Any, record: Any, state: Any) -> None:
        connection.autocommit = False

    _ = on_reset


def _connect(engine: Engine) -> Connection:
    # Looking for listeners takes measurable time, even on an engine that has none.
    connection = Connection(engine, _has_events=None if engine._has_events else False, _allow_autobegin=False)
    if engine.dialect.name == "postgresql":
        # Otherwise, SQLAlchemy's driver adapter would begin a transaction before the first statement.
        connection.connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]
    return connection


def use_quick_cursors(engine: Engine) -> None:
    """Use `_Cursor` for every SQLite connection that *engine* opens from now on."""

    @event.listens_for(engine, "do_connect")
    def on_do_connect(dialect: Any, record: Any, arguments: Any, options: Any) -> Any:
        connection = dialect.connect(*arguments, **options)
        return _Connection(dialect.loaded_dbapi, connection.driver_connection)

    _ = on_do_connect


@dataclass(slots=True)
class _Finished:
    """The attributes of a driver cursor after its statement has run and its rows have been fetched."""

    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None
    arraysize: int = 1

    def close(self) -> None:
        """Nothing to do: the driver's cursor is already closed."""


class _Cursor(AsyncAdapt_aiosqlite_cursor):
    """Executes, fetches and closes in one call to the connection's thread.

    SQLAlchemy's cursor makes a separate call for each step. Each call switches threads, which costs more than
    a SELECT by primary key.
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
            # With RETURNING, rowcount is correct only after the rows are fetched.
            finished = _Finished(cursor.description, cursor.rowcount, cursor.lastrowid)
            cursor.close()
            return finished, rows

        async with self._adapt_connection._execute_mutex:
            self._cursor, rows = await connection._execute(in_thread)
            self._rows = deque(rows)


class _Connection(AsyncAdapt_aiosqlite_connection):
    __slots__ = ()
    _cursor_cls = _Cursor

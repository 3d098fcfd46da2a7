# pyright: reportPrivateUsage=false
# SQLAlchemy offers no public place for a session without a transaction; tests/web/test_reading.py covers it.
"""The session of a GET or HEAD request: it only reads, and each statement stands by itself.

A BEGIN and a COMMIT around one SELECT cost more than the SELECT, and so does what SQLAlchemy keeps to know of
them. So the connection of this session begins no transaction, neither in SQLAlchemy nor in the database.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Never

from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import ORMExecuteState, Session


class ReadOnlySession(Session):
    """Refuses to write: safe methods change nothing (RFC 9110, section 9.2.1)."""

    _reading: Connection | None = None

    def _connection_for_bind(
        self,
        engine: Engine | Connection,
        execution_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Connection:
        if isinstance(engine, Connection):
            # Somebody else's, a test's for example, with whatever transaction it has.
            return super()._connection_for_bind(engine, execution_options, **options)
        if self._reading is None:
            self._reading = _connect(engine)
        if execution_options:
            self._reading.execution_options(**execution_options)
        return self._reading

    def close(self) -> None:
        super().close()
        self.release()

    def release(self) -> None:
        """Give the connection back; what was loaded stays, and the next statement takes another."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        if self.new or self.dirty or self.deleted:
            _refuse_to_write()
        super().flush(objects)


def configure(engine: Engine) -> None:
    """Make connections that a reading session gives back begin transactions again. For PostgreSQL."""

    @event.listens_for(engine, "reset")
    def on_reset(connection: Any, record: Any, state: Any) -> None:
        connection.autocommit = False

    _ = on_reset


def _connect(engine: Engine) -> Connection:
    # Looking for listeners in an engine that has none is slow enough to be seen.
    connection = Connection(engine, _has_events=None if engine._has_events else False, _allow_autobegin=False)
    if engine.dialect.name == "postgresql":
        # Otherwise SQLAlchemy's adapter of the driver begins a transaction before the first statement.
        connection.connection.dbapi_connection.autocommit = True  # type: ignore[union-attr]
    return connection


@event.listens_for(ReadOnlySession, "do_orm_execute")
def _refuse_statements_that_write(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        _refuse_to_write()


def _refuse_to_write() -> Never:
    raise RuntimeError(
        "A GET or HEAD handler tried to write. Make it POST, PUT, PATCH or DELETE; for bookkeeping beside the"
        " answer open a session of its own: `async with app.database.separate_transaction(db) as own:`."
    )

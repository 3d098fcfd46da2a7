# pyright: reportPrivateUsage=false
# SQLAlchemy offers no public place for a session without a transaction; tests/web/test_read_session.py covers
# it.
"""A session that only reads, without what SQLAlchemy keeps to know of a transaction."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, event

from app.database.read_session import ReadOnlySession


class FastReadOnlySession(ReadOnlySession):
    """Its connection begins no transaction, neither in SQLAlchemy nor in the database."""

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

"""The session of a GET or HEAD request: it only reads, and each statement stands by itself.

The connection of this session begins no transaction in the database: a BEGIN and a COMMIT around one SELECT
cost more than the SELECT, and on SQLite a transaction takes the write lock.
"""

from collections.abc import Sequence
from typing import Any, Never

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session

READS = "only_reads"
"""The execution option of a connection to SQLite that begins no transaction."""


class ReadOnlySession(Session):
    """Refuses to write: safe methods change nothing (RFC 9110, section 9.2.1)."""

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        if self.new or self.dirty or self.deleted:
            _refuse_to_write()
        super().flush(objects)

    def release(self) -> None:
        """Give the connection back; what was loaded stays, and the next statement takes another."""
        # A rollback would expire what was loaded. There is nothing to commit in the database.
        self.commit()


def build_maker(engine: AsyncEngine, *, fast_paths: bool) -> async_sessionmaker[AsyncSession]:
    """What makes sessions that read from *engine*."""
    session_class = ReadOnlySession
    if fast_paths:
        from app.database.fast_paths import read_session

        session_class = read_session.FastReadOnlySession
        if engine.dialect.name == "postgresql":
            read_session.configure(engine.sync_engine)
    elif engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    else:
        engine = engine.execution_options(**{READS: True})
    return async_sessionmaker(
        engine, sync_session_class=session_class, expire_on_commit=False, autoflush=False
    )


@event.listens_for(ReadOnlySession, "do_orm_execute")
def _refuse_statements_that_write(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        _refuse_to_write()


def _refuse_to_write() -> Never:
    raise RuntimeError(
        "A GET or HEAD handler tried to write. Make it POST, PUT, PATCH or DELETE; for bookkeeping beside the"
        " answer open a session of its own: `async with app.database.separate_transaction(db) as own:`."
    )

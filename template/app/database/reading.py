"""A read-only session for GET and HEAD requests, and a loader for the query that authenticates requests.

The session does not start a database transaction: BEGIN and COMMIT around a single SELECT cost more than the
SELECT itself, and on SQLite, a transaction takes the write lock.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Never

from sqlalchemy import ColumnElement, event, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Mapper, ORMExecuteState, Session, configure_mappers

if TYPE_CHECKING:
    from app.database.fast_paths import ColumnLoader

FAST_PATHS = "fast_paths"
"""The key in `Session.info` that indicates whether a session uses `fast_paths.py`."""
READS = "only_reads"
"""The execution option that keeps a SQLite connection from beginning a transaction."""


class ReadOnlySession(Session):
    """Rejects writes, because safe methods must not make changes (RFC 9110, section 9.2.1).

    It detects changed objects, `insert()`, `update()` and `delete()`, but not writes in `text("...")` or in a
    CTE.
    """

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        if self.new or self.dirty or self.deleted:
            _refuse_to_write()
        super().flush(objects)

    def release(self) -> None:
        """Return the connection, but keep the loaded objects. The next statement gets another connection."""
        # There is nothing to commit, but a rollback would expire the loaded objects.
        self.commit()


def build_maker(engine: AsyncEngine, *, fast_paths: bool) -> async_sessionmaker[AsyncSession]:
    """A factory for read-only sessions on *engine*."""
    session_class = ReadOnlySession
    if fast_paths:
        from app.database import fast_paths as fast

        session_class = fast.FastReadOnlySession
        if engine.dialect.name == "postgresql":
            fast.begin_again_after_reading(engine.sync_engine)
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


@event.listens_for(ReadOnlySession, "do_orm_execute")
def _stream_in_transaction(state: ORMExecuteState) -> None:
    """Stream rows in a transaction, as PostgreSQL requires, until the connection is returned."""
    if not state.execution_options.get("stream_results"):
        return
    connection = state.session.connection()
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "postgresql" and driver.autocommit:
        level = connection.default_isolation_level or "READ COMMITTED"
        connection.dialect.set_isolation_level(driver, level)


def _refuse_to_write() -> Never:
    raise RuntimeError(
        "A GET or HEAD handler tried to write. Make it POST, PUT, PATCH or DELETE. For bookkeeping that is"
        " not part of the response, use `async with app.database.separate_transaction(db) as own:`."
    )


class Joined:
    """Loads joined rows from several tables, one object per table.

    The result is the same as with `db.execute(select(User, UserSession)...)`: the session has one object for
    each row of a table, refreshed from the result.
    """

    def __init__(self, *models: type[Any], on: ColumnElement[bool], where: ColumnElement[bool]) -> None:
        """*where* has a `bindparam` for each value that differs between calls."""
        self._models = models
        self._conditions = (on, where)
        # Refresh an object from its row, even if the object is already in the session.
        self._statement = select(*models).where(on, where).execution_options(populate_existing=True)

    async def one(self, db: AsyncSession, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The matching row as one object per model, in the order of the models, or None if no row matches."""
        return await db.run_sync(self._one, parameters)

    def _one(self, db: Session, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        if db.info.get(FAST_PATHS) and self._columns is not None:
            statement, loaders = self._columns
            row = db.connection().execute(statement, parameters).one_or_none()
            if row is None:
                return None
            if not any(loader.knows(db, row) for loader in loaders):
                return tuple(loader.load(db, row) for loader in loaders)
        found = db.execute(self._statement, parameters).one_or_none()
        return None if found is None else tuple(found)

    @cached_property
    def _columns(self) -> tuple[Any, list["ColumnLoader"]] | None:
        """A statement for the columns, and loaders for its rows. None if a model needs the ORM's loaders."""
        from app.database.fast_paths import ColumnLoader, is_plain

        configure_mappers()
        mappers: list[Mapper[Any]] = [inspect(model) for model in self._models]
        if not all(is_plain(mapper) for mapper in mappers):
            return None
        loaders: list[ColumnLoader] = []
        columns: list[Any] = []
        for mapper in mappers:
            loader = ColumnLoader(mapper, len(columns))
            loaders.append(loader)
            columns += loader.columns
        return select(*columns).where(*self._conditions), loaders

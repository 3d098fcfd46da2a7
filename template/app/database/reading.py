"""How GET and HEAD read: a session that refuses to write, and the query that every request makes.

The connection of such a session begins no transaction in the database: a BEGIN and a COMMIT around one SELECT
cost more than the SELECT, and on SQLite a transaction takes the write lock.
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
"""The key of `Session.info` that says whether a session takes the ways of `fast_paths.py`."""
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


def _refuse_to_write() -> Never:
    raise RuntimeError(
        "A GET or HEAD handler tried to write. Make it POST, PUT, PATCH or DELETE; for bookkeeping beside the"
        " answer open a session of its own: `async with app.database.separate_transaction(db) as own:`."
    )


class Joined:
    """The rows of several tables that belong together, as one object of each.

    What comes out is what `db.execute(select(User, UserSession)...)` gives: the same object for the same row,
    as it is now.
    """

    def __init__(self, *models: type[Any], on: ColumnElement[bool], where: ColumnElement[bool]) -> None:
        """*where* has `bindparam`s for what differs from call to call."""
        self._models = models
        self._conditions = (on, where)
        # As the rows are now, also when a request asks a second time.
        self._statement = select(*models).where(on, where).execution_options(populate_existing=True)

    async def one(self, db: AsyncSession, parameters: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The one match, an object for each model in their order, or None."""
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
        """A statement for columns, and what reads its rows; None where a model asks for more than those."""
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

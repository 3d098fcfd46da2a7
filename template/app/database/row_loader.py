"""For a query that every request makes: the rows of several tables that belong together.

What comes out is what `session.execute(select(User, UserSession)...)` gives: the same object for the same
row, as it is now.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, Session, configure_mappers

from app.database import fast_paths

if TYPE_CHECKING:
    from app.database.fast_paths.column_loader import ColumnLoader


class Joined:
    """The rows of several tables that belong together, as one object of each."""

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
        if fast_paths.are_on(db) and self._columns is not None:
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
        from app.database.fast_paths.column_loader import ColumnLoader, is_plain

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

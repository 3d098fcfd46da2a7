# pyright: reportPrivateUsage=false
# SQLAlchemy has no public way to put a row into a session but through its loaders; tests/test_loading.py
# covers what is done here, and the dependency is pinned below 2.2.
"""For a query that every request makes: objects of a session without the ORM's loaders.

To set the loaders up for two objects takes SQLAlchemy longer than all the rest of the query. What comes out
is what `session.execute(select(User, UserSession)...)` gives: the same object for the same row, as it is now.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapper, Session, configure_mappers
from sqlalchemy.orm.attributes import instance_state

_LOADED_LATER = {"select", True, "raise", "raise_on_sql", "noload", None, "write_only", "dynamic"}


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
        if self._plain is not None:
            statement, loaders = self._plain
            row = db.connection().execute(statement, parameters).one_or_none()
            if row is None:
                return None
            if not any(loader.knows(db, row) for loader in loaders):
                return tuple(loader.load(db, row) for loader in loaders)
        found = db.execute(self._statement, parameters).one_or_none()
        return None if found is None else tuple(found)

    @cached_property
    def _plain(self) -> tuple[Any, list["_Loader"]] | None:
        """A statement for columns, and what reads its rows; None where a model asks for more than those."""
        configure_mappers()
        mappers: list[Mapper[Any]] = [inspect(model) for model in self._models]
        if not all(_is_plain(mapper) for mapper in mappers):
            return None
        loaders: list[_Loader] = []
        columns: list[Any] = []
        for mapper in mappers:
            loader = _Loader(mapper, len(columns))
            loaders.append(loader)
            columns += loader.columns
        return select(*columns).where(*self._conditions), loaders


class _Loader:
    """Makes an object of a session from the columns of a row that begin at *start*."""

    def __init__(self, mapper: Mapper[Any], start: int) -> None:
        attributes = list(mapper.column_attrs)
        columns: list[Any] = [each.columns[0] for each in attributes]
        # Two tables may have columns of the same name.
        self.columns = [column.label(f"column_{start + index}") for index, column in enumerate(columns)]
        self._manager = mapper.class_manager
        self._identity = mapper.identity_key_from_primary_key
        self._names = [each.key for each in attributes]
        self._part = slice(start, start + len(columns))
        self._key = [start + columns.index(column) for column in mapper.primary_key]

    def knows(self, db: Session, row: Sequence[Any]) -> bool:
        """Whether the session has an object for the row already, with changes perhaps."""
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


def _is_plain(mapper: Mapper[Any]) -> bool:
    """Whether to load an object is to load its columns, and nothing has to be told of it."""
    eager = any(each.lazy not in _LOADED_LATER for each in mapper.relationships)
    deferred = any(each.deferred or len(each.columns) != 1 for each in mapper.column_attrs)
    return not (eager or deferred or mapper.polymorphic_on is not None or mapper.class_manager.dispatch.load)

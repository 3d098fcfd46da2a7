# pyright: reportPrivateUsage=false
# SQLAlchemy has no public way to put a row into a session but through its loaders; the dependency is pinned
# below 2.2 for that reason.
"""Objects of a session from plain columns, without the ORM's loaders.

To set the loaders up for two objects takes SQLAlchemy longer than all the rest of the query.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Mapper, Session
from sqlalchemy.orm.attributes import instance_state

_LOADED_LATER = {"select", True, "raise", "raise_on_sql", "noload", None, "write_only", "dynamic"}


class ColumnLoader:
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


def is_plain(mapper: Mapper[Any]) -> bool:
    """Whether to load an object is to load its columns, and nothing has to be told of it."""
    eager = any(each.lazy not in _LOADED_LATER for each in mapper.relationships)
    deferred = any(each.deferred or len(each.columns) != 1 for each in mapper.column_attrs)
    return not (eager or deferred or mapper.polymorphic_on is not None or mapper.class_manager.dispatch.load)

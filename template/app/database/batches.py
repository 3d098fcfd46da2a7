"""Deletes many rows in short transactions, for periodic tasks. Template-owned.

A single statement that deletes a million rows would exceed DATABASE_TIMEOUT and, on SQLite, block all other
writers.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from hawkapi_sqlalchemy import Base, Database
from sqlalchemy import ColumnElement, delete, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

BATCH = 1000
"""Rows per batch. PostgreSQL deletes this many sessions in tens of milliseconds."""


async def delete_batch(
    db: AsyncSession, model: type[Base], where: ColumnElement[bool], order: InstrumentedAttribute[Any]
) -> int:
    """Delete up to BATCH rows of *model*, in the order of the indexed column *order*. Returns the number of
    rows deleted."""
    (key,) = inspect(model).primary_key
    # Skip rows that another worker is deleting. SQLAlchemy omits the locks for SQLite, which allows only
    # one writer.
    some = select(key.label("key")).where(where).order_by(order).limit(BATCH)
    some = some.with_for_update(skip_locked=True).cte("some")
    statement = delete(model).where(key.in_(select(some.c.key)))
    deleted = await db.execute(statement.returning(key).execution_options(synchronize_session=False))
    return len(deleted.all())


async def delete_all(database: Database, delete_some: Callable[[AsyncSession], Awaitable[int]]) -> None:
    """Call *delete_some*, each time in a new transaction, until it deletes fewer than BATCH rows."""
    deleted = BATCH
    while deleted >= BATCH:
        async with database.session() as db:
            deleted = await delete_some(db)

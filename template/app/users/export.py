"""Export all data stored about a user (GDPR, article 15).

The export includes the rows of every table with a foreign key to the accounts, including your own tables.
Mark a column that must stay out, such as a hash, with `info=SECRET`.
"""

from typing import Any

from sqlalchemy import Table, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Base
from app.users.audit import events_of
from app.users.models import User
from app.users.schemas import Export, exported_event


async def everything_about(db: AsyncSession, user: User) -> Export:
    """The account, the rows that refer to it and its events. Columns marked SECRET are left out."""
    return Export(
        account=account_of(user),
        related_records=await belongings_of(db, user),
        events=[exported_event(each) for each in await events_of(db, user.id)],
    )


def account_of(user: User) -> dict[str, Any]:
    """The account's column values, without columns marked SECRET."""
    name_of = User.__mapper__.get_property_by_column
    return {column.name: getattr(user, name_of(column).key) for column in _open_columns(_accounts())}


async def belongings_of(db: AsyncSession, user: User) -> dict[str, list[dict[str, Any]]]:
    """The rows that refer to the account, by table name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in Base.metadata.sorted_tables:
        owners = [column for column in table.columns if column.references(_accounts().c.id)]
        if not owners or table is _accounts():
            continue
        # One query per table, so that a row that refers to the account twice appears once.
        mine = select(*_open_columns(table)).where(or_(*(owner == user.id for owner in owners)))
        rows = await db.execute(mine)
        names = rows.keys()
        found[table.name] = [dict(zip(names, row, strict=True)) for row in rows]
    return found


def _accounts() -> Table:
    return Base.metadata.tables[User.__tablename__]


def _open_columns(table: Table) -> list[Any]:
    return [column for column in table.columns if not column.info.get("secret")]

"""Export all data stored about a user (GDPR, article 15).

The export covers every table with a foreign key to the accounts table, including your own tables. To leave
out a column, such as a hash, mark it with `info=SECRET`.

An account may have a million rows, so the document is written one batch of rows at a time. Batches are small
for tables whose rows can be large. Each batch is read in its own database session, so a slow client does not
hold a connection. The batches are read at different times, so a row that is added or deleted during the
export may or may not be in the document.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import JSON, LargeBinary, Table, or_, select, tuple_

from app.database import Base
from app.services import Services
from app.users.audit import events_of
from app.users.models import User
from app.users.schemas import PublicEvent, exported_event

BATCH = 500
"""Rows per batch. The event loop can serve other requests only between batches."""
TEXT_BATCH = 20
"""Rows per batch for a table that has JSON or unbounded text columns. MAX_BODY_SIZE limits most such rows to
1 MB."""

_json = msgspec.json.Encoder(enc_hook=str).encode
"""Encodes values that have no JSON type, such as IP addresses, as text."""


def everything_about(services: Services, user: User) -> AsyncGenerator[bytes]:
    """An `Export` as JSON, in chunks: the account, the rows that refer to it, and its events. Columns marked
    SECRET are left out."""
    return _document(services, user.id)


async def _account(services: Services, user_id: str) -> dict[str, Any]:
    """The account's column values, including deferred columns but not columns marked SECRET."""
    columns = _open_columns(_accounts())
    async with services.reading() as db:
        row = (await db.execute(select(*columns).where(_accounts().c.id == user_id))).one_or_none()
    return {} if row is None else dict(zip([str(each.name) for each in columns], row, strict=True))


async def _document(services: Services, user_id: str) -> AsyncGenerator[bytes]:
    yield b'{"account":' + _json(await _account(services, user_id)) + b',"related_records":{'
    between = b""
    for table in Base.metadata.sorted_tables:
        if _owners_in(table):
            yield between + _json(str(table.name)) + b":"
            async for part in _array(_rows(services, table, user_id)):
                yield part
            between = b","
    yield b'},"events":'
    async for part in _array(_events(services, user_id)):
        yield part
    yield b"}"


async def _array(batches: AsyncIterator[Sequence[Any]]) -> AsyncGenerator[bytes]:
    """A JSON array in chunks, with one item per line."""
    yield b"["
    between = b"\n"
    async for batch in batches:
        yield between + b",\n".join(map(_json, batch))
        between = b",\n"
    yield b"]"


async def _rows(services: Services, table: Table, user_id: str) -> AsyncGenerator[list[dict[str, Any]]]:
    """The rows in *table* that refer to the account, in batches, ordered by primary key."""
    columns, key = _open_columns(table), list(table.primary_key.columns)
    size = _batch_size(columns)
    # One query per table, so a row that refers to the account twice appears only once.
    mine = or_(*(owner == user_id for owner in _owners_in(table)))
    query = select(*columns, *key).where(mine).order_by(*key)
    if key:
        query = query.limit(size)
    page = query
    while True:
        async with services.reading() as db:
            rows = (await db.execute(page)).all()
        if rows:
            names = [str(column.name) for column in columns]
            yield [dict(zip(names, row, strict=False)) for row in rows]
        if not key or len(rows) < size:
            return
        page = query.where(tuple_(*key) > tuple(rows[-1])[len(columns) :])


def _batch_size(columns: list[Any]) -> int:
    """Rows per batch: one if a row may contain a file, so that an export needs little memory."""
    if any(isinstance(column.type, LargeBinary) for column in columns):
        return 1
    has_limit = all(
        getattr(column.type, "length", 0) is not None and not isinstance(column.type, JSON)
        for column in columns
    )
    return BATCH if has_limit else min(BATCH, TEXT_BATCH)


async def _events(services: Services, user_id: str) -> AsyncGenerator[list[PublicEvent]]:
    """The account's events, in batches, newest first."""
    before: int | None = None
    while True:
        async with services.reading() as db:
            found = await events_of(db, user_id, before=before, limit=BATCH)
        if found:
            yield [exported_event(each) for each in found]
        if len(found) < BATCH:
            return
        before = found[-1].id


def _accounts() -> Table:
    return Base.metadata.tables[User.__tablename__]


def _owners_in(table: Table) -> list[Any]:
    """The columns of *table* that refer to an account."""
    accounts = _accounts()
    return [] if table is accounts else [each for each in table.columns if each.references(accounts.c.id)]


def _open_columns(table: Table) -> list[Any]:
    return [column for column in table.columns if not column.info.get("secret")]

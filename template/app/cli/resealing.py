"""`app db reseal`: uses SECRET_KEY to re-encrypt values encrypted with an earlier secret. Template-owned."""

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.common import application, fail, friendly_errors

if TYPE_CHECKING:
    from sqlalchemy import Column, Row
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.keys import KeyRing
    from app.web import App

type _State = Literal["with SECRET_KEY", "encrypted again", "with an earlier secret", "unreadable"]
_BATCH = 500
"""Rows per transaction. On SQLite, a transaction blocks all other writers."""


@friendly_errors
def reseal(
    check: Annotated[bool, typer.Option("--check", help="Only count values, and change nothing.")] = False,
) -> None:
    """Use SECRET_KEY to re-encrypt values encrypted with the secrets in SECRET_KEY_FALLBACKS.

    The application can keep running with the new SECRET_KEY. Afterwards, the database no longer needs
    SECRET_KEY_FALLBACKS. With --check, the exit code is 1 if any value still needs a fallback or cannot
    be decrypted.
    """
    found = asyncio.run(_reseal_all(change=not check))
    if lost := found["unreadable"]:
        fail(
            f"{lost} of the values cannot be decrypted with any known secret. If you still have the secret"
            " that they were encrypted with, add it to SECRET_KEY_FALLBACKS."
        )
    if older := found["with an earlier secret"]:
        fail(f"{older} of the values still need SECRET_KEY_FALLBACKS: run `uv run app db reseal`.")
    typer.echo("Nothing in the database needs SECRET_KEY_FALLBACKS.")


async def _reseal_all(*, change: bool) -> Counter[_State]:
    """Print a line for each encrypted column, and return the number of values in each state."""
    from app.database import Base
    from app.keys import SEALED

    total = Counter[_State]()
    async with application() as app:
        for table in Base.metadata.sorted_tables:
            for column in table.columns:
                if SEALED in column.info:
                    found = await _reseal(app, column, change=change)
                    total += found
                    counts = ", ".join(f"{number} {state}" for state, number in found.items())
                    typer.echo(f"{table.name}.{column.name}: {counts or 'empty'}")
    return total


async def _reseal(app: "App", column: "Column[Any]", *, change: bool) -> Counter[_State]:
    from app.keys import SEALED, KeyRing

    keys = KeyRing.of(app.state.settings, column.info[SEALED])
    found, last = Counter[_State](), None
    while True:
        async with app.state.db.session() as db:
            rows = await _rows_after(db, column, last)
            for row in rows:
                found[await _reseal_row(db, column, row, keys, change=change)] += 1
        if not rows:
            return found
        last = rows[-1]


async def _rows_after(db: "AsyncSession", column: "Column[Any]", last: "Row[Any] | None") -> list["Row[Any]"]:
    """The next rows after *last* whose *column* is not empty. Each row has the value and the primary key."""
    from sqlalchemy import select, tuple_

    key = column.table.primary_key.columns
    following = select(column, *key).where(column.is_not(None), column != "").order_by(*key).limit(_BATCH)
    if last is not None:
        following = following.where(tuple_(*key) > tuple_(*last[1:]))
    return list(await db.execute(following))


async def _reseal_row(
    db: "AsyncSession", column: "Column[Any]", row: "Row[Any]", keys: "KeyRing", *, change: bool
) -> _State:
    from sqlalchemy import update

    from app.keys import CannotDecrypt

    sealed, *key = row
    if keys.is_current(sealed):
        return "with SECRET_KEY"
    try:
        plain = keys.decrypt(sealed)
    except CannotDecrypt:
        return "unreadable"
    if not change:
        return "with an earlier secret"
    # If a new value has been written since the row was read, keep the new value.
    same = [each == value for each, value in zip(column.table.primary_key.columns, key, strict=True)]
    await db.execute(
        update(column.table).where(*same, column == sealed).values({column: keys.encrypt(plain)})
    )
    return "encrypted again"

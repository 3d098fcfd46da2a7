"""Pagination of lists. Template-owned.

    @router.get("", status_code=200)
    async def list_things(user: CurrentUser, page: Paging, db: Db) -> Page[PublicThing]:
        mine = select(Thing).where(Thing.owner_id == user.id)
        return await paginate(db, mine, page, by=[Thing.created_at.desc()], show=public)

Each page starts after the last row of the previous page (keyset pagination). Reading the thousandth page
therefore costs no more than reading the first, and rows that are added or deleted between requests do not
cause other rows to be repeated or skipped. The table needs an index on the columns in the query's condition,
the columns in `by` and the primary key, in that order:

    __table_args__ = (Index(None, "owner_id", "created_at", "id"),)
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
from hawkapi import Depends
from sqlalchemy import ColumnElement, Select, String, and_, inspect, literal, or_, tuple_
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine

from app.database import services_of_session
from app.keys import CannotDecrypt, KeyRing
from app.web.framework.openapi_metadata import responds
from app.web.framework.parameters import Reader, query
from app.web.problems import Problem, invalid

PURPOSE = "cursor"
_MAX_LENGTH = 255
"""Maximum length of a text column to sort by. The cursor contains the text, and must fit into an 8 KB URL."""


class Page[T](msgspec.Struct):
    """One page of a list."""

    items: list[T]
    next: Annotated[
        str | None, msgspec.Meta(description="The `cursor` value for the next page. Null on the last page.")
    ]


class PageQuery(msgspec.Struct):
    """The query parameters that a list accepts. Subclass this to add filters or to change the limits."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    cursor: Annotated[
        str, msgspec.Meta(max_length=4096, description="The `next` value from the previous page.")
    ] = ""


def page_query(model: type[PageQuery]) -> Reader:
    """A dependency that reads *model*: `Annotated[ThingQuery, Depends(page_query(ThingQuery))]`."""
    return responds(
        {400: {"invalid_cursor": "The cursor is not the `next` value from a page of this list."}}
    )(query(model))


Paging = Annotated[PageQuery, Depends(page_query(PageQuery))]
"""The parameter type for list handlers that have no other query parameters."""


async def paginate[Row, Item](
    db: AsyncSession,
    rows: Select[Row],
    page: PageQuery,
    *,
    by: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    show: Callable[[Row], Item],
) -> Page[Item]:
    """Read one page of *rows*.

    *by*: the columns to sort by, with `column.desc()` for descending order. The primary key is appended so
    that the order is unambiguous. *show*: converts a row into the item to send.

    Raises:
        Problem: the cursor was modified, or belongs to a list with a different table or order (400,
            `invalid_cursor`).
        ValueError: *by* contains a column that cannot be used for sorting, or *rows* joins a collection. The
            error message says what to change.
    """
    columns, descending = _order(rows, by)
    directed = [each.desc() if down else each.asc() for each, down in zip(columns, descending, strict=True)]
    order = ", ".join(str(each) for each in directed)
    keys = KeyRing.of(services_of_session(db).settings, PURPOSE)
    statement = rows.add_columns(*columns).order_by(None).order_by(*directed).limit(page.limit + 1)
    if page.cursor:
        last = _last_row(keys.decrypt, page.cursor, order, columns)
        statement = statement.where(_after(columns, descending, last))
    result = await db.execute(statement)
    try:
        found = result.all()
    except InvalidRequestError as error:
        raise ValueError(
            "A page cannot join a collection, because the join repeats each row once per item. Load the"
            ' collection with selectinload(...) or relationship(lazy="selectin").'
        ) from error
    shown = found[: page.limit]
    more = len(found) > page.limit
    following = keys.encrypt(msgspec.json.encode((order, *shown[-1][1:])).decode()) if more else None
    return Page([show(row[0]) for row in shown], following)


def _order(rows: Select[Any], by: Sequence[Any]) -> tuple[list[ColumnElement[Any]], list[bool]]:
    """The columns to sort by, including the primary key, and whether each one is in descending order."""
    columns: list[ColumnElement[Any]] = []
    descending: list[bool] = []
    for each in by:
        element: Any = each.__clause_element__() if hasattr(each, "__clause_element__") else each
        direction = getattr(element, "modifier", None)
        if direction in (operators.asc_op, operators.desc_op):
            element = element.element
        _check(element)
        columns.append(element)
        descending.append(direction is operators.desc_op)
    entity = rows.column_descriptions[0]["entity"]
    mapper = inspect(entity).mapper
    names = [str(each) for each in columns]
    for key in mapper.primary_key:
        column = getattr(entity, mapper.get_property_by_column(key).key).__clause_element__()
        if str(column) not in names:
            columns.append(column)
            # Use the direction of the preceding column, so that an index can be read in one direction.
            descending.append(bool(descending) and descending[-1])
    return columns, descending


def _check(column: Any) -> None:
    if getattr(column, "nullable", False):
        raise ValueError(
            f"A list cannot be sorted by {column}, because it can be NULL, which is neither before nor after"
            " a value. Make the column NOT NULL, or sort by func.coalesce(column, value)."
        )
    if isinstance(column.type, String) and not 0 < (column.type.length or 0) <= _MAX_LENGTH:
        raise ValueError(
            f"A list cannot be sorted by {column}, because its text may be too long for a cursor. Give the"
            f" column a length of at most {_MAX_LENGTH}: String({_MAX_LENGTH})."
        )


def _last_row(
    decrypt: Callable[[str], str], cursor: str, order: str, columns: Sequence[ColumnElement[Any]]
) -> Sequence[Any]:
    """The sort values of the last row on the previous page, read from *cursor*."""
    kind: Any = tuple[str, *(_python_type(each.type) for each in columns)]
    try:
        found = msgspec.json.decode(decrypt(cursor), type=kind)
    except (CannotDecrypt, msgspec.ValidationError):
        found = ("",)
    if found[0] != order:
        raise Problem(
            400,
            "The cursor is not the `next` value from a page of this list. Request the list without `cursor`.",
            code="invalid_cursor",
            errors=invalid("cursor", "The cursor is not the `next` value from a page.").errors,
        )
    return found[1:]


def _python_type(kind: TypeEngine[Any]) -> type[Any]:
    return _python_type(kind.impl_instance) if isinstance(kind, TypeDecorator) else kind.python_type


def _after(
    columns: Sequence[ColumnElement[Any]], descending: Sequence[bool], values: Sequence[Any]
) -> ColumnElement[bool]:
    """The condition for rows that come after the row with these *values*."""
    bound = [literal(value, each.type) for value, each in zip(values, columns, strict=True)]
    if len(set(descending)) == 1:
        row, last = tuple_(*columns), tuple_(*bound)
        return row < last if descending[0] else row > last
    beyond = [
        each < value if down else each > value
        for each, value, down in zip(columns, bound, descending, strict=True)
    ]
    equal = [each == value for each, value in zip(columns, bound, strict=True)]
    # `first` is logically redundant, but tells the database where to start in the index.
    first = columns[0] <= bound[0] if descending[0] else columns[0] >= bound[0]
    return and_(first, or_(*(and_(*equal[:place], each) for place, each in enumerate(beyond))))

"""Pages of a list: every row appears once, whatever is added in the meantime, and only the list's own cursors
work.
"""

import base64
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr
from sqlalchemy import ForeignKey, Index, String, Text, event, func, select, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column, relationship, selectinload

from app import clock, database
from app.clock import UTCDateTime
from app.database import Db
from app.web import App
from app.web.pagination import Page, PageQuery, Paging, paginate
from tests.conftest import change_settings
from tests.web.conftest import connect, make_app


class Tables(DeclarativeBase):
    pass


class Size(Enum):
    LARGE = "l"
    SMALL = "s"


class Post(Tables):
    __tablename__ = "pagination_posts"
    __table_args__ = (
        Index("ix_pagination_posts_rank", "rank", "id"),
        Index("ix_pagination_posts_mixed", text("rank DESC"), "title", "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    title: Mapped[str] = mapped_column(String(50))
    rank: Mapped[int]
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    size: Mapped[Size]
    text: Mapped[str] = mapped_column(Text, default="")
    label: Mapped[str | None] = mapped_column(String(10), default=None)


class Topic(Tables):
    __tablename__ = "pagination_topics"
    id: Mapped[int] = mapped_column(primary_key=True)
    replies: Mapped[list["Reply"]] = relationship(lazy="joined")


class Reply(Tables):
    __tablename__ = "pagination_replies"
    id: Mapped[int] = mapped_column(primary_key=True)
    topic_id: Mapped[int] = mapped_column(ForeignKey("pagination_topics.id"))


NOW = clock.now()


def post(number: int) -> Post:
    """A new post. Many posts have the same rank, title and time."""
    return Post(
        id=f"{number * 7919 % 10007:05}",
        title=f"title {number % 3}",
        rank=number % 4,
        at=NOW + timedelta(microseconds=number % 5),
        size=list(Size)[number % 2],
        label="x" if number % 2 else None,
    )


ORDERS: dict[str, tuple[list[Any], Any]] = {
    "id": ([], lambda row: row.id),
    "id-desc": ([Post.id.desc()], lambda row: -int(row.id)),
    "rank": ([Post.rank], lambda row: (row.rank, row.id)),
    "rank-desc": ([Post.rank.desc()], lambda row: (-row.rank, -int(row.id))),
    "time": ([Post.at.desc()], lambda row: (NOW - row.at, -int(row.id))),
    "mixed": ([Post.rank.desc(), Post.title], lambda row: (-row.rank, row.title, row.id)),
    "three": (
        [Post.title, Post.at.desc(), Post.rank],
        lambda row: (row.title, NOW - row.at, row.rank, row.id),
    ),
    "enum": ([Post.size], lambda row: (row.size.name, row.id)),
    "expression": ([func.coalesce(Post.label, "")], lambda row: (row.label or "", row.id)),
}
"""The sort orders, keyed by name: the columns to sort by, and the equivalent key for `sorted`."""


class PublicPost(msgspec.Struct):
    id: str


def shown(row: Any) -> PublicPost:
    return PublicPost(row.id)


@pytest.fixture
async def listing(settings) -> AsyncIterator[App]:
    """An application with one list for each of `ORDERS`, and an empty table."""
    engine = create_async_engine(settings.database_url.get_secret_value())
    async with engine.begin() as connection:
        await connection.run_sync(Tables.metadata.create_all)
    app = make_app()
    app.state.settings = settings
    database.connect(app)
    for name, (by, _) in ORDERS.items():
        _add_list(app, name, by)
    yield app
    await app.state.db.dispose()
    async with engine.begin() as connection:
        await connection.run_sync(Tables.metadata.drop_all)
    await engine.dispose()


def _add_list(app: App, name: str, by: list[Any]) -> None:
    @app.get(f"/{name}", status_code=200)
    async def handler(page: Paging, db: Db) -> Page[PublicPost]:
        return await paginate(db, select(Post), page, by=by, show=shown)


@pytest.fixture
async def http(listing) -> AsyncIterator[Any]:
    async with connect(listing) as client:
        yield client


@pytest.fixture
def add(listing):
    """`await add(rows)`: add *rows* to the table."""

    async def store(rows: list[Post]) -> list[Post]:
        async with listing.state.db.session() as session:
            session.add_all(rows)
        return rows

    return store


async def walk(http: Any, path: str, limit: int) -> tuple[list[str], int]:
    """The ids on all pages, and the number of pages."""
    ids, pages, cursor = [], 0, ""
    while cursor is not None:
        page = (await http.get(path, params={"limit": limit, "cursor": cursor})).json()
        ids += [each["id"] for each in page["items"]]
        pages, cursor = pages + 1, page["next"]
    return ids, pages


@pytest.mark.parametrize("limit", [1, 4, 100])
@pytest.mark.parametrize("name", ORDERS)
async def test_the_pages_have_every_row_once_in_order(http, add, name, limit):
    rows = await add([post(number) for number in range(24)])

    ids, pages = await walk(http, f"/{name}", limit)

    assert ids == [row.id for row in sorted(rows, key=ORDERS[name][1])]
    assert pages == -(-24 // limit)


async def test_an_empty_list_has_one_page(http):
    assert (await http.get("/rank")).json() == {"items": [], "next": None}


@pytest.mark.parametrize("name", ["rank", "mixed"])
async def test_rows_that_come_and_go_neither_repeat_nor_hide_others(http, add, listing, name):
    rows = sorted(await add([post(number) for number in range(12)]), key=ORDERS[name][1])
    first = (await http.get(f"/{name}", params={"limit": 6})).json()

    before = Post(id="-1", title="title 0", rank=rows[0].rank, at=NOW, size=Size.SMALL)
    await add([before])
    async with listing.state.db.session() as session:
        # These rows include the one that the cursor points to.
        for row in rows[4:6]:
            await session.delete(await session.get_one(Post, row.id))
    second = (await http.get(f"/{name}", params={"limit": 6, "cursor": first["next"]})).json()

    assert [each["id"] for each in second["items"]] == [row.id for row in rows[6:]]


async def test_rows_of_an_alias_can_be_paginated(listing, http, add):
    rows = await add([post(number) for number in range(5)])
    other = aliased(Post)

    @listing.get("/aliased", status_code=200)
    async def handler(page: Paging, db: Db) -> Page[PublicPost]:
        return await paginate(db, select(other), page, by=[other.rank.desc()], show=shown)

    ids, _ = await walk(http, "/aliased", 2)

    assert ids == [row.id for row in sorted(rows, key=ORDERS["rank-desc"][1])]


# The cursor


@pytest.fixture
async def cursor(http, add) -> str:
    """The cursor of the second page of `/three`."""
    await add([post(number) for number in range(6)])
    return (await http.get("/three", params={"limit": 2})).json()["next"]


async def refused(http: Any, path: str, cursor: str) -> None:
    answer = await http.get(path, params={"cursor": cursor})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_cursor")
    assert "Request the list without `cursor`." in answer.json()["detail"]


@pytest.mark.parametrize("wrong", ["x", "ü", " ", "A" * 200, "gAAAAA==", "null"])
async def test_an_invented_cursor_is_refused(http, wrong):
    await refused(http, "/three", wrong)


async def test_a_changed_cursor_is_refused(http, cursor):
    content = bytearray(base64.urlsafe_b64decode(cursor))
    for place in range(0, len(content), 8):
        changed = content.copy()
        changed[place] ^= 1
        await refused(http, "/three", base64.urlsafe_b64encode(changed).decode())


@pytest.mark.parametrize(
    ("name", "other"), [("id", "id-desc"), ("rank", "rank-desc"), ("mixed", "three"), ("three", "id")]
)
async def test_the_cursor_of_another_list_is_refused(http, add, name, other):
    await add([post(number) for number in range(6)])
    cursor = (await http.get(f"/{name}", params={"limit": 2})).json()["next"]

    await refused(http, f"/{other}", cursor)


async def test_a_cursor_shows_no_values(cursor):
    assert b"title" not in base64.urlsafe_b64decode(cursor)


async def test_a_cursor_outlives_a_change_of_the_secret_key(http, cursor, listing, settings):
    old = settings.secret_key.get_secret_value()
    listing.state.settings = change_settings(
        settings, secret_key=SecretStr("fedcba98" * 8), secret_key_fallbacks=[SecretStr(old)]
    )
    assert (await http.get("/three", params={"cursor": cursor})).status_code == 200

    listing.state.settings = change_settings(settings, secret_key=SecretStr("fedcba98" * 8))
    await refused(http, "/three", cursor)


# Columns that cannot be sorted by


@pytest.mark.parametrize(
    ("column", "reason"),
    [(Post.label, "because it can be NULL"), (Post.label.desc(), "NOT NULL"), (Post.text, r"String\(255\)")],
)
async def test_a_column_without_an_order_is_refused(listing, column, reason):
    with pytest.raises(ValueError, match=reason):
        async with listing.state.reading() as db:
            await paginate(db, select(Post), PageQuery(), by=[column], show=shown)


# Rows with a collection


@pytest.fixture
async def topic(listing):
    async with listing.state.db.session() as db:
        db.add(Topic(id=1, replies=[Reply(), Reply()]))


@pytest.mark.usefixtures("topic")
async def test_a_collection_that_is_joined_is_refused(listing):
    with pytest.raises(ValueError, match="selectinload"):
        async with listing.state.reading() as db:
            await paginate(db, select(Topic), PageQuery(), by=[], show=shown)


@pytest.mark.usefixtures("topic")
async def test_a_collection_can_be_loaded_separately(listing):
    async with listing.state.reading() as db:
        topics = select(Topic).options(selectinload(Topic.replies))
        page = await paginate(db, topics, PageQuery(), by=[], show=lambda row: len(row.replies))

    assert page.items == [2]


# The query


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=" + "x" * 5000])
async def test_an_invalid_parameter_is_400(http, query):
    answer = await http.get(f"/rank?{query}")

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")


@pytest.mark.parametrize("name", ["rank", "rank-desc", "mixed"])
async def test_a_page_far_down_the_list_is_read_from_the_index(http, add, listing, settings, name):
    await add([post(number) for number in range(3000)])
    first = (await http.get(f"/{name}", params={"limit": 100})).json()
    async with listing.state.db.session() as db:
        await db.execute(text("ANALYZE"))
    sent = []
    for each in listing.state.db.engines.values():
        event.listen(each.engine.sync_engine, "before_cursor_execute", lambda *call: sent.append(call[2:4]))

    await http.get(f"/{name}", params={"limit": 5, "cursor": first["next"]})

    [(statement, parameters)] = [each for each in sent if "pagination_posts" in each[0]]
    explain = "EXPLAIN QUERY PLAN " if listing.state.db.get().engine.dialect.name == "sqlite" else "EXPLAIN "
    async with listing.state.db.get().engine.connect() as connection:
        rows = await connection.exec_driver_sql(explain + statement, parameters)
        plan = "\n".join(str(tuple(row)) for row in rows)
    assert "OFFSET" not in statement.split("LIMIT")[0]
    assert "ix_pagination_posts" in plan
    assert not [word for word in ("Seq Scan", "SCAN", "Sort", "TEMP B-TREE") if word in plan], plan


def test_a_list_is_documented(listing):
    document = listing.openapi()
    operation = document["paths"]["/rank"]["get"]

    assert {each["name"]: each["required"] for each in operation["parameters"]} == {
        "limit": False,
        "cursor": False,
    }
    content = operation["responses"]["200"]["content"]["application/json"]["schema"]
    schema = document["components"]["schemas"][content["$ref"].rpartition("/")[2]]
    assert schema["properties"]["items"]["items"] == {"$ref": "#/components/schemas/PublicPost"}
    assert schema["required"] == ["items", "next"]
    codes = operation["responses"]["400"]["content"]["application/problem+json"]["schema"]["allOf"][1]
    assert "invalid_cursor" in codes["properties"]["code"]["enum"]

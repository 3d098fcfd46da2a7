"""Database errors about the schema: missing migrations and duplicate values."""

import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    text,
    update,
)

from app.database import Base, Db
from app.web import App


@pytest.fixture
def table() -> AsyncIterator[Table]:
    """Except for `one_color_each` and `lower_name`, its names follow the naming convention."""
    made = Table(
        "things_of_test",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("serial_number", String, unique=True),
        Column("slug", String, unique=True, index=True),
        Column("shelf", Integer),
        Column("place", Integer),
        Column("color", String),
        Column("name", String),
        Column("parent", ForeignKey("things_of_test.id", ondelete="RESTRICT")),
        UniqueConstraint("shelf", "place"),
        UniqueConstraint("color", name="one_color_each"),
    )
    Index("lower_name", func.lower(made.c.name), unique=True)
    yield made
    Base.metadata.remove(made)


@pytest.fixture
async def things(
    stored: App, stored_http: httpx.AsyncClient, table: Table
) -> AsyncIterator[httpx.AsyncClient]:
    """POST /things inserts the body as a row, and DELETE /things deletes them all."""

    @stored.post("/things")
    async def create(body: dict[str, int | str], db: Db) -> None:
        await db.execute(insert(table).values(body))

    @stored.delete("/things")
    async def delete_all(db: Db) -> None:
        await db.execute(delete(table).where(table.c.parent.is_(None)))

    engine = stored.state.db.get().engine
    async with engine.begin() as connection:
        await connection.run_sync(table.create)
    yield stored_http
    async with engine.begin() as connection:
        await connection.execute(update(table).values(parent=None))
        await connection.run_sync(table.drop)


@pytest.mark.parametrize(
    ("row", "fields"),
    [
        ({"serial_number": "s3cret"}, {"serial_number"}),
        ({"slug": "s3cret"}, {"slug"}),
        # PostgreSQL names only the constraint.
        ({"shelf": 4711, "place": 4712}, {"shelf,place", "shelf_place"}),
    ],
    ids=["constraint", "index", "several columns"],
)
async def test_a_duplicate_value_is_409_and_names_its_field(things, caplog, row, fields):
    first = await things.post("/things", json=row)
    second = await things.post("/things", json=row)

    assert (first.status_code, second.status_code) == (201, 409)
    assert second.headers["content-type"] == "application/problem+json"
    assert ",".join(each["field"] for each in second.json()["errors"]) in fields
    assert not {value for value in map(str, row.values()) if value in second.text + caplog.text}


@pytest.mark.parametrize(
    ("row", "other"),
    [({"id": 1}, {"id": 1}), ({"color": "red"}, {"color": "red"}), ({"name": "Ada"}, {"name": "ada"})],
    ids=["primary key", "constraint with a name of its own", "index on an expression"],
)
async def test_a_duplicate_in_unknown_columns_is_409(things, caplog, row, other):
    first = await things.post("/things", json=row)
    second = await things.post("/things", json=other)

    assert (first.status_code, second.status_code) == (201, 409)
    assert second.json()["code"] == "already_exists"
    assert "a unique constraint was violated" in caplog.text


async def test_a_reference_to_a_missing_row_is_409(things, caplog):
    response = await things.post("/things", json={"parent": 4711})

    assert (response.status_code, response.json()["code"]) == (409, "conflict")
    assert "a foreign key was violated" in caplog.text
    assert "4711" not in response.text + caplog.text


async def test_deleting_what_is_in_use_is_409(things):
    await things.post("/things", json={"id": 1})
    await things.post("/things", json={"id": 2, "parent": 1})

    response = await things.delete("/things")

    assert (response.status_code, response.json()["code"]) == (409, "conflict")


@pytest.fixture
def unmigrated(stored: App) -> None:
    @stored.get("/column")
    async def column(db: Db) -> None:
        await db.execute(text("SELECT colour FROM (SELECT 1 AS a) AS b"))

    @stored.get("/table")
    async def table(db: Db) -> None:
        await db.execute(text("SELECT 1 FROM paintings"))

    _ = (column, table)


@pytest.mark.usefixtures("unmigrated")
async def test_a_missing_migration_is_explained_in_development_and_logged_once(stored, stored_http, caplog):
    stored.state.settings = stored.state.settings.model_copy(update={"environment": "development"})

    responses = [await stored_http.get(path) for path in ("/table", "/column", "/table", "/column")]

    assert {each.status_code for each in responses} == {503}
    assert {"uv run app db upgrade" in each.json()["detail"] for each in responses} == {True}
    logged = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [("paintings" in each.getMessage(), each.exc_info) for each in logged] == [
        (True, None),
        (False, None),
    ]


@pytest.mark.usefixtures("unmigrated")
async def test_a_missing_migration_is_not_revealed_elsewhere(stored_http, caplog):
    response = await stored_http.get("/table")

    assert response.status_code in {500, 503}
    assert "migration" not in response.text.lower()
    assert "Traceback" in caplog.text

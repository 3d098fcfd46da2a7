"""Database errors contain no values, either in the log or in a DEBUG response."""

import logging
from collections.abc import AsyncIterator, Callable

import pytest
from hawkapi_sqlalchemy import Database
from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, String, Table, insert, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.database import Base, Db
from app.logs import JsonFormatter, TextFormatter
from app.web import App
from tests.conftest import BuildApp, make_client

VALUE = "nobodys-business@example.com"
FORMATTERS = pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter(), logging.Formatter()])
VIOLATIONS = pytest.mark.parametrize(
    "row",
    [
        pytest.param({"email": VALUE, "item": "taken"}, id="unique"),
        pytest.param({"email": f"2{VALUE}", "item": None}, id="not null"),
        pytest.param({"email": f"2{VALUE}", "item": "nothing"}, id="check"),
        pytest.param({"email": "b@example.com", "item": "a", "user_id": VALUE}, id="foreign key"),
    ],
)


@pytest.fixture
async def orders(app: App) -> AsyncIterator[Table]:
    """A table with every kind of constraint and one row."""
    table = Table(
        "orders_of_a_test",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("email", String, unique=True),
        Column("item", String, CheckConstraint("item <> 'nothing'", "something"), nullable=False),
        Column("user_id", String(36), ForeignKey("users.id")),
    )
    engine = app.state.db.get().engine
    async with engine.begin() as connection:
        await connection.run_sync(table.create)
        await connection.execute(insert(table).values(email=VALUE, item="a"))
    yield table
    async with engine.begin() as connection:
        await connection.run_sync(table.drop)
    Base.metadata.remove(table)


@pytest.fixture
def on_postgresql(db: Database) -> None:
    """SQLite accepts any text as a number."""
    if db.get().engine.dialect.name != "postgresql":
        pytest.skip("only PostgreSQL raises this error")


@pytest.fixture
def logged() -> Callable[[logging.Formatter, BaseException], str]:
    """`logged(formatter, error)`: the log lines, with the whole traceback."""

    def line(formatter: logging.Formatter, error: BaseException) -> str:
        return formatter.format(
            logging.LogRecord(
                "app", logging.ERROR, "file.py", 1, "failed", (), (type(error), error, error.__traceback__)
            )
        )

    return line


@FORMATTERS
@VIOLATIONS
async def test_the_log_has_no_values_of_a_refused_row(db: Database, orders, logged, formatter, row):
    """Checklist 39; ASVS 16.2.5."""
    with pytest.raises(IntegrityError) as refused:
        async with db.session() as session:
            await session.execute(insert(orders).values(**row))

    line = logged(formatter, refused.value)
    assert "IntegrityError" in line
    assert VALUE not in line


SHOWN = {
    "unique": (409, "already taken", "unique constraint"),
    "foreign key": (409, "refers to something that does not exist", "foreign key"),
}
"""The status, response and log for an error that clients can fix. All other errors are our bugs."""
OUR_BUG = (500, "IntegrityError", "database error")


@VIOLATIONS
async def test_the_debug_response_has_no_values_of_a_refused_row(
    build_app: BuildApp, orders, row, caplog, request
):
    """Checklist 39; ASVS 16.2.5."""
    app = build_app(debug=True)

    @app.post("/orders", status_code=201)
    async def order(db: Db) -> None:
        await db.execute(insert(orders).values(**row))

    async with make_client(app) as client:
        answer = await client.post("/orders")

    status, sentence, line = SHOWN.get(request.node.callspec.id, OUR_BUG)
    assert (answer.status_code, sentence in answer.text, line in caplog.text) == (status, True, True)
    assert VALUE not in answer.text + caplog.text


@FORMATTERS
@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("SELECT CAST(CAST(:value AS text) AS integer)", id="text that is not a number"),
        pytest.param("SELECT CAST(CAST(:value AS text) AS json)", id="text that is not JSON"),
        pytest.param("SELECT CAST(:value AS integer)", id="a number that is not one"),
        pytest.param("SELECT CAST(:value AS uuid)", id="an id that is not one"),
    ],
)
async def test_the_log_has_no_value_of_a_refused_parameter(
    db: Database, on_postgresql, logged, formatter, statement
):
    """Checklist 39; ASVS 16.2.5."""
    with pytest.raises(DBAPIError) as refused:
        async with db.session() as session:
            await session.execute(text(statement), {"value": VALUE})

    line = logged(formatter, refused.value)
    assert "invalid input" in line
    assert VALUE not in line


async def test_the_driver_error_has_no_values_of_a_refused_row(db: Database, on_postgresql, orders):
    """Checklist 39: error reporting tools show the attributes of an exception."""
    with pytest.raises(IntegrityError) as refused:
        async with db.session() as session:
            await session.execute(insert(orders).values(email=VALUE, item="taken"))

    adapted = refused.value.orig
    assert adapted is not None
    assert VALUE not in str(vars(adapted)) + str(vars(adapted.__cause__))

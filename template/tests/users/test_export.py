"""GET /users/me/export: everything stored about a user, excluding secrets and other users' data."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import JSON, Column, ForeignKey, Integer, LargeBinary, Numeric, String, insert

from app.users.models import SECRET, User, UserSession

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])
LETTER = {"tags": ["private"], "price": Decimal("1.50"), "scan": b"\xff"}
AS_JSON = {"tags": ["private"], "price": "1.50", "scan": "/w=="}
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def export(client):
    """`await export(visit)` requests the owner's export and returns the response."""

    async def read(visit):
        return await client.get("/users/me/export", headers=visit.headers)

    return read


@pytest.fixture
async def letters(create_table):
    """A custom table that references accounts twice and has a secret column."""
    return await create_table(
        "letters_of_a_test",
        Column("id", Integer, primary_key=True),
        Column("sender_id", String(36), ForeignKey("users.id", ondelete="CASCADE")),
        Column("reader_id", String(36), ForeignKey("users.id", ondelete="CASCADE")),
        Column("tags", JSON),
        Column("price", Numeric(10, 2)),
        Column("scan", LargeBinary),
        Column("seal", String(20), info=SECRET),
    )


@pytest.fixture
def write(db, letters):
    """`await write(id=1, sender_id=user.id)` adds a row to the `letters_of_a_test` table."""

    async def send(**columns):
        async with db.session() as session:
            await session.execute(insert(letters).values(**LETTER, seal="wax", **columns))

    return send


async def test_the_export_has_the_account(make_user, visit, export, set_clock):
    set_clock(NOON)
    user = await make_user(is_verified=True, pending_email="new@example.com")

    answer = await export(await visit(user))

    assert answer.status_code == 200
    expected = {
        "id": user.id,
        "email": "ada@example.com",
        "is_active": True,
        "is_verified": True,
        "is_superuser": False,
        "password_version": 0,
        "pending_email": "new@example.com",
        "delete_after": None,
        "created_at": "2030-05-01T12:00:00Z",
        "updated_at": "2030-05-01T12:00:00Z",
    }
    assert answer.json()["account"] == answer.json()["account"] | expected


async def test_the_export_has_every_column_that_is_not_secret(make_user, visit, export):
    answer = (await export(await visit(await make_user()))).json()

    columns = {column.name for column in User.__table__.columns}
    of_sessions = {column.name for column in UserSession.__table__.columns}
    assert set(answer["account"]) == columns - {"hashed_password"}
    assert set(answer["related_records"]["user_sessions"][0]) == of_sessions - {
        "secret_hash",
        "replaced_tokens",
    }


async def test_the_export_has_the_sessions(make_user, visit, export):
    user = await make_user()
    here, there = await visit(user), await visit(user, "cookie")

    answer = await export(here)

    sessions = answer.json()["related_records"]["user_sessions"]
    assert {(each["id"], each["kind"]) for each in sessions} == {
        (here.issued.session.id, "bearer"),
        (there.issued.session.id, "cookie"),
    }


async def test_the_export_has_the_audit_log(client, make_user, visit, export):
    user = await make_user()
    await client.post("/users/login", json=ADA | {"password": "wrong"}, headers={"User-Agent": "curl/8"})
    await client.post("/users/login", json=ADA)

    events = (await export(await visit(user))).json()["events"]

    assert [(each["event"], each["outcome"]) for each in events] == [
        ("export", "success"),
        ("login", "success"),
        ("login", "failure"),
    ]
    assert (events[2]["ip_address"], events[2]["user_agent"]) == ("203.0.113.9", "curl/8")


async def test_the_export_has_no_secrets(client, make_user, visit, export, stored, manager, db):
    user = await make_user()
    here, there = await visit(user), await visit(user, "cookie")
    await client.post("/users/token/refresh", json={"refresh_token": (await visit(user)).issued.token})

    text = (await export(here)).text

    assert user.hashed_password not in text
    assert "argon2" not in text
    assert here.issued.token.partition(".")[2] not in text
    assert there.issued.token.partition(".")[2] not in text
    assert here.issued.session.secret_hash not in text
    assert there.issued.session.secret_hash not in text
    assert here.headers["Authorization"].partition(" ")[2] not in text


async def test_the_export_has_custom_tables_that_reference_accounts(make_user, visit, export, write):
    ada, eve = await make_user(), await make_user("eve@example.com")
    await write(id=1, sender_id=ada.id)
    await write(id=2, sender_id=eve.id, reader_id=ada.id)
    await write(id=3, sender_id=ada.id, reader_id=ada.id)

    answer = await export(await visit(ada))

    rows = answer.json()["related_records"]["letters_of_a_test"]
    assert sorted(rows, key=lambda row: row["id"]) == [
        {"id": 1, "sender_id": ada.id, "reader_id": None, **AS_JSON},
        {"id": 2, "sender_id": eve.id, "reader_id": ada.id, **AS_JSON},
        {"id": 3, "sender_id": ada.id, "reader_id": ada.id, **AS_JSON},
    ]


async def test_the_export_has_no_other_users_data(client, make_user, visit, export, write):
    ada, eve = await make_user(), await make_user("eve@example.com")
    theirs = await visit(eve)
    await client.post("/users/login", json=ADA | {"email": "eve@example.com"})
    await client.post("/users/login", json=ADA | {"email": "nobody@example.com"})
    await write(id=1, sender_id=eve.id)

    answer = await export(await visit(ada))

    assert answer.json()["related_records"]["letters_of_a_test"] == []
    assert [each["event"] for each in answer.json()["events"]] == ["export"]
    assert eve.id not in answer.text
    assert eve.email not in answer.text
    assert theirs.issued.session.id not in answer.text


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(minutes=10) - timedelta(microseconds=1), 200), (timedelta(minutes=10), 403)],
    ids=str,
)
@KINDS
async def test_a_recent_login_is_required(make_user, visit, export, set_clock, kind, age, status):
    """Checklist 24."""
    set_clock(NOON)
    here = await visit(await make_user(), kind)
    set_clock(NOON + age)

    answer = await export(here)

    assert answer.status_code == status


async def test_the_export_requires_a_login(client):
    assert (await client.get("/users/me/export")).status_code == 401


# Your own tests go below; template updates never touch them.

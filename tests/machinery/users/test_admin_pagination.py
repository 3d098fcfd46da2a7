"""Pagination of accounts and the audit log: no duplicates, no gaps, and errors for invalid cursors."""

import asyncio
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def read_on(admin):
    """`await read_on(page, limit=2)`: the pages that follow *page*."""

    async def read(page, path="/users", key="cursor", **query):
        pages = []
        while page["next"] is not None:
            page = (await admin.get(path, params={key: page["next"], **query})).json()
            pages.append(page)
        return pages

    return read


@pytest.fixture
def read_all(admin, read_on):
    """`await read_all(limit=2)`: every page of the list."""

    async def read(path="/users", key="cursor", **query):
        first = (await admin.get(path, params=query)).json()
        return [first, *await read_on(first, path, key, **query)]

    return read


@pytest.fixture
def make_users(make_user):
    """`await make_users("ada", "bob", created_at=...)`: one account per name. The last one is the newest."""

    async def make(*names, **columns):
        return [
            await make_user(f"{name}@example.com", **{"created_at": NOON + timedelta(hours=number)} | columns)
            for number, name in enumerate(names)
        ]

    return make


def names_of(*pages):
    return [item["email"].partition("@")[0] for page in pages for item in page["items"]]


# The list: GET /users


async def test_accounts_created_at_the_same_time_appear_once(read_all, make_users):
    await make_users("ada", "bob", "cat", "dan", "eve", created_at=NOON)

    shown = names_of(*await read_all(limit=2))

    assert sorted(shown) == ["ada", "bob", "cat", "dan", "eve", "root"]


async def test_accounts_with_times_set_by_the_database_appear_once(read_all, make_users, db, password_hash):
    """Imports with plain SQL create such times. SQLite's clock has no fractions of a second."""
    await make_users("ada", "bob", "cat")
    async with db.session() as session:
        await session.execute(text("UPDATE users SET created_at = CURRENT_TIMESTAMP"))

    shown = names_of(*await asyncio.wait_for(read_all(limit=1), 5))

    assert sorted(shown) == ["ada", "bob", "cat", "root"]


async def test_a_new_account_does_not_shift_the_pages(admin, read_on, make_users):
    await make_users("ada", "bob", "cat")
    first = (await admin.get("/users?limit=2")).json()
    await make_users("new", created_at=NOON + timedelta(days=1))

    rest = await read_on(first, limit=2)

    assert names_of(first, *rest) == ["cat", "bob", "ada", "root"]


@pytest.mark.parametrize(
    ("deleted", "rest"),
    [("dan", ["bob", "ada", "root"]), ("cat", ["bob", "ada", "root"]), ("bob", ["ada", "root"])],
    ids=["before the edge", "at the edge", "behind the edge"],
)
async def test_a_deleted_account_does_not_hide_others(admin, read_on, make_users, deleted, rest):
    users = await make_users("ada", "bob", "cat", "dan")
    first = (await admin.get("/users?limit=2")).json()
    (gone,) = [user for user in users if user.email.startswith(deleted)]
    await admin.delete(f"/users/{gone.id}")

    assert names_of(*await read_on(first, limit=2)) == rest


async def test_search_and_filter_apply_to_every_page(read_all, make_users):
    await make_users("ada1", "bob1", "ada2", "bob2", "ada3")
    await make_users("ada4", is_active=False)

    pages = await read_all(limit=2, search="ada", is_active="true")

    assert [names_of(page) for page in pages] == [["ada3", "ada2"], ["ada1"]]


def cursor(content):
    return urlsafe_b64encode(content).decode()


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "not base64!",
        "é",
        "A" * 201,
        cursor(b"\xff\xfe"),
        cursor(b"yesterday x"),
        cursor(b"2026-03-01T12:00:00"),
        cursor(b"2026-03-01T12:00:00 x"),
        cursor(b"2026-03-01T12:00:00+00:00 \0"),
        cursor(b"2026-03-01T12:00:00+00:00 \xed\xa0\x80"),
        cursor(b"0001-01-01T00:00:00+23:59 x"),
        cursor(b"9999-12-31T23:59:59-23:59 x"),
    ],
    ids=repr,
)
async def test_an_invalid_cursor_is_refused(admin, value):
    answer = await admin.get("/users", params={"cursor": value})

    assert answer.status_code == 400
    assert "cursor" in answer.text


# One account: GET, PATCH, DELETE /users/{id}


async def test_two_concurrent_deletions_delete_once(admin, root, make_user, at_once, events, outbox):
    user = await make_user("ada@example.com")

    statuses = await at_once(4, lambda: admin.delete(f"/users/{user.id}"))

    assert statuses[0] == 204
    assert set(statuses) <= {204, 404}
    assert [(event.event, event.actor) for event in await events()] == [("delete", root.id)]
    assert [mail.to for mail in await outbox()] == [["ada@example.com"]]


# The audit log: GET /users/audit


@pytest.fixture
def happen(db, manager):
    """`await happen(user, 3)`: record that many events for the account."""
    from app.users import record

    async def write(user, times=1):
        for _ in range(times):
            async with db.session() as session:
                record(session, "tested", user and user.id, details={"a": 1})

    return write


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 5), (2, [2, 2, 1]), (5, [5]), (100, [5])])
async def test_every_event_is_on_exactly_one_page(read_all, make_user, happen, events, limit, sizes):
    await happen(await make_user(), 5)

    pages = await read_all("/users/audit", "before", limit=limit)

    assert [len(page["items"]) for page in pages] == sizes
    shown = [item["id"] for page in pages for item in page["items"]]
    assert shown == [event.id for event in reversed(await events())]


async def test_a_new_event_does_not_shift_the_pages(admin, read_on, make_user, happen, events):
    user = await make_user()
    await happen(user, 3)
    first = (await admin.get("/users/audit?limit=2")).json()
    await happen(user)

    (last,) = await read_on(first, "/users/audit", "before", limit=2)

    assert [item["id"] for item in last["items"]] == [(await events())[0].id]

"""No request and no periodic task reads a whole table of accounts or sessions, as their plans show."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, insert, text

from app import clock
from app.users import User, UserSession

DAY = timedelta(days=1)
MANY = 3000
"""With fewer rows PostgreSQL reads the whole table, which is then faster."""

WHOLE_TABLE = re.compile(
    r"Seq Scan on (users|user_sessions)\b|SCAN (users|user_sessions)\b(?! USING INDEX ix_users_)"
)


@pytest.fixture
async def many_accounts(db, admin, password_hash, database_url):
    """Accounts with a live session each. Every 500th one has the rare value of each flag."""
    now = clock.now()
    accounts = [
        {
            "id": str(uuid4()),
            "email": f"{uuid4().hex}@example.com",
            "hashed_password": password_hash,
            "is_active": bool(number % 500),
            "is_verified": bool(number % 500),
            "is_superuser": not number % 500,
            "must_reset_password": not number % 500,
            "delete_after": None if number % 500 else now + DAY,
            "created_at": now - number * timedelta(minutes=1),
        }
        for number in range(MANY)
    ]
    sessions = [
        {
            "user_id": account["id"],
            "kind": "bearer",
            "secret_hash": "x",
            "password_version": 0,
            "created_at": now - DAY,
            "authenticated_at": now - DAY,
            "last_seen_at": now - number * timedelta(seconds=1),
            "expires_at": now + DAY + number * timedelta(seconds=1),
            "ip_address": "203.0.113.9",
            "user_agent": "",
        }
        for number, account in enumerate(accounts)
    ]
    async with db.session() as session:
        await session.execute(insert(User), accounts)
        await session.execute(insert(UserSession), sessions)
    if not database_url.startswith("sqlite"):
        async with db.session() as session:
            await session.execute(text("ANALYZE users"))
            await session.execute(text("ANALYZE user_sessions"))
    return [account["id"] for account in accounts]


@pytest.fixture
def sent(app, many_accounts):
    """The statements about accounts and sessions, as they were sent from now on, and their values."""
    seen = []

    def note(connection, cursor, statement, parameters, *rest):
        if statement.startswith(("SELECT", "UPDATE", "DELETE")):
            seen.append((statement, parameters))

    engine = app.state.db.get().engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def plans(db, sent, database_url):
    """`await plans()`: how the database would run what was sent, as one text."""

    async def explain():
        sqlite = database_url.startswith("sqlite")
        prefix = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
        lines = []
        async with db.session(commit=False) as session:
            connection = await session.connection()
            for statement, parameters in list(sent):
                plan = await connection.exec_driver_sql(prefix + statement, parameters)
                lines += [row[-1].strip() for row in plan]
        return "\n".join(lines)

    return explain


@pytest.fixture
def run_task(app):
    """`await run_task("clean")`: one run of a periodic task."""

    async def run(name):
        (task,) = [each for each in app.state.tasks if each.name == name]
        await task.do()

    return run


def full_scans(plans):
    """The lines of *plans* that read every row of a table.

    SQLite also calls it a scan when it reads a page in the order of an index.
    """
    return [line for line in plans.splitlines() if WHOLE_TABLE.search(line)]


async def test_the_list_of_accounts_is_read_in_the_order_of_its_index(admin, plans):
    page = (await admin.get("/users")).json()
    await admin.get("/users", params={"cursor": page["next"]})

    shown = await plans()
    assert len(page["items"]) == 50
    assert shown.count("ix_users_created_at_id") == 2
    assert full_scans(shown) == []
    assert "Sort" not in shown
    assert "TEMP B-TREE" not in shown


@pytest.mark.parametrize(
    ("rare", "index"),
    [
        ("is_superuser=true", "ix_users_superusers"),
        ("is_active=false", "ix_users_disabled"),
        ("is_verified=false", "ix_users_unverified"),
        ("must_reset_password=true", "ix_users_must_reset_password"),
    ],
)
async def test_a_rare_flag_has_its_own_index(admin, plans, rare, index):
    found = (await admin.get(f"/users?{rare}")).json()["items"]

    shown = await plans()
    assert 0 < len(found) < 10
    assert index in shown
    assert "ix_users_created_at_id" not in shown
    assert full_scans(shown) == []


async def test_a_search_uses_the_trigrams_of_postgresql(admin, plans, many_accounts, db, database_url):
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has no such index")
    account = (await admin.get(f"/users/{many_accounts[0]}")).json()

    found = (await admin.get("/users", params={"search": account["email"][3:15]})).json()["items"]

    assert found == [account]
    assert "ix_users_email_trigrams" in await plans()
    assert full_scans(await plans()) == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_the_look_for_another_superuser_reads_only_superusers(admin, plans, many_accounts, method):
    body = {"json": {"is_active": False}} if method == "PATCH" else {}
    answer = await admin.request(method, f"/users/{many_accounts[1]}", **body)

    shown = await plans()
    assert answer.status_code in (200, 204)
    assert "ix_users_superusers" in shown
    assert full_scans(shown) == []


async def test_the_clean_up_reads_only_the_sessions_it_deletes(run_task, plans):
    await run_task("clean")

    shown = await plans()
    assert "ix_user_sessions_expires_at" in shown
    assert "ix_user_sessions_last_seen_at" in shown
    assert full_scans(shown) == []


async def test_the_task_that_deletes_accounts_reads_only_those(run_task, plans):
    await run_task("delete due accounts")

    shown = await plans()
    assert "ix_users_to_be_deleted" in shown
    assert full_scans(shown) == []


async def test_requests_of_owners_read_only_their_rows(client, make_user, sent, plans):
    ada = {"email": "ada@example.com", "password": "correct horse battery"}
    await make_user(ada["email"])
    tokens = (await client.post("/users/login", json=ada)).json()
    client.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    answers = [
        await client.post("/users/register", json=ada | {"email": "bob@example.com"}),
        await client.post("/users/token/refresh", json={"refresh_token": tokens["refresh_token"]}),
        await client.get("/users/me"),
        await client.patch("/users/me", json={"language": "de"}),
        await client.get("/users/me/sessions"),
        await client.delete("/users/me/sessions"),
        await client.get("/users/me/export"),
        await client.delete("/users/me"),
    ]

    assert [answer.status_code for answer in answers if not answer.is_success] == []
    assert len(sent) > len(answers)
    assert full_scans(await plans()) == []

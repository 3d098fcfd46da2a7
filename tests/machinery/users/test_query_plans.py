"""No request and no periodic task reads every account, session or event, according to the query plans."""

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from hawkapi_mail import EmailMessage
from sqlalchemy import event, insert, text

from app import clock
from app.database import Base
from app.mail.outbox import DEAD, enqueue
from app.users import User, UserSession
from app.users.audit import AuditEvent

DAY = timedelta(days=1)
MANY = 3000
"""With fewer rows, PostgreSQL would read the whole table, because that would be faster."""

# SQLite also reports a scan when it reads a page in index order, or in the order of the audit log's ids.
WHOLE_TABLE = re.compile(
    r"Seq Scan on (users|user_sessions|audit_events)\b"
    r"|SCAN (users|user_sessions)\b(?! USING INDEX ix_users_)"
)


@pytest.fixture
async def many_accounts(db, admin, password_hash, database_url):
    """Accounts with a live session and an event each. Every 500th one has the rare value of each flag."""
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
    events = [
        {
            "at": now - number * timedelta(minutes=1),
            "event": "login",
            "outcome": "success",
            "user_id": account["id"],
            "actor": account["id"],
            "method": "password",
            "ip_address": "203.0.113.9",
            "user_agent": "",
            "browser": "",
            "details": "{}",
        }
        for number, account in enumerate(accounts)
    ]
    async with db.session() as session:
        await session.execute(insert(User), accounts)
        await session.execute(insert(UserSession), sessions)
        await session.execute(insert(AuditEvent), events)
    if not database_url.startswith("sqlite"):
        async with db.session() as session:
            await session.execute(text("ANALYZE users, user_sessions, audit_events"))
    return [account["id"] for account in accounts]


@pytest.fixture
def sent(app, many_accounts):
    """The statements about accounts and sessions that are sent from now on, with their values."""
    seen = []

    def note(connection, cursor, statement, parameters, *rest):
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            seen.append((statement, parameters))

    engines = [each.engine.sync_engine for each in app.state.db.engines.values()]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def plans(db, sent, database_url):
    """`await plans()`: the database's query plans for the statements that were sent, as one string."""

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
def dead_mail(db):
    """`await dead_mail()`: the id of an e-mail that was set aside."""

    async def make():
        async with db.session() as session:
            row = enqueue(session, EmailMessage.build(subject="Hello", to="eve@example.com", text="Hello"))
            row.status = DEAD
        return row.id

    return make


@pytest.fixture
def run_task(app):
    """`await run_task("clean")`: one run of a periodic task."""

    async def run(name):
        (task,) = [each for each in app.state.tasks if each.name == name]
        await task.do()

    return run


def full_scans(plans):
    """The lines of *plans* that read every row of a table."""
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
    async with db.session(commit=False) as session:
        column = "attrelid = 'users'::regclass AND attname = 'email'"
        assert await session.scalar(text(f"SELECT attstattarget FROM pg_attribute WHERE {column}")) == 1000
    assert "ix_users_email_trigrams" in await plans()
    assert full_scans(await plans()) == []


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_the_search_for_another_superuser_reads_only_superusers(admin, plans, many_accounts, method):
    body = {"json": {"is_active": False}} if method == "PATCH" else {}
    answer = await admin.request(method, f"/users/{many_accounts[1]}", **body)

    shown = await plans()
    assert answer.status_code in (200, 204)
    assert "ix_users_superusers" in shown
    assert full_scans(shown) == []


async def test_the_cleanup_reads_only_the_rows_that_it_deletes(run_task, plans):
    await run_task("clean")

    shown = await plans()
    assert "ix_user_sessions_expires_at" in shown
    assert "ix_user_sessions_last_seen_at" in shown
    assert "ix_audit_events_at" in shown
    assert full_scans(shown) == []


async def test_the_task_that_deletes_accounts_reads_only_due_accounts(run_task, plans):
    await run_task("delete due accounts")

    shown = await plans()
    assert "ix_users_to_be_deleted" in shown
    assert full_scans(shown) == []


class Asked:
    """Sends requests from users and from a superuser, and records which routes received one."""

    def __init__(self, app, client, admin):
        self._app, self._client, self._admin = app, client, admin
        self.routes = set()

    async def __call__(self, method, path, json=None, *, by_admin=False, headers=None):
        client = self._admin if by_admin else self._client
        answer = await client.request(method, f"/users{path}", json=json, headers=headers)
        assert answer.is_success, (method, path, answer.text)
        self.routes.add(
            (method, self._app._tree.lookup(f"/users{path.partition('?')[0]}", method).route.path)
        )
        return answer.json() if answer.content else None


async def test_no_request_reads_a_whole_table(
    app, client, admin, change, manager, many_accounts, db, sent, plans, dead_mail
):
    """Send at least one request to each route of the users module."""
    ask = Asked(app, client, admin)
    ada = {"email": "ada@example.com", "password": "correct horse battery"}
    new = {"password": "battery horse correct"}
    other = many_accounts[1]

    async def user_of(email):
        async with db.session(commit=False) as session:
            return await manager.get_by_email(session, email)

    # The life of an account
    await ask("POST", "/register", ada)
    await ask("POST", "/verify/request", {"email": ada["email"]})
    await ask("POST", f"/verify/{manager.verify_token(await user_of(ada['email']))}", ada)
    await change(await user_of(ada["email"]), is_verified=False)
    await ask("POST", "/verify", ada | {"token": manager.verify_token(await user_of(ada["email"]))})
    await ask("POST", "/password-reset/request", {"email": ada["email"]})
    await ask("POST", f"/password-reset/{manager.reset_token(await user_of(ada['email']))}", new)
    token = manager.reset_token(await user_of(ada["email"]))
    await ask("POST", "/password-reset", {"token": token, "password": ada["password"]})

    # Sessions
    await ask("POST", "/login/cookie", ada, headers={"Origin": "http://test"})
    client.cookies.clear()
    tokens = await ask("POST", "/login", ada)
    client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    await ask("POST", "/token/refresh", {"refresh_token": tokens["refresh_token"]})
    await ask("POST", "/me/confirm", {"password": ada["password"]})
    sessions = await ask("GET", "/me/sessions")
    await ask("DELETE", f"/me/sessions/{sessions[-1]['id']}")
    await ask("DELETE", "/me/sessions")

    # The user's own account
    await ask("GET", "/me")
    await ask("PATCH", "/me", {"language": "de"})
    await ask("GET", "/me/export")
    passwords = {"current_password": ada["password"], "new_password": new["password"]}
    tokens = await ask("POST", "/me/password", passwords)
    client.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    for path in ("/email-change/{token}", "/email-change"):
        await ask("POST", "/me/email", {"new_email": "new@example.com"})
        link = manager.email_change_token(await user_of(ada["email"]), "new@example.com")
        await ask("POST", path.format(token=link), {"token": link})
        await change(await user_of("new@example.com"), email=ada["email"])
    await ask("POST", "/logout")
    tokens = await ask("POST", "/login", ada | new)
    await ask("DELETE", "/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})

    # Administration
    for path in ("/invitation/{token}", "/invitation"):
        async with db.session() as session:
            _, link = await manager.invitations.make(session, f"{len(path)}@example.com", invited_by="cli")
        await ask("POST", path.format(token=link), new | {"token": link})
    invited = await ask("POST", "/invitations", {"email": "eve@example.com"}, by_admin=True)
    await ask("GET", "/invitations", by_admin=True)
    await ask("DELETE", f"/invitations/{invited['id']}", by_admin=True)
    await ask("GET", "", by_admin=True)
    await ask("GET", f"/audit?user_id={other}", by_admin=True)
    await ask("GET", "/audit", by_admin=True)
    await ask("GET", "/mails", by_admin=True)
    await ask("POST", f"/mails/{await dead_mail()}/retry", by_admin=True)
    await ask("DELETE", f"/mails/{await dead_mail()}", by_admin=True)
    await ask("POST", f"/{other}/password-reset", by_admin=True)
    await ask("GET", f"/{other}", by_admin=True)
    await ask("PATCH", f"/{other}", {"is_superuser": True}, by_admin=True)
    await ask("PATCH", f"/{other}", {"must_reset_password": True, "is_active": False}, by_admin=True)
    await ask("GET", f"/{other}/sessions", by_admin=True)
    await ask("DELETE", f"/{other}/sessions", by_admin=True)
    await ask("DELETE", f"/{other}", by_admin=True)

    assert {
        (method, endpoint.route.path)
        for endpoint in app.endpoints
        for method in endpoint.route.methods - {"HEAD"}
        if endpoint.handler.__module__.startswith("app.users.") and endpoint.route.include_in_schema
    } == ask.routes
    assert full_scans(await plans()) == []


def test_every_foreign_key_to_an_account_has_an_index():
    """Deleting an account searches for its rows in each of these tables."""
    without = [
        str(column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.references(User.__table__.c.id)
        and column is not next(iter(table.primary_key.columns))
        and not any(column is next(iter(index.columns)) for index in table.indexes)
    ]

    assert without == []

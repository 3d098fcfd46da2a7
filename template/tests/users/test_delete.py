"""DELETE /users/me: immediate deletion, or a grace period during which logging in cancels the deletion."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, ForeignKey, func, insert, select

from app.users import UserSession

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)

WEEK = timedelta(days=7)

INSTANT = timedelta(microseconds=1)

GRACES = pytest.mark.parametrize("grace", [timedelta(), WEEK], ids=["at once", "with a grace"])


@pytest.fixture
def delete(client):
    """`await delete(visit)` sends what a front end would send."""

    async def send(visit, **headers):
        return await client.delete("/users/me", headers=visit.headers | headers)

    return send


@pytest.fixture
def deleted(manager, make_user, visit, delete, set_clock):
    """`await deleted("ada@example.com")`: a new account, deleted at noon with a one-week grace period."""

    async def make(email="ada@example.com", **columns):
        manager.deletion_grace = WEEK
        set_clock(NOON)
        user = await make_user(email, **columns)
        await delete(await visit(user))
        return user

    return make


@pytest.fixture
def sessions(db):
    """`await sessions()`: the number of rows in the sessions table."""

    async def count():
        async with db.session(commit=False) as session:
            return await session.scalar(select(func.count()).select_from(UserSession))

    return count


@pytest.fixture
def names(events):
    """`await names()`: the names and actors of the events in the audit log, oldest first."""

    async def read():
        return [(event.event, event.actor) for event in await events()]

    return read


# Immediately


@KINDS
async def test_the_account_and_its_sessions_are_deleted(
    make_user, visit, delete, accounts, sessions, client, kind
):
    """Checklist 20."""
    user = await make_user()
    here, there = await visit(user, kind), await visit(user)

    answer = await delete(here)

    again = [await client.get("/users/me", headers=each.headers) for each in (here, there)]
    assert (answer.status_code, answer.content) == (204, b"")
    assert [answer.status_code for answer in again] == [401, 401]
    assert (await accounts(), await sessions()) == ([], 0)


async def test_the_refresh_token_and_the_password_stop_working(client, make_user, visit, delete):
    """Checklist 20."""
    here = await visit(await make_user())
    await delete(here)

    refreshed = await client.post("/users/token/refresh", json={"refresh_token": here.issued.token})
    login = await client.post("/users/login", json=ADA)

    assert (refreshed.status_code, login.status_code) == (401, 401)


async def test_the_browser_is_told_to_forget_its_cookie(make_user, visit, delete):
    answer = await delete(await visit(await make_user(), "cookie"))

    assert answer.headers["set-cookie"].startswith("__Host-session=;")
    assert "Max-Age=0" in answer.headers["set-cookie"]


async def test_the_audit_log_is_kept(make_user, visit, delete, client, names):
    user = await make_user()
    await client.post("/users/login", json=ADA)

    await delete(await visit(user))

    assert await names() == [("login", user.id), ("delete", user.id)]


async def test_other_accounts_are_unaffected(client, make_user, visit, delete, accounts):
    eve = await visit(await make_user("eve@example.com"))

    await delete(await visit(await make_user()))

    assert [user.email for user in await accounts()] == ["eve@example.com"]
    assert (await client.get("/users/me", headers=eve.headers)).status_code == 200


async def test_the_address_is_free_again(client, make_user, visit, delete):
    await delete(await visit(await make_user()))

    assert (await client.post("/users/register", json=ADA)).status_code == 201


# Refused deletions


@pytest.mark.parametrize(
    ("age", "status"), [(timedelta(minutes=10) - INSTANT, 204), (timedelta(minutes=10), 403)], ids=str
)
@KINDS
async def test_a_recent_login_is_required(make_user, visit, delete, set_clock, stored, kind, age, status):
    """Checklist 24."""
    set_clock(NOON)
    user = await make_user()
    here = await visit(user, kind)
    set_clock(NOON + age)

    answer = await delete(here)

    assert answer.status_code == status
    assert (await stored(user) is None) == (status == 204)


async def test_a_login_is_required(client):
    assert (await client.delete("/users/me")).status_code == 401


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_cannot_use_the_cookie(make_user, visit, delete, stored, headers):
    """Checklist 35."""
    user = await make_user()

    answer = await delete(await visit(user, "cookie"), **headers)

    assert answer.status_code == 403
    assert await stored(user) is not None


@GRACES
@KINDS
async def test_the_last_superuser_cannot_delete_the_account(
    manager, client, make_user, visit, delete, outbox, names, kind, grace
):
    manager.deletion_grace = grace
    here = await visit(await make_user(is_superuser=True), kind)
    await make_user("disabled@example.com", is_superuser=True, is_active=False)

    answer = await delete(here)

    assert answer.status_code == 409
    assert "set-cookie" not in answer.headers
    assert (await client.get("/users/me", headers=here.headers)).status_code == 200
    assert (await outbox(), await names()) == ([], [])


# With a grace period


@KINDS
async def test_every_session_ends_at_once_and_the_account_is_kept(
    client, manager, make_user, visit, delete, set_clock, stored, kind
):
    """Checklist 20."""
    manager.deletion_grace = WEEK
    set_clock(NOON)
    user = await make_user()
    here, there = await visit(user, kind), await visit(user)

    answer = await delete(here)

    again = [await client.get("/users/me", headers=each.headers) for each in (here, there)]
    assert answer.status_code == 204
    assert [answer.status_code for answer in again] == [401, 401]
    assert (await stored(user)).delete_after == NOON + WEEK


async def test_the_grace_period_is_a_setting(other_client, make_user, visit, set_clock, stored):
    set_clock(NOON)
    user = await make_user()
    here = await visit(user)
    client = await other_client(deletion_grace_days=3)

    await client.delete("/users/me", headers=here.headers)

    assert (await stored(user)).delete_after == NOON + timedelta(days=3)


async def test_mailed_links_stop_working_at_once(client, manager, make_user, deleted):
    user = await deleted()

    answers = [
        await client.post(f"/users/verify/{manager.verify_token(user)}"),
        await client.post(f"/users/password-reset/{manager.reset_token(user)}", json={"password": "x" * 12}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
async def test_logging_in_during_the_grace_period_cancels_the_deletion(
    client, deleted, set_clock, stored, do_task, path
):
    user = await deleted()
    set_clock(NOON + WEEK - INSTANT)

    answer = await client.post(path, json=ADA, headers={"Origin": "http://test"})

    set_clock(NOON + WEEK + WEEK)
    await do_task("delete due accounts")
    assert answer.status_code == 200
    assert (await stored(user)).delete_after is None


# The worker


async def test_the_worker_deletes_the_account_after_the_grace_period(
    deleted, set_clock, do_task, stored, sessions, names
):
    user = await deleted()
    set_clock(NOON + WEEK)

    await do_task("delete due accounts")

    assert await stored(user) is None
    assert await sessions() == 0
    assert await names() == [("delete_request", user.id), ("delete", "worker")]


async def test_the_hook_runs_before_the_worker_deletes(manager, deleted, set_clock, do_task):
    user = await deleted()
    called = []

    async def hook(user):
        called.append(user.id)

    manager.on_before_delete = hook
    set_clock(NOON + WEEK)

    await do_task("delete due accounts")

    assert called == [user.id]


async def test_a_row_without_on_delete_cascade_keeps_the_account(
    make_user, visit, delete, create_table, db, stored, outbox
):
    user = await make_user()
    here = await visit(user)
    orders = await create_table(
        "orders_of_a_test", Column("user_id", ForeignKey("users.id"), primary_key=True)
    )
    async with db.session() as session:
        await session.execute(insert(orders).values(user_id=user.id))

    answer = await delete(here)

    assert answer.status_code == 409
    assert await stored(user) is not None
    assert await outbox() == []


# Your own tests go below; template updates never touch them.

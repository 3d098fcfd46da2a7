"""The limit on concurrent sessions: the least recently used one ends, and the owner is notified.

ASVS 7.1.2. MAX_SESSIONS is 3 here.
"""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

pytestmark = pytest.mark.usefixtures("at_most_three")

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.fixture
def at_most_three(manager, monkeypatch):
    monkeypatch.setattr(manager.sessions, "limits", replace(manager.sessions.limits, most=3))


@pytest.fixture
def begin_at(visit, set_clock):
    """`await begin_at(0, 1, 2, user=ada)`: sessions that started that many minutes after noon."""

    async def begin(*minutes, user, kind="bearer"):
        begun = []
        for minute in minutes:
            set_clock(NOON + minute * MINUTE)
            begun.append(await visit(user, kind))
        return begun

    return begin


@pytest.fixture
def log_in(client):
    """`await log_in()`: log Ada in, optionally with the cookie of another session."""

    async def send(path="/users/login", **headers):
        answer = await client.post(path, json=ADA, headers=OWN_PAGE | headers)
        client.cookies.clear()
        return answer

    return send


@pytest.fixture
def alive(session_rows):
    """`await alive()`: the ids of unrevoked sessions."""

    async def read():
        return {row.id for row in await session_rows() if row.revoked_at is None}

    return read


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
async def test_a_login_over_the_limit_ends_the_least_recently_used_session(
    make_user, begin_at, log_in, status_of, path
):
    """Checklist 22; ASVS 7.1.2."""
    first, second, third = await begin_at(0, 1, 2, user=await make_user())
    await status_of(first.headers)

    answer = await log_in(path)

    assert answer.status_code == 200
    assert [await status_of(each.headers) for each in (first, second, third)] == [200, 401, 200]


async def test_the_cookie_and_refresh_token_of_the_ended_session_stop_working(
    client, make_user, begin_at, log_in, set_clock, status_of
):
    user = await make_user()
    [cookie] = await begin_at(0, user=user, kind="cookie")
    [bearer] = await begin_at(1, user=user)
    set_clock(NOON + 2 * MINUTE)
    await log_in()
    await log_in()
    await log_in()

    refreshed = await client.post("/users/token/refresh", json={"refresh_token": bearer.issued.token})

    assert await status_of(cookie.headers) == 401
    assert refreshed.status_code == 401


async def test_a_login_at_the_limit_ends_nothing(make_user, begin_at, log_in, alive, outbox, events):
    await begin_at(0, 1, user=await make_user())

    await log_in()

    assert len(await alive()) == 3
    assert await outbox() == []
    assert [event.event for event in await events()] == ["login"]


async def test_the_limit_is_fifty_by_default(manager, other_client, make_user, visit, session_rows):
    client, user = await other_client(), await make_user()
    for _ in range(50):
        await visit(user)

    await client.post("/users/login", json=ADA)

    assert [row.revoked_at is None for row in await session_rows()].count(True) == 50


async def test_ended_sessions_do_not_count(
    make_user, begin_at, log_in, alive, change_session, set_clock, outbox
):
    revoked, expired, idle, other, good = await begin_at(0, 1, 2, 3, 4, user=await make_user())
    await change_session(revoked.issued.session, revoked_at=NOON)
    await change_session(expired.issued.session, expires_at=NOON)
    await change_session(idle.issued.session, last_seen_at=NOON - 15 * DAY)
    await change_session(other.issued.session, password_version=7)

    await log_in()
    await log_in()

    assert good.issued.session.id in await alive()
    assert await outbox() == []


async def test_logging_in_again_in_the_same_browser_replaces_its_session(
    make_user, begin_at, log_in, alive, outbox
):
    first, second, here = await begin_at(0, 1, 2, user=await make_user(), kind="cookie")

    await log_in("/users/login/cookie", Cookie=here.headers["Cookie"])

    assert {first.issued.session.id, second.issued.session.id} < await alive()
    assert here.issued.session.id not in await alive()
    assert await outbox() == []


async def test_other_users_keep_their_sessions(make_user, begin_at, log_in, status_of):
    [theirs] = await begin_at(0, user=await make_user("eve@example.com"))
    await begin_at(1, 2, 3, user=await make_user())

    await log_in()

    assert await status_of(theirs.headers) == 200


async def test_a_wrong_password_ends_nothing(client, make_user, begin_at, alive):
    await begin_at(0, 1, 2, user=await make_user())

    await client.post("/users/login", json=ADA | {"password": "wrong"})

    assert len(await alive()) == 3


async def test_a_rolled_back_login_ends_nothing(manager, make_user, begin_at, log_in, alive, monkeypatch):
    await begin_at(0, 1, 2, user=await make_user())

    async def fail(*arguments, **options):
        raise RuntimeError

    monkeypatch.setattr(manager.sessions, "issue", fail)
    answer = await log_in()

    assert answer.status_code == 500
    assert len(await alive()) == 3


async def test_a_lower_limit_applies_from_the_next_login(manager, make_user, visit, log_in, alive):
    user = await make_user()
    for _ in range(8):
        await visit(user)

    await log_in()

    assert len(await alive()) == 3


async def test_concurrent_logins_do_not_exceed_the_limit(client, make_user, at_once, alive):
    """Checklist 22; CWE-362."""
    await make_user()

    statuses = await at_once(6, lambda: client.post("/users/login", json=ADA))

    assert statuses == [200] * 6
    assert len(await alive()) == 3


# Audit and notices


async def test_ended_sessions_are_audited(make_user, begin_at, log_in, events):
    """Checklist 39; ASVS 16.2.1."""
    user = await make_user()
    first, *_ = await begin_at(0, 1, 2, user=user)

    await log_in()

    [event] = [each for each in await events() if each.event == "session_limit"]
    assert (event.user_id, event.actor, event.outcome) == (user.id, user.id, "success")
    assert json.loads(event.details) == {"sessions": [first.issued.session.id]}


async def test_the_owner_is_notified(make_user, begin_at, log_in, outbox):
    await begin_at(0, 1, 2, user=await make_user())

    await log_in()

    [mail] = await outbox()
    assert mail.all_recipients() == ["ada@example.com"]
    assert mail.subject == "HawkAPI app: Too many sessions"


async def test_the_owner_is_notified_once_a_day(make_user, begin_at, log_in, set_clock, outbox):
    """Checklist 12."""
    await begin_at(0, 1, 2, user=await make_user())

    for minutes in (3, 4, 5, 24 * 60):
        set_clock(NOON + minutes * MINUTE)
        await log_in()
    on_the_first_day = len(await outbox())
    set_clock(NOON + DAY + 3 * MINUTE)
    await log_in()

    assert (on_the_first_day, len(await outbox())) == (1, 2)


async def test_a_notice_for_one_account_does_not_suppress_another(
    client, make_user, begin_at, log_in, outbox
):
    await begin_at(0, 1, 2, user=await make_user())
    await begin_at(0, 1, 2, user=await make_user("eve@example.com"))

    await log_in()
    await client.post("/users/login", json=ADA | {"email": "eve@example.com"})

    assert [mail.all_recipients() for mail in await outbox()] == [["ada@example.com"], ["eve@example.com"]]


# What the limit costs


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
async def test_an_ordinary_login_needs_no_extra_query(make_user, log_in, statements, path):
    await make_user()
    await log_in()
    statements.clear()

    await log_in(path)

    assert statements == ["SELECT", "SELECT", "SELECT", "INSERT", "INSERT"]

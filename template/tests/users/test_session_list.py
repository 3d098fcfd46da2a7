"""GET and DELETE /users/me/sessions, DELETE /users/me/sessions/{id}: owners list and end their sessions."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from app.users import UserSession

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
MINUTE, INSTANT = timedelta(minutes=1), timedelta(microseconds=1)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
RECENT = pytest.mark.parametrize(
    ("age", "status"), [(10 * MINUTE - INSTANT, 204), (10 * MINUTE, 403)], ids=str
)


@pytest.fixture
def sessions(client):
    """`await sessions(visit)`: the owner's list of sessions."""

    async def read(visit):
        return (await client.get("/users/me/sessions", headers=visit.headers)).json()

    return read


@pytest.fixture
def give_sessions(db):
    """`await give_sessions(user, 120, last_seen_at=...)` creates that many live sessions for *user*."""

    async def give(user, number, *, last_seen_at):
        times = {"created_at": last_seen_at, "authenticated_at": last_seen_at, "last_seen_at": last_seen_at}
        row = {
            "user_id": user.id,
            "kind": "bearer",
            "secret_hash": "x",
            "password_version": user.password_version,
            "expires_at": last_seen_at + timedelta(days=90),
            "ip_address": "203.0.113.9",
            "user_agent": "",
        }
        async with db.session() as session:
            await session.execute(insert(UserSession), [row | times] * number)

    return give


@pytest.fixture
def statuses(client):
    """`await statuses(here, there)`: the status of GET /users/me for each session."""

    async def read(*visits):
        return [(await client.get("/users/me", headers=each.headers)).status_code for each in visits]

    return read


# Seeing


async def test_a_session_is_shown_with_device_address_and_times(client, make_user, set_clock):
    """Checklist 22."""
    set_clock(NOON)
    user = await make_user()
    login = await client.post("/users/login", json=ADA, headers={"User-Agent": FIREFOX})
    headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
    set_clock(NOON + 5 * MINUTE)
    await client.get("/users/me", headers=headers)

    answer = await client.get("/users/me/sessions", headers=headers)

    (session,) = answer.json()
    assert answer.status_code == 200
    assert session.pop("id") != user.id
    assert session == session | {
        "kind": "bearer",
        "created_at": "2030-05-01T12:00:00Z",
        "authenticated_at": "2030-05-01T12:00:00Z",
        "last_seen_at": "2030-05-01T12:05:00Z",
        "expires_at": "2030-07-30T12:00:00Z",
        "ip_address": "203.0.113.9",
        "user_agent": FIREFOX,
        "browser": "Firefox on Windows",
        "is_current": True,
    }


@KINDS
async def test_the_current_session_is_marked(make_user, visit, sessions, kind):
    user = await make_user()
    here, there = await visit(user, kind), await visit(user)

    shown = {each["id"]: each["is_current"] for each in await sessions(here)}

    assert shown == {here.issued.session.id: True, there.issued.session.id: False}


async def test_the_most_recently_used_session_comes_first(make_user, visit, sessions, set_clock):
    user = await make_user()
    set_clock(NOON)
    here = await visit(user)
    set_clock(NOON + MINUTE)
    second = await visit(user)
    set_clock(NOON + 2 * MINUTE)
    third = await visit(user)
    set_clock(NOON + 3 * MINUTE)

    shown = await sessions(here)

    assert [each["id"] for each in shown] == [each.issued.session.id for each in (here, third, second)]


async def test_the_list_has_the_100_most_recently_used_sessions(
    make_user, visit, sessions, give_sessions, set_clock
):
    user = await make_user()
    await give_sessions(user, 60, last_seen_at=NOON - 2 * MINUTE)
    await give_sessions(user, 60, last_seen_at=NOON - MINUTE)
    set_clock(NOON)
    here = await visit(user)

    shown = await sessions(here)

    times = ["2030-05-01T12:00:00Z", *["2030-05-01T11:59:00Z"] * 60, *["2030-05-01T11:58:00Z"] * 39]
    assert [each["last_seen_at"] for each in shown] == times


async def test_the_current_session_is_shown_even_if_100_others_were_seen_later(
    make_user, visit, sessions, give_sessions, set_clock
):
    user = await make_user()
    set_clock(NOON)
    here = await visit(user)
    await give_sessions(user, 120, last_seen_at=NOON + MINUTE / 2)
    set_clock(NOON + MINUTE / 2)

    shown = await sessions(here)

    assert [each["is_current"] for each in shown] == [False] * 99 + [True]


async def test_no_secret_is_shown(client, make_user, visit):
    here = await visit(await make_user())

    text = (await client.get("/users/me/sessions", headers=here.headers)).text

    assert "secret" not in text
    assert here.issued.session.secret_hash not in text
    assert here.issued.token.partition(".")[2] not in text


async def test_other_users_sessions_are_not_shown(make_user, visit, sessions):
    here = await visit(await make_user())
    await visit(await make_user("eve@example.com"))

    assert [each["id"] for each in await sessions(here)] == [here.issued.session.id]


async def test_sessions_that_have_ended_are_not_shown(client, make_user, visit, sessions, set_clock):
    """One session is past its idle limit, one was logged out, and one still works."""
    user = await make_user()
    set_clock(NOON)
    await visit(user)
    set_clock(NOON + timedelta(days=14))
    out, here = await visit(user), await visit(user)
    await client.post("/users/logout", headers=out.headers)

    assert [each["id"] for each in await sessions(here)] == [here.issued.session.id]


async def test_listing_does_not_require_a_recent_login(make_user, visit, sessions, set_clock):
    set_clock(NOON)
    here = await visit(await make_user())
    set_clock(NOON + timedelta(days=1))

    assert len(await sessions(here)) == 1


# Ending one session


@KINDS
async def test_ending_a_session_takes_effect_at_once_and_keeps_the_others(
    client, make_user, visit, statuses, sessions, kind
):
    """Checklist 22."""
    user = await make_user()
    here, there, lost = await visit(user, kind), await visit(user), await visit(user)

    answer = await client.delete(f"/users/me/sessions/{lost.issued.session.id}", headers=here.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert await statuses(here, there, lost) == [200, 200, 401]
    assert lost.issued.session.id not in {each["id"] for each in await sessions(here)}


async def test_the_refresh_token_of_an_ended_session_stops_working(client, make_user, visit):
    user = await make_user()
    here, lost = await visit(user), await visit(user)
    await client.delete(f"/users/me/sessions/{lost.issued.session.id}", headers=here.headers)

    answer = await client.post("/users/token/refresh", json={"refresh_token": lost.issued.token})

    assert answer.status_code == 401


async def test_the_current_session_can_be_ended(client, make_user, visit, statuses):
    here = await visit(await make_user())

    answer = await client.delete(f"/users/me/sessions/{here.issued.session.id}", headers=here.headers)

    assert answer.status_code == 204
    assert await statuses(here) == [401]


async def test_another_users_session_is_not_found(client, make_user, visit, statuses):
    """Checklist 22."""
    here = await visit(await make_user())
    theirs = await visit(await make_user("eve@example.com"))

    answers = [
        await client.delete(f"/users/me/sessions/{session_id}", headers=here.headers)
        for session_id in (theirs.issued.session.id, uuid4())
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content
    assert await statuses(theirs) == [200]


async def test_a_superuser_cannot_end_another_users_session_here(client, make_user, visit, statuses):
    admin = await visit(await make_user("root@example.com", is_superuser=True))
    theirs = await visit(await make_user())

    answer = await client.delete(f"/users/me/sessions/{theirs.issued.session.id}", headers=admin.headers)

    assert answer.status_code == 404
    assert await statuses(theirs) == [200]


@pytest.mark.parametrize("session_id", ["x", "0", "%00", "%FF", "x" * 3000])
async def test_an_impossible_id_is_not_found(client, make_user, visit, session_id):
    here = await visit(await make_user())

    answer = await client.delete(f"/users/me/sessions/{session_id}", headers=here.headers)

    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_ended_session_is_not_found(client, make_user, visit):
    user = await make_user()
    here, lost = await visit(user), await visit(user)

    answers = [
        await client.delete(f"/users/me/sessions/{lost.issued.session.id}", headers=here.headers)
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [204, 404]


async def test_only_one_of_four_concurrent_requests_ends_a_session(client, make_user, visit, at_once, events):
    user = await make_user()
    here, lost = await visit(user), await visit(user)

    statuses = await at_once(
        4, lambda: client.delete(f"/users/me/sessions/{lost.issued.session.id}", headers=here.headers)
    )

    assert statuses == [204, 404, 404, 404]
    assert len(await events()) == 1


# Ending all other sessions


@KINDS
async def test_ending_the_others_ends_every_other_session(client, make_user, visit, statuses, kind):
    """Checklist 22."""
    user = await make_user()
    here, there, elsewhere = await visit(user, kind), await visit(user), await visit(user, "cookie")
    eve = await visit(await make_user("eve@example.com"))

    answer = await client.delete("/users/me/sessions", headers=here.headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert await statuses(here, there, elsewhere, eve) == [200, 401, 401, 200]


async def test_ending_the_others_ends_those_that_the_list_does_not_show(
    client, db, make_user, visit, give_sessions, set_clock
):
    user = await make_user()
    set_clock(NOON)
    here = await visit(user)
    await give_sessions(user, 120, last_seen_at=NOON)

    await client.delete("/users/me/sessions", headers=here.headers)

    alive = select(func.count()).select_from(UserSession).where(UserSession.revoked_at.is_(None))
    async with db.session(commit=False) as session:
        assert await session.scalar(alive) == 1


async def test_ending_the_others_without_any_succeeds(client, make_user, visit, statuses):
    here = await visit(await make_user())

    answer = await client.delete("/users/me/sessions", headers=here.headers)

    assert answer.status_code == 204
    assert await statuses(here) == [200]


# Access


@RECENT
@KINDS
@pytest.mark.parametrize("path", ["/users/me/sessions", "/users/me/sessions/{}"])
async def test_ending_requires_a_recent_login(
    client, make_user, visit, set_clock, statuses, path, kind, age, status
):
    """Checklist 22: sessions can be ended only after re-authentication."""
    set_clock(NOON)
    user = await make_user()
    here, there = await visit(user, kind), await visit(user)
    set_clock(NOON + age)

    answer = await client.delete(path.format(there.issued.session.id), headers=here.headers)

    assert answer.status_code == status
    assert await statuses(there) == [{204: 401, 403: 200}[status]]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/users/me/sessions"), ("DELETE", "/users/me/sessions"), ("DELETE", "/users/me/sessions/x")],
)
async def test_a_login_is_required(client, method, path):
    assert (await client.request(method, path)).status_code == 401


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
@pytest.mark.parametrize("path", ["/users/me/sessions", "/users/me/sessions/{}"])
async def test_another_site_cannot_end_sessions_with_the_cookie(
    client, make_user, visit, statuses, path, headers
):
    """Checklist 35."""
    user = await make_user()
    here, there = await visit(user, "cookie"), await visit(user)

    answer = await client.delete(path.format(there.issued.session.id), headers=here.headers | headers)

    assert answer.status_code == 403
    assert await statuses(here, there) == [200, 200]


# Your own tests go below; template updates never touch them.

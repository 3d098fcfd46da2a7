"""POST /users/token/refresh: rotation, and reuse within and after the grace period."""

from datetime import UTC, datetime, timedelta

import pytest

from app.users.emails import NOTICES

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

MICROSECOND = timedelta(microseconds=1)

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

GRACE, ABSOLUTE = 30 * SECOND, 90 * DAY


@pytest.fixture(autouse=True)
def start(set_clock):
    """Every test in this module starts at START."""
    set_clock(START)


@pytest.fixture
def refresh(client):
    """`await refresh(token)` refreshes the session and returns the response."""

    async def send(token):
        return await client.post("/users/token/refresh", json={"refresh_token": token})

    return send


@pytest.fixture
def rotate(refresh):
    """`await rotate(token)` exchanges *token* for the refresh token that replaces it."""

    async def send(token):
        return (await refresh(token)).json()["refresh_token"]

    return send


@pytest.fixture
def is_alive(client, headers_of):
    """`await is_alive(issued)`: whether the session still works."""

    async def ask(issued):
        return (await client.get("/users/me", headers=headers_of(issued))).status_code == 200

    return ask


# The response


async def test_a_refresh_returns_new_tokens(refresh, make_user, begin_session):
    issued = await begin_session(await make_user())

    answer = await refresh(issued.token)

    pair = answer.json()
    assert answer.status_code == 200
    assert set(pair) >= {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (pair["token_type"], pair["expires_in"]) == ("bearer", 900)
    assert pair["refresh_token"] != issued.token


async def test_a_refresh_moves_only_the_idle_limit(rotate, make_user, begin_session, session_rows, set_clock):
    issued = await begin_session(await make_user())

    set_clock(START + DAY)
    await rotate(issued.token)

    [row] = await session_rows()
    assert row.last_seen_at == START + DAY
    assert (row.created_at, row.authenticated_at) == (START, START)
    assert row.expires_at == START + ABSOLUTE


async def test_a_refresh_is_not_a_login(refresh, make_user, begin_session, events, outbox):
    issued = await begin_session(await make_user())

    await refresh(issued.token)

    assert await events() == []
    assert await outbox() == []


# Reuse within the grace period


@pytest.mark.parametrize("age", [timedelta(), GRACE - MICROSECOND], ids=str)
async def test_reuse_within_the_grace_period_returns_tokens_of_the_same_session(
    client, refresh, rotate, make_user, begin_session, session_rows, set_clock, age
):
    """Checklist 37: two tabs refresh at the same time."""
    issued = await begin_session(await make_user())
    await rotate(issued.token)

    set_clock(START + age)
    pair = (await refresh(issued.token)).json()

    me = await client.get("/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert me.status_code == 200
    assert (await refresh(pair["refresh_token"])).status_code == 200
    assert len(await session_rows()) == 1


# Reuse after the grace period


@pytest.mark.parametrize("age", [GRACE, GRACE + MICROSECOND, 5 * DAY], ids=str)
async def test_reuse_after_the_grace_period_ends_the_session(
    refresh, rotate, make_user, begin_session, is_alive, session_rows, set_clock, age
):
    """Checklist 37: the end of the session is committed even though the response is 401."""
    issued = await begin_session(await make_user())
    newest = await rotate(issued.token)

    set_clock(START + age)
    answer = await refresh(issued.token)

    [row] = await session_rows()
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert row.revoked_at == START + age
    assert not await is_alive(issued)
    assert (await refresh(newest)).status_code == 401


async def test_reuse_is_audited_once_and_mailed_once(
    refresh, rotate, make_user, begin_session, events, outbox, set_clock
):
    user = await make_user("ada@example.com")
    issued = await begin_session(user)
    newest = await rotate(issued.token)

    set_clock(START + GRACE)
    await refresh(issued.token)
    await refresh(issued.token)
    await refresh(newest)

    [event] = await events()
    [mail] = await outbox()
    assert (event.event, event.outcome, event.user_id) == ("session_reuse", "failure", user.id)
    assert (event.actor, event.ip_address) == ("", "203.0.113.9")
    assert issued.session.id in event.details
    assert mail.to == ["ada@example.com"]
    assert NOTICES["session_reuse"].sentence in mail.text_body


@pytest.mark.parametrize(("age", "status"), [(4 * SECOND, 200), (5 * SECOND, 401)], ids=str)
async def test_the_grace_period_follows_the_setting(
    other_client, make_user, begin_session, set_clock, age, status
):
    client = await other_client(refresh_grace=5)
    body = {"refresh_token": (await begin_session(await make_user())).token}
    await client.post("/users/token/refresh", json=body)

    set_clock(START + age)

    assert (await client.post("/users/token/refresh", json=body)).status_code == status


# Sessions that cannot be refreshed


@pytest.mark.parametrize("columns", [{"is_active": False}, {"password_version": 1}], ids=str)
async def test_a_session_ended_by_an_account_change_is_not_refreshed(
    refresh, make_user, begin_session, change, columns
):
    """Checklist 20, 21."""
    user = await make_user()
    issued = await begin_session(user)

    await change(user, **columns)

    assert (await refresh(issued.token)).status_code == 401


async def test_a_password_reset_invalidates_the_refresh_token(
    client, refresh, manager, make_user, begin_session
):
    """Checklist 21."""
    user = await make_user()
    issued = await begin_session(user)

    reset = f"/users/password-reset/{manager.reset_token(user)}"
    await client.post(reset, json={"password": "a brand new password"})

    assert (await refresh(issued.token)).status_code == 401


@pytest.mark.parametrize("token", ["", ".", "x", "x.", ".x", "x.y", "x.y.z", "ä.ä", "x." + "A" * 64])
async def test_an_invalid_token_is_rejected(refresh, token):
    answer = await refresh(token)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


# Your own tests go below; template updates never touch them.

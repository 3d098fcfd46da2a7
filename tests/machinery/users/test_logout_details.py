"""Logout in detail: invalid sessions, cleared browser data and concurrency."""

from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

DAY = timedelta(days=1)

KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])


@pytest.fixture
def log_out(client):
    """`await log_out(headers, refresh_token=...)`: the response to a logout."""

    async def send(headers=None, **body):
        return await client.post("/users/logout", headers=headers, json=body or None)

    return send


@pytest.fixture
def is_alive(client, headers_of):
    """`await is_alive(issued)`: whether the session still works."""

    async def ask(issued):
        return (await client.get("/users/me", headers=headers_of(issued))).status_code == 200

    return ask


async def test_another_site_cannot_clear_anything_with_the_cookie(
    log_out, make_user, begin_session, headers_of
):
    cookie = headers_of(await begin_session(await make_user(), kind="cookie"))["Cookie"]

    answer = await log_out({"Cookie": cookie, "Sec-Fetch-Site": "same-site"})

    assert answer.status_code == 403
    assert "clear-site-data" not in answer.headers


async def test_logout_with_an_expired_access_token_clears_it_too(log_out, make_user, begin_session):
    issued = await begin_session(await make_user())

    answer = await log_out(refresh_token=issued.token)

    assert answer.headers["clear-site-data"] == '"cache", "storage"'


async def test_a_bearer_session_has_no_cookie_to_clear(log_out, make_user, begin_session, headers_of):
    issued = await begin_session(await make_user())

    assert "set-cookie" not in (await log_out(headers_of(issued))).headers


# Already logged out


async def test_an_expired_cookie_is_still_cleared(log_out, make_user, begin_session, headers_of, set_clock):
    set_clock(START)
    issued = await begin_session(await make_user(), kind="cookie")

    set_clock(START + 90 * DAY)
    answer = await log_out(headers_of(issued))

    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x"}, {"Cookie": "__Host-session=x", "Sec-Fetch-Site": "same-origin"}],
    ids=str,
)
async def test_logout_without_a_login_does_nothing(log_out, events, headers):
    assert (await log_out(headers)).status_code == 204
    assert await events() == []


async def test_logout_of_an_expired_session_is_not_audited(
    log_out, make_user, begin_session, headers_of, events, set_clock
):
    set_clock(START)
    issued = await begin_session(await make_user())

    set_clock(START + 90 * DAY)

    assert (await log_out(headers_of(issued))).status_code == 204
    assert await events() == []


# With the refresh token


@pytest.fixture
def expired_headers(expired_tokens):
    """`expired_headers(issued)`: an expired access token of the session."""

    def headers(issued):
        token = expired_tokens.issue_access(issued.user.id, session_id=issued.session.id)
        return {"Authorization": f"Bearer {token}"}

    return headers


async def test_the_refresh_token_logs_out_after_the_access_token_expired(
    log_out, make_user, begin_session, expired_headers, is_alive, events
):
    user = await make_user()
    issued = await begin_session(user)

    answer = await log_out(expired_headers(issued), refresh_token=issued.token)

    [event] = await events()
    assert answer.status_code == 204
    assert not await is_alive(issued)
    assert (event.event, event.user_id, event.actor) == ("logout", user.id, user.id)


@pytest.mark.parametrize("token", ["", "x", "x.y", "x." + "A" * 64])
async def test_an_invalid_refresh_token_ends_nothing(log_out, make_user, begin_session, is_alive, token):
    issued = await begin_session(await make_user())

    assert (await log_out(refresh_token=token)).status_code == 204
    assert await is_alive(issued)


async def test_a_forged_secret_for_a_real_id_ends_nothing(log_out, make_user, begin_session, is_alive):
    issued = await begin_session(await make_user())

    answer = await log_out(refresh_token=f"{issued.session.id}.{'A' * 64}")

    assert answer.status_code == 204
    assert await is_alive(issued)


async def test_the_secret_of_a_cookie_in_the_body_ends_nothing(log_out, make_user, begin_session, is_alive):
    issued = await begin_session(await make_user(), kind="cookie")

    await log_out(refresh_token=issued.token)

    assert await is_alive(issued)


async def test_a_login_wins_over_another_users_refresh_token(
    log_out, make_user, begin_session, headers_of, is_alive
):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    of_ada, of_eve = await begin_session(ada), await begin_session(eve)

    await log_out(headers_of(of_ada), refresh_token=of_eve.token)

    assert not await is_alive(of_ada)
    assert await is_alive(of_eve)


async def test_a_replaced_refresh_token_also_logs_out(client, log_out, make_user, begin_session, is_alive):
    """Another tab has refreshed the token. A 204 promises that the session is over, so it must be."""
    issued = await begin_session(await make_user())
    await client.post("/users/token/refresh", json={"refresh_token": issued.token})

    await log_out(refresh_token=issued.token)

    assert not await is_alive(issued)


# Cross-site and concurrent requests


@KINDS
async def test_six_concurrent_logouts_are_audited_once(
    log_out, make_user, begin_session, headers_of, at_once, events, is_alive, kind
):
    issued = await begin_session(await make_user(), kind=kind)

    statuses = await at_once(6, lambda: log_out(headers_of(issued)))

    assert statuses == [204] * 6
    assert [event.event for event in await events()] == ["logout"]
    assert not await is_alive(issued)

"""POST /users/logout immediately ends this session and no other."""

import pytest

KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])


@pytest.fixture
def log_out(client):
    """`await log_out(headers, refresh_token=...)` logs out and returns the response."""

    async def send(headers=None, **body):
        return await client.post("/users/logout", headers=headers, json=body or None)

    return send


@pytest.fixture
def is_alive(client, headers_of):
    """`await is_alive(issued)`: whether the session still works."""

    async def ask(issued):
        return (await client.get("/users/me", headers=headers_of(issued))).status_code == 200

    return ask


@KINDS
async def test_the_session_ends_at_once(log_out, make_user, begin_session, headers_of, is_alive, kind):
    issued = await begin_session(await make_user(), kind=kind)

    answer = await log_out(headers_of(issued))

    assert (answer.status_code, answer.content) == (204, b"")
    assert not await is_alive(issued)


async def test_the_refresh_token_stops_working(client, log_out, make_user, begin_session, headers_of):
    issued = await begin_session(await make_user())

    await log_out(headers_of(issued))

    answer = await client.post("/users/token/refresh", json={"refresh_token": issued.token})
    assert answer.status_code == 401


async def test_the_cookie_is_cleared(log_out, make_user, begin_session, headers_of):
    issued = await begin_session(await make_user(), kind="cookie")

    [cookie] = (await log_out(headers_of(issued))).headers.get_list("set-cookie")

    assert cookie.split("; ")[0] == "__Host-session="
    assert set(cookie.split("; ")[1:]) == {"Path=/", "SameSite=Lax", "Max-Age=0", "Secure", "HttpOnly"}


@KINDS
async def test_the_browser_storage_is_cleared(log_out, make_user, begin_session, headers_of, kind):
    """ASVS 14.3.1. The header omits "cookies", which would also clear `__Host-device` and the cookies for
    every host in the domain.
    """
    issued = await begin_session(await make_user(), kind=kind)

    answer = await log_out(headers_of(issued))

    assert answer.headers["clear-site-data"] == '"cache", "storage"'


@pytest.mark.parametrize("headers", [{}, {"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_cannot_clear_the_browser_storage(log_out, headers):
    """Another site's pages can send this request, but without the session cookie, which is SameSite=Lax."""
    answer = await log_out(headers)

    assert answer.status_code == 204
    assert "clear-site-data" not in answer.headers


async def test_a_cookie_beside_a_bearer_token_ends_too(
    log_out, make_user, begin_session, headers_of, is_alive
):
    """Checklist 19: otherwise, the browser would forget a cookie that still works."""
    user = await make_user()
    bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")

    answer = await log_out(headers_of(cookie) | headers_of(bearer))

    assert answer.status_code == 204
    assert [await is_alive(each) for each in (bearer, cookie)] == [False, False]


async def test_a_cookie_beside_a_bearer_token_from_another_site_is_left_alone(
    log_out, make_user, begin_session, headers_of, is_alive
):
    user = await make_user()
    bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")
    another_site = {"Sec-Fetch-Site": "cross-site"}

    answer = await log_out(headers_of(cookie) | headers_of(bearer) | another_site)

    assert "set-cookie" not in answer.headers
    assert [await is_alive(each) for each in (bearer, cookie)] == [False, True]


@KINDS
async def test_other_sessions_continue(log_out, make_user, begin_session, headers_of, is_alive, kind):
    user, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    issued = await begin_session(user, kind=kind)
    others = [await begin_session(user), await begin_session(user, kind="cookie"), await begin_session(eve)]

    await log_out(headers_of(issued))

    assert [await is_alive(other) for other in others] == [True, True, True]


@KINDS
async def test_logout_is_audited_once_and_calls_the_hook_once(
    log_out, manager, make_user, begin_session, headers_of, events, kind
):
    user = await make_user()
    issued = await begin_session(user, kind=kind)
    left = []

    async def hook(user):
        left.append(user.id)

    manager.on_after_logout = hook

    await log_out(headers_of(issued))
    await log_out(headers_of(issued))

    [event] = await events()
    assert (event.event, event.outcome, event.method) == ("logout", "success", kind)
    assert (event.user_id, event.actor, event.ip_address) == (user.id, user.id, "203.0.113.9")
    assert left == [user.id]


# Already logged out


@KINDS
async def test_logging_out_twice_succeeds(log_out, make_user, begin_session, headers_of, kind):
    issued = await begin_session(await make_user(), kind=kind)
    await log_out(headers_of(issued))

    assert (await log_out(headers_of(issued))).status_code == 204


# With the refresh token


async def test_the_refresh_token_is_enough_to_log_out(log_out, make_user, begin_session, is_alive):
    issued = await begin_session(await make_user())

    assert (await log_out(refresh_token=issued.token)).status_code == 204
    assert not await is_alive(issued)


@pytest.mark.parametrize("body", [b"x", b"[]", b'{"refresh_token":1}', b'{"refresh_token":"x'])
async def test_an_invalid_body_is_refused(client, body):
    answer = await client.post("/users/logout", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400


# Cross-site and concurrent requests


@pytest.mark.parametrize(
    "headers", [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}], ids=str
)
async def test_another_site_cannot_log_a_user_out(
    log_out, make_user, begin_session, headers_of, is_alive, headers
):
    issued = await begin_session(await make_user(), kind="cookie")

    answer = await log_out(headers_of(issued) | headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert await is_alive(issued)


# Your own tests go below; template updates never touch them.

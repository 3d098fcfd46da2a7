"""Cookie login in detail: other cookies and tokens in the request, and plain HTTP."""

from datetime import UTC, datetime

import pytest

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

FROM_A_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def log_in(client):
    """`await log_in(remember=False)`: the response to Ada's login in a browser that sends *cookie*."""

    async def send(cookie=None, **body):
        headers = FROM_A_PAGE | ({"Cookie": cookie} if cookie else {})
        return await client.post("/users/login/cookie", json=ADA | body, headers=headers)

    return send


@pytest.fixture
def status_of(client):
    """`await status_of(headers)`: the status of GET /users/me."""

    async def ask(headers):
        return (await client.get("/users/me", headers=headers)).status_code

    return ask


# The previous cookie


@pytest.mark.parametrize("value", ["", "x", "x.y", "x." + "A" * 64, '"quoted"', "x" * 3000])
async def test_an_invalid_cookie_does_not_prevent_a_login(log_in, make_user, value):
    await make_user("ada@example.com")

    assert (await log_in(cookie=f"__Host-session={value}")).status_code == 200


async def test_a_refresh_token_in_the_cookie_ends_no_session(
    log_in, make_user, begin_session, headers_of, status_of
):
    bearer = await begin_session(await make_user("ada@example.com"))

    await log_in(cookie=f"__Host-session={bearer.token}")

    assert await status_of(headers_of(bearer)) == 200


async def test_six_concurrent_logins_each_get_a_session(
    log_in, make_user, begin_session, headers_of, at_once, status_of, session_rows
):
    before = headers_of(await begin_session(await make_user("ada@example.com"), kind="cookie"))

    statuses = await at_once(6, lambda: log_in(cookie=before["Cookie"]))

    assert statuses == [200] * 6
    assert await status_of(before) == 401
    assert sum(row.revoked_at is None for row in await session_rows()) == 6


# Other credentials


async def test_a_cookie_does_not_rescue_an_invalid_bearer_token(
    make_user, begin_session, headers_of, status_of
):
    cookie = headers_of(await begin_session(await make_user(), kind="cookie"))

    assert await status_of(cookie | {"Authorization": "Bearer x"}) == 401


async def test_a_bearer_token_wins_over_a_cookie(client, make_user, begin_session, headers_of):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    cookie, bearer = await begin_session(ada, kind="cookie"), await begin_session(eve)

    answer = await client.get("/users/me", headers=headers_of(cookie) | headers_of(bearer))

    assert answer.json()["id"] == eve.id


# Plain HTTP, in development


async def test_without_https_the_cookie_has_another_name_and_works(
    session_cookie, other_client, make_user, set_clock
):
    """COOKIE_SECURE is false here. The client keeps the cookie, as a browser would."""
    set_clock(START)
    await make_user("ada@example.com")
    browser = await other_client(cookie_secure=False)

    answer = await browser.post("/users/login/cookie", json=ADA, headers=FROM_A_PAGE)

    cookie = session_cookie(answer)
    assert cookie.startswith("session=")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "SameSite=Lax", "HttpOnly", f"Max-Age={90 * 24 * 3600}"}
    assert (await browser.get("/users/me")).status_code == 200


async def test_without_https_logout_clears_the_cookie(other_client, make_user):
    await make_user("ada@example.com")
    browser = await other_client(cookie_secure=False)
    await browser.post("/users/login/cookie", json=ADA, headers=FROM_A_PAGE)

    await browser.post("/users/logout", headers=FROM_A_PAGE)

    assert list(browser.cookies) == ["device"]


@pytest.mark.parametrize(("secure", "name"), [(True, "session"), (False, "__Host-session")])
async def test_only_the_configured_cookie_name_is_read(other_client, make_user, begin_session, secure, name):
    """Any host in the domain, and any plain HTTP response, can set a cookie without `__Host-`."""
    issued = await begin_session(await make_user(), kind="cookie")
    client = await other_client(cookie_secure=secure)

    answer = await client.get("/users/me", headers={"Cookie": f"{name}={issued.token}"})

    assert answer.status_code == 401

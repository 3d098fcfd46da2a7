"""POST /users/login/cookie: the login of browsers."""

from datetime import UTC, datetime, timedelta

import pytest

from app.users.passwords import hashing

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
ADA = {"email": "ada@example.com", "password": "correct horse battery"}
FROM_A_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def password_hash(quick_hashing):
    """Of every account here; verifying it costs next to nothing."""
    return hashing.hash_password("correct horse battery")


@pytest.fixture
def log_in(client):
    """`await log_in(remember=False)`: the answer to Ada's login in a browser; *cookie* is the old one."""

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


# What it answers


async def test_it_answers_the_public_account_and_no_token(log_in, make_user):
    user = await make_user("ada@example.com", is_verified=True)

    answer = await log_in()

    assert answer.status_code == 200
    expected = {
        "id": user.id,
        "email": "ada@example.com",
        "is_active": True,
        "is_verified": True,
        "is_superuser": False,
    }
    assert answer.json() == answer.json() | expected
    assert not {"access_token", "refresh_token"} & set(answer.json())


async def test_the_cookie_is_good_for_the_next_request(client, log_in, make_user, headers_of_answer):
    user = await make_user("ada@example.com")

    headers = headers_of_answer(await log_in())

    assert (await client.get("/users/me", headers=headers)).json()["id"] == user.id


async def test_the_cookie_has_every_attribute_that_protects_it(session_cookie, log_in, make_user, set_clock):
    await make_user("ada@example.com")
    set_clock(START)

    cookie = session_cookie(await log_in())

    pair, *attributes = cookie.split("; ")
    assert pair.startswith("__Host-session=")
    assert set(attributes) == {"Path=/", "SameSite=Lax", "Secure", "HttpOnly", f"Max-Age={90 * 24 * 3600}"}


async def test_the_session_is_one_of_a_cookie(log_in, make_user, session_rows):
    user = await make_user("ada@example.com")

    await log_in()

    [row] = await session_rows()
    assert (row.user_id, row.kind) == (user.id, "cookie")


async def test_the_login_is_audited_once_and_sends_no_mail(log_in, make_user, events, outbox):
    user = await make_user("ada@example.com")

    await log_in()

    [event] = await events()
    assert (event.event, event.outcome, event.method) == ("login", "success", "password")
    assert (event.user_id, event.actor) == (user.id, user.id)
    assert await outbox() == []


# Remembered or not


@pytest.mark.parametrize("body", [{}, {"remember": True}], ids=str)
@pytest.mark.parametrize(("age", "status"), [(14 * DAY - MICROSECOND, 200), (14 * DAY, 401)], ids=str)
async def test_a_login_is_remembered(
    log_in, make_user, headers_of_answer, status_of, set_clock, body, age, status
):
    await make_user("ada@example.com")
    set_clock(START)
    headers = headers_of_answer(await log_in(**body))

    set_clock(START + age)

    assert await status_of(headers) == status


@pytest.mark.parametrize(("age", "status"), [(DAY - MICROSECOND, 200), (DAY, 401)], ids=str)
async def test_a_login_that_is_not_remembered_lasts_a_day(
    log_in, make_user, headers_of_answer, status_of, set_clock, age, status
):
    await make_user("ada@example.com")
    set_clock(START)
    headers = headers_of_answer(await log_in(remember=False))

    set_clock(START + age)

    assert await status_of(headers) == status


async def test_a_login_that_is_not_remembered_goes_with_the_browser(session_cookie, log_in, make_user):
    await make_user("ada@example.com")

    cookie = session_cookie(await log_in(remember=False))

    assert set(cookie.split("; ")[1:]) == {"Path=/", "SameSite=Lax", "Secure", "HttpOnly"}


# Who does not get in


@pytest.mark.parametrize(
    "body", [{"password": "x"}, {"password": ""}, {"email": "eve@example.com"}, {"email": ""}], ids=str
)
async def test_wrong_credentials_get_no_cookie(log_in, make_user, session_rows, body):
    await make_user("ada@example.com")

    answer = await log_in(**body)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert await session_rows() == []


async def test_a_disabled_account_gets_no_cookie(log_in, make_user):
    await make_user("ada@example.com", is_active=False)

    answer = await log_in()

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "body",
    [{"email": None}, {"password": 1}, {"remember": "no"}, {"remember": None}, {"password": "x" * 1025}],
)
async def test_an_invalid_body_is_refused_without_hashing(log_in, make_user, hash_calls, body):
    await make_user("ada@example.com")

    answer = await log_in(**body)

    assert answer.status_code == 400
    assert hash_calls == []


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}])
async def test_another_site_cannot_log_somebody_in(client, make_user, hash_calls, headers):
    """Login CSRF: the victim would work in the attacker's account."""
    await make_user("ada@example.com")

    answer = await client.post("/users/login/cookie", json=ADA, headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert hash_calls == []


# The cookie from before


async def test_the_cookie_from_before_is_dead(log_in, make_user, headers_of_answer, status_of):
    await make_user("ada@example.com")
    old = headers_of_answer(await log_in())

    new = headers_of_answer(await log_in(cookie=old["Cookie"]))

    assert await status_of(old) == 401
    assert await status_of(new) == 200


async def test_the_cookie_of_somebody_else_is_dead_too(
    log_in, make_user, begin_session, headers_of, status_of
):
    """One browser has one login."""
    await make_user("ada@example.com")
    of_eve = headers_of(await begin_session(await make_user("eve@example.com"), kind="cookie"))

    await log_in(cookie=of_eve["Cookie"])

    assert await status_of(of_eve) == 401


async def test_a_login_that_fails_leaves_the_cookie_from_before(
    log_in, make_user, begin_session, headers_of, status_of
):
    before = headers_of(await begin_session(await make_user("ada@example.com"), kind="cookie"))

    await log_in(cookie=before["Cookie"], password="x")

    assert await status_of(before) == 200


async def test_the_sessions_of_other_browsers_live_on(
    log_in, make_user, begin_session, headers_of, status_of
):
    user = await make_user("ada@example.com")
    others = [headers_of(await begin_session(user, kind=kind)) for kind in ("cookie", "bearer")]

    await log_in()

    assert [await status_of(headers) for headers in others] == [200, 200]


@pytest.mark.parametrize("value", ["", "x", "x.y", "x." + "A" * 64, '"quoted"', "x" * 3000])
async def test_a_cookie_that_is_none_does_not_hinder(log_in, make_user, value):
    await make_user("ada@example.com")

    assert (await log_in(cookie=f"__Host-session={value}")).status_code == 200


async def test_a_refresh_token_in_the_cookie_ends_nothing(
    log_in, make_user, begin_session, headers_of, status_of
):
    bearer = await begin_session(await make_user("ada@example.com"))

    await log_in(cookie=f"__Host-session={bearer.token}")

    assert await status_of(headers_of(bearer)) == 200


async def test_of_six_logins_at_once_each_has_a_session_and_the_old_one_is_dead(
    log_in, make_user, begin_session, headers_of, at_once, status_of, session_rows
):
    before = headers_of(await begin_session(await make_user("ada@example.com"), kind="cookie"))

    statuses = await at_once(6, lambda: log_in(cookie=before["Cookie"]))

    assert statuses == [200] * 6
    assert await status_of(before) == 401
    assert sum(row.revoked_at is None for row in await session_rows()) == 6


# Beside the cookie


async def test_a_bad_bearer_token_is_not_made_good_by_a_cookie(
    make_user, begin_session, headers_of, status_of
):
    cookie = headers_of(await begin_session(await make_user(), kind="cookie"))

    assert await status_of(cookie | {"Authorization": "Bearer x"}) == 401


async def test_a_bearer_token_counts_before_a_cookie(client, make_user, begin_session, headers_of):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    cookie, bearer = await begin_session(ada, kind="cookie"), await begin_session(eve)

    answer = await client.get("/users/me", headers=headers_of(cookie) | headers_of(bearer))

    assert answer.json()["id"] == eve.id


# Without https, in development


async def test_without_https_the_cookie_has_another_name_and_works(
    session_cookie, other_client, make_user, set_clock
):
    """COOKIE_SECURE=false. The client keeps the cookie by itself, as a browser would."""
    set_clock(START)
    await make_user("ada@example.com")
    browser = await other_client(cookie_secure=False)

    answer = await browser.post("/users/login/cookie", json=ADA, headers=FROM_A_PAGE)

    cookie = session_cookie(answer)
    assert cookie.startswith("session=")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "SameSite=Lax", "HttpOnly", f"Max-Age={90 * 24 * 3600}"}
    assert (await browser.get("/users/me")).status_code == 200


async def test_without_https_logging_out_takes_the_cookie_away(other_client, make_user):
    await make_user("ada@example.com")
    browser = await other_client(cookie_secure=False)
    await browser.post("/users/login/cookie", json=ADA, headers=FROM_A_PAGE)

    await browser.post("/users/logout", headers=FROM_A_PAGE)

    assert list(browser.cookies) == ["device"]


@pytest.mark.parametrize(("secure", "name"), [(True, "session"), (False, "__Host-session")])
async def test_the_name_of_the_other_setting_is_not_read(
    other_client, make_user, begin_session, secure, name
):
    """Any host of the domain, and plain http, can set a cookie that has no `__Host-`."""
    issued = await begin_session(await make_user(), kind="cookie")
    client = await other_client(cookie_secure=secure)

    answer = await client.get("/users/me", headers={"Cookie": f"{name}={issued.token}"})

    assert answer.status_code == 401

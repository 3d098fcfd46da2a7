"""POST /users/login/cookie: browser login."""

from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

DAY = timedelta(days=1)

MICROSECOND = timedelta(microseconds=1)

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

FROM_A_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def log_in(client):
    """`await log_in(remember=False)` logs Ada in from a browser that sends *cookie*. Returns the response."""

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


# The response


async def test_the_response_has_the_public_account_and_no_token(log_in, make_user):
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


async def test_the_cookie_authenticates_the_next_request(client, log_in, make_user, headers_of_answer):
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


async def test_the_session_is_a_cookie_session(log_in, make_user, session_rows):
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


# Remembered and unremembered logins


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
async def test_an_unremembered_login_lasts_a_day(
    log_in, make_user, headers_of_answer, status_of, set_clock, age, status
):
    await make_user("ada@example.com")
    set_clock(START)
    headers = headers_of_answer(await log_in(remember=False))

    set_clock(START + age)

    assert await status_of(headers) == status


async def test_an_unremembered_login_ends_with_the_browser(session_cookie, log_in, make_user):
    await make_user("ada@example.com")

    cookie = session_cookie(await log_in(remember=False))

    assert set(cookie.split("; ")[1:]) == {"Path=/", "SameSite=Lax", "Secure", "HttpOnly"}


# Refused logins


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
async def test_another_site_cannot_log_a_user_in(client, make_user, hash_calls, headers):
    """Otherwise, the victim could be made to work in the attacker's account (login CSRF)."""
    await make_user("ada@example.com")

    answer = await client.post("/users/login/cookie", json=ADA, headers=headers)

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert hash_calls == []


# The previous cookie


async def test_the_previous_cookie_stops_working(log_in, make_user, headers_of_answer, status_of):
    await make_user("ada@example.com")
    old = headers_of_answer(await log_in())

    new = headers_of_answer(await log_in(cookie=old["Cookie"]))

    assert await status_of(old) == 401
    assert await status_of(new) == 200


async def test_another_users_previous_cookie_stops_working(
    log_in, make_user, begin_session, headers_of, status_of
):
    """A browser has one session at a time."""
    await make_user("ada@example.com")
    of_eve = headers_of(await begin_session(await make_user("eve@example.com"), kind="cookie"))

    await log_in(cookie=of_eve["Cookie"])

    assert await status_of(of_eve) == 401


async def test_a_failed_login_keeps_the_previous_cookie(
    log_in, make_user, begin_session, headers_of, status_of
):
    before = headers_of(await begin_session(await make_user("ada@example.com"), kind="cookie"))

    await log_in(cookie=before["Cookie"], password="x")

    assert await status_of(before) == 200


async def test_sessions_of_other_browsers_continue(log_in, make_user, begin_session, headers_of, status_of):
    user = await make_user("ada@example.com")
    others = [headers_of(await begin_session(user, kind=kind)) for kind in ("cookie", "bearer")]

    await log_in()

    assert [await status_of(headers) for headers in others] == [200, 200]


# Your own tests go below; template updates never touch them.

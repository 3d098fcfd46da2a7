"""Session tokens under attack: guessed, copied from the database, planted, replayed, or kept after logout."""

from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)

IDLE, ABSOLUTE = 14 * DAY, 90 * DAY

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

PASSWORD = {"password": ADA["password"]}

FROM_A_PAGE = {"Sec-Fetch-Site": "same-origin"}

KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])


@pytest.fixture
def status_of_refresh(client):
    """`await status_of_refresh(token)` refreshes the session and returns the status."""

    async def ask(token):
        return (await client.post("/users/token/refresh", json={"refresh_token": token})).status_code

    return ask


@pytest.fixture
def log_in(client):
    """`await log_in(cookie)` logs Ada in with a browser that has *cookie*."""

    async def send(cookie=""):
        headers = FROM_A_PAGE | {"Cookie": cookie}
        return await client.post("/users/login/cookie", json=ADA, headers=headers)

    return send


# Checklist 16: a new token whenever the password is entered


async def test_a_login_replaces_the_cookie(log_in, make_user, headers_of_answer, status_of):
    """Checklist 16; ASVS 7.2.4."""
    await make_user("ada@example.com")
    old = headers_of_answer(await log_in())

    new = headers_of_answer(await log_in(old["Cookie"]))

    assert new["Cookie"] != old["Cookie"]
    assert (await status_of(old), await status_of(new)) == (401, 200)


async def test_a_confirmation_replaces_the_cookie(client, log_in, make_user, headers_of_answer, status_of):
    """Checklist 16; ASVS 7.2.4: a confirmation is a re-authentication."""
    await make_user("ada@example.com")
    old = headers_of_answer(await log_in())

    answer = await client.post("/users/me/confirm", json=PASSWORD, headers=old)

    new = headers_of_answer(answer)
    assert new["Cookie"] != old["Cookie"]
    assert (await status_of(old), await status_of(new)) == (401, 200)


async def test_a_new_password_replaces_the_cookie(client, log_in, make_user, headers_of_answer, status_of):
    """Checklist 16, 21; ASVS 7.2.4, 7.4.3."""
    await make_user("ada@example.com")
    old = headers_of_answer(await log_in())
    body = {"current_password": ADA["password"], "new_password": "a brand new password"}

    answer = await client.post("/users/me/password", json=body, headers=old)

    new = headers_of_answer(answer)
    assert new["Cookie"] != old["Cookie"]
    assert (await status_of(old), await status_of(new)) == (401, 200)


# Checklist 17: fixation


async def test_a_login_does_not_adopt_an_invented_cookie(log_in, make_user, headers_of_answer, status_of):
    """Checklist 17."""
    await make_user("ada@example.com")
    planted = f"__Host-session=00000000-0000-4000-8000-000000000000.{'A' * 64}"

    new = headers_of_answer(await log_in(planted))

    assert new["Cookie"] != planted
    assert "00000000-0000-4000-8000-000000000000" not in new["Cookie"]
    assert await status_of({"Cookie": planted}) == 401


async def test_a_login_does_not_adopt_the_attackers_session_cookie(
    client, log_in, make_user, begin_session, headers_of, headers_of_answer, status_of
):
    """Checklist 17: the attacker has logged in and planted the cookie in the victim's browser."""
    user, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    planted = headers_of(await begin_session(eve, kind="cookie"))

    new = headers_of_answer(await log_in(planted["Cookie"]))

    assert await status_of(planted) == 401
    assert (await client.get("/users/me", headers=new)).json()["id"] == user.id


# Checklist 18: both limits


@KINDS
@pytest.mark.parametrize(("age", "status"), [(IDLE - MICROSECOND, 200), (IDLE, 401)], ids=str)
async def test_an_idle_session_ends(
    make_user, begin_session, headers_of, status_of, set_clock, kind, age, status
):
    """Checklist 18; ASVS 7.3.1."""
    set_clock(START)
    issued = await begin_session(await make_user(), kind=kind)

    set_clock(START + age)

    assert await status_of(headers_of(issued)) == status


@pytest.fixture
def use_until(client, set_clock, headers_of):
    """`await use_until(moment, issued)` uses the session every ten days until *moment*."""

    async def use(moment, issued):
        seen = START
        while seen + 10 * DAY < moment:
            seen += 10 * DAY
            set_clock(seen)
            await client.get("/users/me", headers=headers_of(issued))
        set_clock(moment)

    return use


@KINDS
@pytest.mark.parametrize(("age", "status"), [(ABSOLUTE - MICROSECOND, 200), (ABSOLUTE, 401)], ids=str)
async def test_a_busy_session_ends_too(
    make_user, begin_session, headers_of, status_of, set_clock, use_until, kind, age, status
):
    """Checklist 18; ASVS 7.3.2: use extends the idle limit but never the absolute one."""
    set_clock(START)
    issued = await begin_session(await make_user(), kind=kind)

    await use_until(START + age, issued)

    assert await status_of(headers_of(issued)) == status


# Checklist 19: logout


@KINDS
async def test_a_logged_out_cookie_cannot_be_replayed(
    client, make_user, begin_session, headers_of, status_of, kind
):
    """Checklist 19; ASVS 7.4.1."""
    headers = headers_of(await begin_session(await make_user(), kind=kind))
    before = await status_of(headers)

    await client.post("/users/logout", headers=headers)

    assert (before, await status_of(headers)) == (200, 401)


@KINDS
async def test_logging_out_again_succeeds(client, make_user, begin_session, headers_of, kind):
    """Checklist 19."""
    headers = headers_of(await begin_session(await make_user(), kind=kind))

    answers = [await client.post("/users/logout", headers=headers) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [204, 204, 204]


# Checklist 20: the account is disabled or deleted


@pytest.fixture
def act(client, make_user, begin_session, headers_of):
    """`await act("disable", headers, user)` performs that action on the account."""

    async def do(name, headers, user):
        root = await make_user("root@example.com", is_superuser=True)
        by_root = headers_of(await begin_session(root))
        path = f"/users/{user.id}"
        sends = {
            "disabled": lambda: client.patch(path, json={"is_active": False}, headers=by_root),
            "deleted by a superuser": lambda: client.delete(path, headers=by_root),
            "deleted by its owner": lambda: client.delete("/users/me", headers=headers),
        }
        assert (await sends[name]()).is_success

    return do


@pytest.mark.parametrize("name", ["disabled", "deleted by a superuser", "deleted by its owner"])
async def test_every_session_ends_when_the_account_is_deleted_or_disabled(
    act, make_user, begin_session, headers_of, status_of, status_of_refresh, name
):
    """Checklist 20; ASVS 7.4.2."""
    user = await make_user("ada@example.com")
    bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")
    before = [await status_of(headers_of(each)) for each in (bearer, cookie)]

    await act(name, headers_of(bearer), user)

    assert before == [200, 200]
    assert [await status_of(headers_of(each)) for each in (bearer, cookie)] == [401, 401]
    assert await status_of_refresh(bearer.token) == 401


async def test_disabling_the_account_in_the_database_ends_every_session(
    make_user, begin_session, headers_of, status_of, status_of_refresh, change
):
    """Checklist 20; ASVS 7.4.2: a plain UPDATE in the database is enough."""
    user = await make_user("ada@example.com")
    bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")

    await change(user, is_active=False)

    assert [await status_of(headers_of(each)) for each in (bearer, cookie)] == [401, 401]
    assert await status_of_refresh(bearer.token) == 401


async def test_a_reactivated_account_has_no_earlier_sessions(
    client, act, make_user, begin_session, headers_of, status_of, status_of_refresh, change
):
    """Checklist 20: disabling ends sessions instead of suspending them."""
    user = await make_user("ada@example.com")
    bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")
    await act("disabled", headers_of(bearer), user)

    await change(user, is_active=True)

    assert [await status_of(headers_of(each)) for each in (bearer, cookie)] == [401, 401]
    assert await status_of_refresh(bearer.token) == 401


async def test_sessions_of_other_users_continue(act, make_user, begin_session, headers_of, status_of):
    """Checklist 20."""
    user, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    of_ada, of_eve = await begin_session(user), await begin_session(eve)

    await act("disabled", headers_of(of_ada), user)

    assert await status_of(headers_of(of_eve)) == 200


# Your own tests go below; template updates never touch them.

"""Session tokens, what the database stores, and limits that cannot be extended (Checklist 15, 17 and 18)."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

DAY, MICROSECOND = timedelta(days=1), timedelta(microseconds=1)
ABSOLUTE = 90 * DAY

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

PASSWORD = {"password": ADA["password"]}

KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])


@pytest.fixture
def status_of_refresh(client):
    """`await status_of_refresh(token)`: the status of a refresh."""

    async def ask(token):
        return (await client.post("/users/token/refresh", json={"refresh_token": token})).status_code

    return ask


# 15: the token and what the database stores


async def test_a_token_is_32_bytes_of_system_randomness(make_user, begin_session, monkeypatch):
    """Checklist 15; ASVS 7.2.3."""
    asked = []

    def token_bytes(size):
        asked.append(size)
        return b"\x07" * size

    monkeypatch.setattr("secrets.token_bytes", token_bytes)

    issued = await begin_session(await make_user())

    assert asked == [32]
    assert base64.urlsafe_b64decode(issued.token.partition(".")[2])[:32] == b"\x07" * 32


@KINDS
async def test_the_database_holds_only_the_hash(make_user, begin_session, session_rows, kind):
    """Checklist 15; ASVS 7.2.3, 11.5.1."""
    issued = await begin_session(await make_user(), kind=kind)

    [row] = await session_rows()
    secret = base64.urlsafe_b64decode(issued.token.partition(".")[2])[:32]
    assert row.secret_hash == hashlib.sha256(secret).hexdigest()
    assert row.replaced_tokens == "[]"


@pytest.fixture
def forged():
    """`forged(row, token)`: tokens forged from the database; *token* provides the checksum."""

    def make(row, token):
        digest = bytes.fromhex(row.secret_hash)
        seal = base64.urlsafe_b64decode(token.partition(".")[2])[32:]
        values = [
            row.secret_hash,
            base64.urlsafe_b64encode(digest).decode(),
            base64.urlsafe_b64encode(digest + seal).decode(),
            base64.urlsafe_b64encode(digest + bytes(16)).decode(),
            base64.urlsafe_b64encode(row.secret_hash.encode()).decode(),
        ]
        return [row.secret_hash, row.id, *(f"{row.id}.{value}" for value in values)]

    return make


async def test_stored_values_are_not_valid_cookies(
    client, make_user, begin_session, session_rows, forged, at_once
):
    """Checklist 15: a database dump cannot be used to log in."""
    issued = await begin_session(await make_user(), kind="cookie")
    [row] = await session_rows()
    tokens = iter(forged(row, issued.token))

    statuses = await at_once(
        7, lambda: client.get("/users/me", headers={"Cookie": f"__Host-session={next(tokens)}"})
    )

    assert statuses == [401] * 7


async def test_stored_values_are_not_valid_refresh_tokens(
    client, make_user, begin_session, session_rows, forged, at_once, headers_of, status_of
):
    """Checklist 15. A forged token does not end the session either."""
    issued = await begin_session(await make_user())
    [row] = await session_rows()
    tokens = iter(forged(row, issued.token))

    statuses = await at_once(
        7, lambda: client.post("/users/token/refresh", json={"refresh_token": next(tokens)})
    )

    assert statuses == [401] * 7
    assert await status_of(headers_of(issued)) == 200


async def test_stored_values_of_replaced_tokens_are_useless(
    client, make_user, begin_session, session_rows, status_of_refresh, headers_of, status_of
):
    """Checklist 15."""
    issued = await begin_session(await make_user())
    await client.post("/users/token/refresh", json={"refresh_token": issued.token})
    [row] = await session_rows()

    assert (
        hashlib.sha256(base64.urlsafe_b64decode(issued.token.partition(".")[2])[:32]).hexdigest()
        in row.replaced_tokens
    )
    assert issued.token.partition(".")[2] not in row.replaced_tokens
    assert await status_of_refresh(f"{row.id}.{row.replaced_tokens[3:67]}") == 401
    assert await status_of(headers_of(issued)) == 200


# 16: a new token whenever the password is entered


async def test_each_bearer_login_has_its_own_tokens(client, make_user, session_rows):
    """Checklist 16."""
    await make_user("ada@example.com")

    pairs = [(await client.post("/users/login", json=ADA)).json() for _ in range(2)]

    assert pairs[0]["refresh_token"] != pairs[1]["refresh_token"]
    assert len({row.id for row in await session_rows()}) == 2


# 17: fixation


async def test_two_session_cookies_cannot_be_combined(client, make_user, begin_session, headers_of):
    """Checklist 17: a cookie planted alongside the real one is never combined with it."""
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    of_ada = headers_of(await begin_session(ada, kind="cookie"))["Cookie"]
    planted = headers_of(await begin_session(eve, kind="cookie"))["Cookie"]
    id_of_ada, secret_of_eve = of_ada.partition(".")[0], planted.partition(".")[2]

    answer = await client.get("/users/me", headers={"Cookie": f"{id_of_ada}.{secret_of_eve}"})

    assert answer.status_code == 401


# 18: both limits


@pytest.fixture
def use_until(client, set_clock, headers_of):
    """`await use_until(moment, issued)`: use the session every ten days until *moment*."""

    async def use(moment, issued):
        seen = START
        while seen + 10 * DAY < moment:
            seen += 10 * DAY
            set_clock(seen)
            await client.get("/users/me", headers=headers_of(issued))
        set_clock(moment)

    return use


@pytest.fixture
def refresh_until(client, set_clock):
    """`await refresh_until(moment, token)`: refresh every ten days. Returns the newest token at *moment*."""

    async def use(moment, token):
        seen = START
        while seen + 10 * DAY < moment:
            seen += 10 * DAY
            set_clock(seen)
            answer = await client.post("/users/token/refresh", json={"refresh_token": token})
            token = answer.json()["refresh_token"]
        set_clock(moment)
        return token

    return use


@pytest.mark.parametrize(("age", "status"), [(ABSOLUTE - MICROSECOND, 200), (ABSOLUTE, 401)], ids=str)
async def test_refreshing_does_not_extend_the_absolute_limit(
    make_user, begin_session, status_of_refresh, set_clock, refresh_until, age, status
):
    """Checklist 18; ASVS 7.3.2."""
    set_clock(START)
    issued = await begin_session(await make_user())

    newest = await refresh_until(START + age, issued.token)

    assert await status_of_refresh(newest) == status


async def test_neither_use_nor_refreshing_makes_a_login_recent(
    client, make_user, begin_session, headers_of, session_rows, set_clock, refresh_until, use_until
):
    """Checklist 18: `authenticated_at` changes only when the password is entered."""
    set_clock(START)
    issued = await begin_session(await make_user())

    await refresh_until(START + 30 * DAY, issued.token)
    await client.get("/users/me", headers=headers_of(issued))

    [row] = await session_rows()
    assert (row.authenticated_at, row.last_seen_at) == (START, START + 30 * DAY)
    assert (await client.get("/users/me/export", headers=headers_of(issued))).status_code == 403


@KINDS
async def test_a_confirmation_does_not_extend_the_absolute_limit(
    client, make_user, begin_session, headers_of, session_rows, set_clock, kind
):
    """Checklist 18."""
    set_clock(START)
    issued = await begin_session(await make_user(), kind=kind)

    set_clock(START + 10 * DAY)
    await client.post("/users/me/confirm", json=PASSWORD, headers=headers_of(issued))

    [row] = [each for each in await session_rows() if each.revoked_at is None]
    assert (row.authenticated_at, row.expires_at) == (START + 10 * DAY, START + ABSOLUTE)


@KINDS
async def test_a_new_password_does_not_extend_the_absolute_limit(
    client, make_user, begin_session, headers_of, session_rows, set_clock, kind
):
    """Checklist 18."""
    set_clock(START)
    issued = await begin_session(await make_user(), kind=kind)
    body = {"current_password": ADA["password"], "new_password": "a brand new password"}

    set_clock(START + 10 * DAY)
    await client.post("/users/me/password", json=body, headers=headers_of(issued))

    [row] = [each for each in await session_rows() if each.revoked_at is None]
    assert row.expires_at == START + ABSOLUTE

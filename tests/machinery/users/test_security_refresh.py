"""Access and refresh tokens under attack: forged, recombined, copied and replayed."""

import base64
import json
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from app.keys import derived_key

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
GRACE, MICROSECOND = timedelta(seconds=30), timedelta(microseconds=1)
REUSED = "session_reuse"


@pytest.fixture
def status_of(client):
    """`await status_of(token)`: the status of GET /users/me with an access token."""

    async def ask(token):
        answer = await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code

    return ask


@pytest.fixture
def key(settings):
    """The key that signs access tokens."""
    return derived_key(settings.secret_key.get_secret_value(), "access")


@pytest.fixture
def claims_of(manager):
    """`claims_of(issued)`: the claims of a valid access token of the session."""

    def claims(issued):
        token = manager.tokens.issue_access(issued.user.id, session_id=issued.session.id)
        return jwt.decode(token, options={"verify_signature": False})

    return claims


@pytest.fixture
def refresh(client):
    """`await refresh(token)`: the response to a refresh."""

    async def send(token):
        return await client.post("/users/token/refresh", json={"refresh_token": token})

    return send


# 36: the access token


async def test_a_token_with_the_right_claims_and_key_is_accepted(
    make_user, begin_session, claims_of, key, status_of
):
    """This shows that the tokens in the tests below are rejected only because of their changes."""
    claims = claims_of(await begin_session(await make_user()))

    assert await status_of(jwt.encode(claims, key, "HS256")) == 200


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_algorithm_is_refused(make_user, begin_session, claims_of, key, status_of, algorithm):
    """Checklist 36; ASVS 9.1.2."""
    claims = claims_of(await begin_session(await make_user()))

    assert await status_of(jwt.encode(claims, key, algorithm)) == 401


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "HS256"])
@pytest.mark.parametrize("signature", ["", "AAAA"])
async def test_a_token_without_a_signature_is_refused(
    make_user, begin_session, claims_of, status_of, algorithm, signature
):
    """Checklist 36; ASVS 9.1.1."""
    claims = claims_of(await begin_session(await make_user()))
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, claims)]
    header, payload = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)

    assert await status_of(f"{header}.{payload}.{signature}") == 401


@pytest.mark.parametrize(
    "purpose", ["email_verify", "password_reset", "email_change", "invitation", "session", "browser"]
)
async def test_the_key_of_another_purpose_is_refused(
    make_user, begin_session, claims_of, settings, status_of, purpose
):
    """Checklist 36: each purpose has a separate key."""
    claims = claims_of(await begin_session(await make_user()))
    other_key = derived_key(settings.secret_key.get_secret_value(), purpose)

    assert await status_of(jwt.encode(claims, other_key, "HS256")) == 401


async def test_the_secret_itself_is_not_a_key(make_user, begin_session, claims_of, settings, status_of):
    """Checklist 36."""
    claims = claims_of(await begin_session(await make_user()))

    assert await status_of(jwt.encode(claims, settings.secret_key.get_secret_value(), "HS256")) == 401


@pytest.mark.parametrize("name", ["exp", "iat", "aud", "iss", "type", "sub", "sid"])
async def test_no_claim_may_be_missing(make_user, begin_session, claims_of, key, status_of, name):
    """Checklist 36; ASVS 9.2.1 to 9.2.3."""
    claims = claims_of(await begin_session(await make_user()))
    del claims[name]

    assert await status_of(jwt.encode(claims, key, "HS256")) == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_600_000_000},
        {"aud": "app"},
        {"aud": "app:email_verify"},
        {"aud": ["app:password_reset"]},
        {"iss": "another"},
        {"type": "refresh"},
        {"type": "email_verify"},
        {"sub": ""},
        {"sub": "ada@example.com"},
        {"sid": ""},
        {"sid": "another"},
        {"sid": None},
        {"sid": 1},
        {"sid": ["x"]},
    ],
    ids=str,
)
async def test_no_claim_may_differ(make_user, begin_session, claims_of, key, status_of, changes):
    """Checklist 36; ASVS 9.2.1 to 9.2.3. `sub` is the id, never an address."""
    await make_user("eve@example.com")
    claims = claims_of(await begin_session(await make_user("ada@example.com"))) | changes

    assert await status_of(jwt.encode(claims, key, "HS256")) == 401


async def test_the_session_of_another_user_is_refused(make_user, begin_session, claims_of, key, status_of):
    """Checklist 36: `sub` and `sid` belong together."""
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    of_ada, of_eve = claims_of(await begin_session(ada)), claims_of(await begin_session(eve))

    assert await status_of(jwt.encode(of_ada | {"sid": of_eve["sid"]}, key, "HS256")) == 401
    assert await status_of(jwt.encode(of_ada | {"sub": of_eve["sub"]}, key, "HS256")) == 401


async def test_the_session_of_a_cookie_is_refused(make_user, begin_session, claims_of, key, status_of):
    """Checklist 36: no access tokens are issued for it."""
    claims = claims_of(await begin_session(await make_user(), kind="cookie"))

    assert await status_of(jwt.encode(claims, key, "HS256")) == 401


async def test_a_claimed_right_is_ignored(client, make_user, begin_session, claims_of, key):
    """Checklist 36: roles are stored only in the database."""
    claims = claims_of(await begin_session(await make_user())) | {"is_superuser": True, "scope": "admin"}
    token = jwt.encode(claims, key, "HS256")

    answer = await client.get("/users", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 403


@pytest.mark.parametrize(("is_superuser", "status"), [(True, 200), (False, 403)])
async def test_a_role_change_applies_to_the_next_request(
    client, make_user, begin_session, headers_of, change, is_superuser, status
):
    """Checklist 36: it applies even to tokens that were issued earlier."""
    user = await make_user(is_superuser=not is_superuser)
    headers = headers_of(await begin_session(user))
    await client.get("/users", headers=headers)

    await change(user, is_superuser=is_superuser)

    assert (await client.get("/users", headers=headers)).status_code == status


async def test_an_access_token_lasts_15_minutes_and_names_no_address(make_user, begin_session, claims_of):
    """Checklist 36."""
    user = await make_user("ada@example.com")
    issued = await begin_session(user)

    claims = claims_of(issued)

    assert claims["exp"] - claims["iat"] == 900
    assert (claims["sub"], claims["sid"]) == (user.id, issued.session.id)
    assert "@" not in json.dumps(claims)


# 37: the refresh token


async def test_rotation_is_atomic(refresh, make_user, begin_session, overtake_refresh, set_clock):
    """Checklist 37; CWE-367: a refresh overtaken by two others does not revive a replaced token."""
    set_clock(START)
    issued = await begin_session(await make_user())
    newest = []

    async def refresh_twice():
        second = (await refresh(issued.token)).json()["refresh_token"]
        newest.append((await refresh(second)).json()["refresh_token"])

    overtake_refresh(refresh_twice)

    late = await refresh(issued.token)

    set_clock(START + GRACE)
    assert late.json()["refresh_token"] == newest[0]
    assert (await refresh(newest[0])).status_code == 200


async def test_a_refresh_overtaken_by_a_logout_gives_no_tokens(
    client, refresh, make_user, begin_session, headers_of, overtake_refresh, session_rows
):
    """Checklist 37; CWE-367: a concurrently ended session stays ended."""
    issued = await begin_session(await make_user())
    overtake_refresh(lambda: client.post("/users/logout", headers=headers_of(issued)))

    answer = await refresh(issued.token)

    [row] = await session_rows()
    assert answer.status_code == 401
    assert row.revoked_at is not None
    assert row.replaced_tokens == "[]"


async def test_concurrent_uses_replace_the_token_once(
    refresh, make_user, begin_session, at_once, session_rows
):
    """Checklist 37: no client is left with an invalid token."""
    issued = await begin_session(await make_user())
    answers = []

    async def send():
        answers.append(await refresh(issued.token))
        return answers[-1]

    statuses = await at_once(10, send)

    [row] = await session_rows()
    assert statuses == [200] * 10
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert row.replaced_tokens.count(issued.session.secret_hash) == 1
    assert row.revoked_at is None


async def test_a_replay_after_the_grace_period_ends_the_session_for_everyone(
    refresh, make_user, begin_session, headers_of, client, session_rows, events, set_clock
):
    """Checklist 37: this is committed even though the response is 401."""
    set_clock(START)
    stolen = await begin_session(await make_user())
    owners = (await refresh(stolen.token)).json()["refresh_token"]

    set_clock(START + GRACE)
    replay = await refresh(stolen.token)

    [row] = await session_rows()
    assert replay.status_code == 401
    assert row.revoked_at == START + GRACE
    assert [event.event for event in await events()] == [REUSED]
    assert (await refresh(owners)).status_code == 401
    assert (await client.get("/users/me", headers=headers_of(stolen))).status_code == 401


async def test_a_faster_attacker_is_logged_out_by_the_owners_refresh(
    refresh, make_user, begin_session, events, set_clock
):
    """Checklist 37: it does not matter which of the two uses the old token second."""
    set_clock(START)
    stolen = await begin_session(await make_user())
    thiefs = (await refresh(stolen.token)).json()["refresh_token"]
    set_clock(START + timedelta(minutes=10))
    thiefs = (await refresh(thiefs)).json()["refresh_token"]

    set_clock(START + timedelta(minutes=15))
    owner = await refresh(stolen.token)

    assert owner.status_code == 401
    assert (await refresh(thiefs)).status_code == 401
    assert [event.event for event in await events()] == [REUSED]


async def test_a_replay_is_detected_after_a_restart(
    other_client, make_user, begin_session, set_clock, refresh, events
):
    """Checklist 37. Advisory 8: replaced tokens are recorded in the database, not in a process's memory."""
    set_clock(START)
    stolen = (await begin_session(await make_user())).token
    present = (await refresh(stolen)).json()["refresh_token"]
    set_clock(START + GRACE)
    restarted = await other_client()

    replay = await restarted.post("/users/token/refresh", json={"refresh_token": stolen})

    owner = await restarted.post("/users/token/refresh", json={"refresh_token": present})
    assert (replay.status_code, owner.status_code) == (401, 401)
    assert (await refresh(present)).status_code == 401
    assert REUSED in [event.event for event in await events()]


async def test_a_replay_within_the_grace_period_revokes_nothing(
    refresh, make_user, begin_session, session_rows, events, set_clock
):
    """Checklist 37."""
    set_clock(START)
    issued = await begin_session(await make_user())
    newest = (await refresh(issued.token)).json()["refresh_token"]

    set_clock(START + GRACE - MICROSECOND)
    replay = await refresh(issued.token)

    [row] = await session_rows()
    assert (replay.status_code, row.revoked_at) == (200, None)
    assert (await refresh(newest)).status_code == 200
    assert await events() == []


async def test_a_replay_ends_no_other_login_of_the_user(
    refresh, make_user, begin_session, session_rows, set_clock
):
    """Checklist 37: the token family that ends is the session."""
    set_clock(START)
    user = await make_user()
    stolen, other = await begin_session(user), await begin_session(user)
    await refresh(stolen.token)

    set_clock(START + GRACE)
    await refresh(stolen.token)

    assert [row.id for row in await session_rows() if row.revoked_at is None] == [other.session.id]


async def test_a_replay_is_detected_until_the_session_would_have_ended(
    refresh, manager, db, make_user, begin_session, session_rows, set_clock
):
    """Checklist 37: the worker removes no row that is needed to detect a replay."""
    set_clock(START)
    issued = await begin_session(await make_user())
    await refresh(issued.token)

    set_clock(START + timedelta(days=14) - MICROSECOND)
    async with db.session() as session:
        await manager.sessions.remove_expired(session)
    await refresh(issued.token)

    [row] = await session_rows()
    assert row.revoked_at == START + timedelta(days=14) - MICROSECOND

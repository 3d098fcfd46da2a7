"""Refreshing in detail: the exact grace period, refusals and concurrency."""

import base64
from datetime import UTC, datetime, timedelta

import jwt
import pytest

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)

GRACE, IDLE = 30 * SECOND, 14 * DAY

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def start(set_clock):
    """Every test in this module starts at START."""
    set_clock(START)


@pytest.fixture
def refresh(client):
    """`await refresh(token)`: the response to a refresh."""

    async def send(token):
        return await client.post("/users/token/refresh", json={"refresh_token": token})

    return send


@pytest.fixture
def rotate(refresh):
    """`await rotate(token)`: the refresh token that replaces *token*."""

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


async def test_the_new_tokens_belong_to_the_same_session(
    client, refresh, make_user, begin_session, session_rows
):
    user = await make_user()
    issued = await begin_session(user)

    pair = (await refresh(issued.token)).json()

    claims = jwt.decode(pair["access_token"], options={"verify_signature": False})
    me = await client.get("/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
    assert (claims["sub"], claims["sid"]) == (user.id, issued.session.id)
    assert pair["refresh_token"].partition(".")[0] == issued.session.id
    assert me.json()["id"] == user.id
    assert len(await session_rows()) == 1


async def test_each_new_token_can_be_refreshed(refresh, rotate, make_user, begin_session):
    first = (await begin_session(await make_user())).token
    second = await rotate(first)
    third = await rotate(second)

    assert (await refresh(third)).status_code == 200
    assert len({first, second, third}) == 3


async def test_the_previous_access_token_stays_valid(is_alive, rotate, make_user, begin_session):
    issued = await begin_session(await make_user())

    await rotate(issued.token)

    assert await is_alive(issued)


async def test_two_sessions_refresh_independently(refresh, make_user, begin_session, is_alive, set_clock):
    user = await make_user()
    first, second = await begin_session(user), await begin_session(user)

    answers = [await refresh(first.token), await refresh(second.token)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["refresh_token"] != answers[1].json()["refresh_token"]


# Reuse within the grace period


async def test_reuse_within_the_grace_period_sends_no_notice(
    refresh, rotate, make_user, begin_session, events, outbox
):
    issued = await begin_session(await make_user())
    await rotate(issued.token)

    await refresh(issued.token)

    assert await events() == []
    assert await outbox() == []


async def test_a_token_replaced_twice_returns_the_current_one_within_its_grace_period(
    refresh, rotate, make_user, begin_session, set_clock
):
    """R0 is replaced by R1, and R1 by R2, while the other tab still has R0."""
    first = (await begin_session(await make_user())).token
    second = await rotate(first)
    set_clock(START + 10 * SECOND)
    third = await rotate(second)

    set_clock(START + GRACE - MICROSECOND)
    answer = await refresh(first)

    assert answer.json()["refresh_token"] == third
    assert (await refresh(third)).status_code == 200


async def test_each_replaced_token_has_its_own_grace_period(
    refresh, rotate, make_user, begin_session, set_clock, is_alive
):
    issued = await begin_session(await make_user())
    second = await rotate(issued.token)
    set_clock(START + 10 * SECOND)
    await rotate(second)

    set_clock(START + GRACE + 10 * SECOND - MICROSECOND)

    assert (await refresh(second)).status_code == 200
    assert (await refresh(issued.token)).status_code == 401
    assert not await is_alive(issued)


async def test_reuse_does_not_extend_the_grace_period(refresh, rotate, make_user, begin_session, set_clock):
    issued = await begin_session(await make_user())
    await rotate(issued.token)
    set_clock(START + 20 * SECOND)
    await refresh(issued.token)

    set_clock(START + GRACE)

    assert (await refresh(issued.token)).status_code == 401


async def test_constant_refreshing_does_not_end_the_session_of_another_tab(
    refresh, rotate, make_user, begin_session, is_alive
):
    """Checklist 37: within the grace period nothing is revoked, however often the token was replaced."""
    issued = await begin_session(await make_user())
    await chain(rotate, issued.token, 40)

    answer = await refresh(issued.token)

    assert answer.status_code == 200
    assert await is_alive(issued)
    assert (await refresh(answer.json()["refresh_token"])).status_code == 200


async def chain(rotate, token, times):
    """The token after *times* refreshes, the first with *token* and each later one with the newest token."""
    for _ in range(times):
        token = await rotate(token)
    return token


# Reuse after the grace period


async def test_reuse_of_a_long_replaced_token_ends_the_session(
    refresh, rotate, make_user, begin_session, is_alive, set_clock
):
    """The row no longer contains the token's hash: the token has been replaced many times since."""
    issued = await begin_session(await make_user())
    second = await rotate(issued.token)
    set_clock(START + DAY)
    third = await rotate(second)
    set_clock(START + 2 * DAY)
    await rotate(third)

    assert (await refresh(issued.token)).status_code == 401
    assert not await is_alive(issued)


async def test_reuse_ends_only_its_own_session(
    refresh, rotate, make_user, begin_session, is_alive, set_clock
):
    user = await make_user()
    stolen, other = await begin_session(user), await begin_session(user)
    await rotate(stolen.token)

    set_clock(START + GRACE)
    await refresh(stolen.token)

    assert await is_alive(other)


async def test_the_response_does_not_reveal_the_reason(refresh, rotate, make_user, begin_session, set_clock):
    """A thief must not learn more than someone who invents a token."""
    issued = await begin_session(await make_user())
    await rotate(issued.token)

    set_clock(START + GRACE)
    reused, made_up = await refresh(issued.token), await refresh("x.y")

    assert reused.status_code == made_up.status_code
    assert reused.json() == made_up.json()
    random = {"x-request-id": ""}
    assert dict(reused.headers) | random == dict(made_up.headers) | random


# Sessions that cannot be refreshed


@pytest.mark.parametrize(("age", "status"), [(IDLE - MICROSECOND, 200), (IDLE, 401)], ids=str)
async def test_an_idle_session_is_not_refreshed(refresh, make_user, begin_session, set_clock, age, status):
    issued = await begin_session(await make_user())

    set_clock(START + age)

    assert (await refresh(issued.token)).status_code == status


async def test_a_revoked_session_is_not_refreshed(refresh, make_user, begin_session, change_session, events):
    """The session's end is not reported a second time."""
    issued = await begin_session(await make_user())
    await change_session(issued.session, revoked_at=START)

    assert (await refresh(issued.token)).status_code == 401
    assert await events() == []


async def test_a_session_of_a_deleted_user_is_not_refreshed(refresh, manager, db, make_user, begin_session):
    user = await make_user()
    issued = await begin_session(user)
    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, user.id))

    assert (await refresh(issued.token)).status_code == 401


async def test_a_cookie_secret_is_not_a_refresh_token(refresh, make_user, begin_session, is_alive):
    """A stolen cookie must not turn into a session without cookie checks."""
    issued = await begin_session(await make_user(), kind="cookie")

    assert (await refresh(issued.token)).status_code == 401
    assert await is_alive(issued)


async def test_a_refresh_token_is_not_a_cookie(client, refresh, make_user, begin_session):
    issued = await begin_session(await make_user())

    answer = await client.get("/users/me", headers={"Cookie": f"__Host-session={issued.token}"})

    assert answer.status_code == 401
    assert (await refresh(issued.token)).status_code == 200


async def test_a_refresh_token_is_not_an_access_token(client, make_user, begin_session):
    issued = await begin_session(await make_user())

    answer = await client.get("/users/me", headers={"Authorization": f"Bearer {issued.token}"})

    assert answer.status_code == 401


async def test_an_access_token_is_not_a_refresh_token(
    refresh, make_user, begin_session, headers_of, is_alive
):
    issued = await begin_session(await make_user())
    access_token = headers_of(issued)["Authorization"].removeprefix("Bearer ")

    assert (await refresh(access_token)).status_code == 401
    assert await is_alive(issued)


async def test_a_cookie_cannot_refresh(client, make_user, begin_session, headers_of):
    issued = await begin_session(await make_user(), kind="cookie")

    answer = await client.post("/users/token/refresh", json={}, headers=headers_of(issued))

    assert answer.status_code == 400


async def test_a_forged_secret_for_a_real_id_ends_nothing(refresh, make_user, begin_session, is_alive):
    """The session id is public: it is in lists and in access tokens."""
    issued = await begin_session(await make_user())
    made_up = base64.urlsafe_b64encode(bytes(48)).decode()

    assert (await refresh(f"{issued.session.id}.{made_up}")).status_code == 401
    assert await is_alive(issued)


async def test_a_real_secret_for_another_id_ends_nothing(refresh, make_user, begin_session, is_alive):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    of_ada, of_eve = await begin_session(ada), await begin_session(eve)

    answer = await refresh(f"{of_ada.session.id}.{of_eve.token.partition('.')[2]}")

    assert answer.status_code == 401
    assert await is_alive(of_ada)
    assert await is_alive(of_eve)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"refresh_token":null}',
        b'{"refresh_token":1}',
        b'{"refresh_token":["x"]}',
        b'{"refresh_token":"x\\u0000.x"}',
    ],
)
async def test_a_body_without_a_token_is_invalid(client, body):
    answer = await client.post(
        "/users/token/refresh", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 400


async def test_an_overlong_token_is_invalid(refresh):
    assert (await refresh("x" * 100_000)).status_code == 400


# Concurrency


async def test_concurrent_refreshes_leave_one_session_with_a_working_token(
    client, refresh, make_user, begin_session, at_once, session_rows
):
    issued = await begin_session(await make_user())
    pairs = []

    async def send():
        answer = await refresh(issued.token)
        pairs.append(answer.json())
        return answer

    statuses = await at_once(20, send)

    assert statuses == [200] * 20
    assert len({pair["refresh_token"] for pair in pairs}) == 1
    assert (await refresh(pairs[0]["refresh_token"])).status_code == 200
    assert [row.revoked_at for row in await session_rows()] == [None]


async def test_concurrent_reuse_is_audited_and_mailed_once(
    refresh, rotate, make_user, begin_session, at_once, events, outbox, set_clock
):
    issued = await begin_session(await make_user())
    await rotate(issued.token)
    set_clock(START + GRACE)

    statuses = await at_once(6, lambda: refresh(issued.token))

    assert statuses == [401] * 6
    assert [event.event for event in await events()] == ["session_reuse"]
    assert len(await outbox()) == 1


async def test_concurrent_refresh_and_logout_leave_no_session(
    client, refresh, make_user, begin_session, headers_of, at_once, is_alive
):
    issued = await begin_session(await make_user())
    sends = iter(
        [
            lambda: refresh(issued.token),
            lambda: client.post("/users/logout", headers=headers_of(issued)),
            lambda: refresh(issued.token),
        ]
    )

    await at_once(3, lambda: next(sends)())

    assert not await is_alive(issued)
    assert (await refresh(issued.token)).status_code == 401


async def test_a_refresh_overtaken_by_a_logout_returns_no_tokens(
    client, refresh, rotate, make_user, begin_session, overtake_refresh
):
    """The successor of the token is known but no longer valid."""
    issued = await begin_session(await make_user())

    async def refresh_and_log_out():
        await client.post("/users/logout", json={"refresh_token": await rotate(issued.token)})

    overtake_refresh(refresh_and_log_out)

    assert (await refresh(issued.token)).status_code == 401


async def test_two_concurrent_detections_of_reuse_are_audited_once(
    refresh, rotate, make_user, begin_session, overtake_refresh, set_clock, events, outbox
):
    issued = await begin_session(await make_user())
    await rotate(issued.token)
    set_clock(START + GRACE)
    overtake_refresh(lambda: refresh(issued.token))

    assert (await refresh(issued.token)).status_code == 401
    assert [event.event for event in await events()] == ["session_reuse"]
    assert len(await outbox()) == 1

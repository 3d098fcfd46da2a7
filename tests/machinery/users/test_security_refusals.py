"""Rejections are audited once per period for each account or network, even if the request fails.

Checklist 39; ASVS 16.3.1, 16.3.2, 16.3.3. Operators see who is attacked, and nobody can fill the log.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from sqlalchemy.exc import OperationalError

from app.limits import LimiterUnavailable, Rate
from app.users import refusals
from app.users.rate_limits import LIMITS

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
WINDOW = timedelta(seconds=Rate.parse(LIMITS["guessing_blocked"].account).seconds)
EMAIL = "ada@example.com"
RIGHT = {"email": EMAIL, "password": "correct horse battery"}
WRONG = RIGHT | {"password": "wrong horse battery"}
HERE, THERE = "198.51.100.7", "198.51.100.8"

PER_ADDRESS = Rate.parse(LIMITS["wrong_password"].ip).count
PER_PAIR = Rate.parse(LIMITS["wrong_password"].ip_and_account.split(",")[0]).count
EVENTS_OF_AN_ADDRESS = Rate.parse(LIMITS["guessing_blocked"].ip).count


@pytest.fixture
def post(app, set_clock):
    """`await post("/users/login", HERE, json=WRONG)`: a request from that address. The clock is frozen."""
    set_clock(NOON)

    async def send(path, address=HERE, **options):
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, **options)

    return send


@pytest.fixture
def guess(post):
    """`await guess(EMAIL, 12)`: send that many wrong passwords from one address. Returns the last status."""

    async def send(email=EMAIL, times=PER_PAIR + 1, address=HERE, **options):
        for _ in range(times - 1):
            await post("/users/login", address, json=WRONG | {"email": email}, **options)
        return (await post("/users/login", address, json=WRONG | {"email": email}, **options)).status_code

    return send


@pytest.fixture
def noted(events):
    """`await noted("link_refused")`: the events with that name in the audit log."""

    async def read(name):
        return [event for event in await events() if event.event == name]

    return read


# Unchecked passwords


async def test_blocked_guessing_is_audited_once_per_account(guess, make_user, noted):
    """Checklist 39: the event has the account and the origin of the guesses."""
    user = await make_user(EMAIL)

    status = await guess(times=PER_PAIR + 20)

    [event] = await noted("guessing_blocked")
    assert status == 429
    assert (event.user_id, event.outcome, event.method) == (user.id, "failure", "password")
    assert (event.actor, event.ip_address) == ("", HERE)


async def test_many_networks_guessing_one_account_are_audited_once(guess, make_user, noted):
    """Checklist 39: the limit applies per account, not per network."""
    await make_user(EMAIL)

    for number in range(30):
        await guess(times=1, address=f"203.0.113.{number}")

    assert len(await noted("guessing_blocked")) == 1


async def test_blocked_guessing_is_audited_again_after_the_window(guess, make_user, noted, set_clock):
    """Checklist 39: an ongoing attack remains visible."""
    await make_user(EMAIL)
    await guess()
    set_clock(NOON + WINDOW)

    await guess()

    assert [event.at for event in await noted("guessing_blocked")] == [NOON, NOON + WINDOW]


async def test_guessing_an_unknown_account_is_audited_the_same_way(guess, make_user, noted, statements):
    """Checklist 13, 14 and 39: with the same statements, and without the e-mail address."""
    await make_user(EMAIL)
    work = []
    for email, address in ((EMAIL, HERE), ("nobody@example.com", THERE)):
        await guess(email, PER_PAIR, address)
        statements.clear()
        await guess(email, 1, address)
        first = list(statements)
        statements.clear()
        await guess(email, 1, address)
        work.append((first, list(statements)))

    [known, unknown] = await noted("guessing_blocked")
    assert work[0] == work[1]
    assert (known.user_id is None, unknown.user_id) == (False, None)
    assert "example.com" not in str(vars(known)) + str(vars(unknown))


async def test_guessing_with_a_stolen_session_is_audited(post, make_user, visit, noted):
    """Checklist 39."""
    user = await make_user(EMAIL)
    headers = (await visit(user)).headers
    for _ in range(Rate.parse(LIMITS["wrong_password"].browser).count + 3):
        await post("/users/me/confirm", json={"password": "wrong"}, headers=headers)

    [event] = await noted("guessing_blocked")
    assert (event.user_id, event.actor) == (user.id, user.id)


async def test_a_network_refused_before_the_body_is_audited_once(guess, post, noted):
    """Checklist 39: the guessed account is not known at that point."""
    for number in range(PER_ADDRESS):
        await guess(f"user{number}@example.com", 1)

    answers = [await post("/users/login", content=b"not even JSON") for _ in range(5)]

    [event] = await noted("guessing_blocked")
    assert {answer.status_code for answer in answers} == {429}
    assert (event.user_id, event.ip_address) == (None, HERE)
    assert msgspec.json.decode(event.details) == {"route": "login"}


async def test_unknown_accounts_cannot_fill_the_log(guess, post, make_user, browser_of_answer, noted):
    """Checklist 39: a browser known for some account is refused after the body is read."""
    await make_user(EMAIL)
    browser = browser_of_answer(await post("/users/login", json=RIGHT))
    for number in range(PER_ADDRESS):
        await guess(f"user{number}@example.com", 1)

    statuses = [await guess(f"more{number}@example.com", 1, headers=browser) for number in range(40)]

    assert set(statuses) == {429}
    assert len(await noted("guessing_blocked")) == EVENTS_OF_AN_ADDRESS


# Links


@pytest.fixture
def dead_links(manager, make_user):
    """`await dead_links()`: requests with a used or forged link, in every way it can be sent."""

    async def make():
        used = manager.verify_token(await make_user(EMAIL, is_verified=True))
        new = {"password": "a brand new password"}
        return [
            (f"/users/verify/{used}", {}),
            (f"/users/verify/{used}", {"data": {"password": ""}}),
            ("/users/verify", {"json": {"token": used}}),
            ("/users/verify/made-up", {}),
            (f"/users/password-reset/{used}", {"json": new}),
            ("/users/password-reset", {"json": new | {"token": "made-up"}}),
            (f"/users/email-change/{used}", {"json": new}),
            ("/users/email-change", {"json": {"token": "made-up"}}),
            (f"/users/invitation/{used}", {"data": new}),
            ("/users/invitation", {"json": new | {"token": "made-up"}}),
        ]

    return make


@pytest.mark.parametrize("way", range(10))
async def test_a_refused_link_is_audited(post, dead_links, noted, way):
    """Checklist 39: the event does not contain the token."""
    path, options = (await dead_links())[way]

    answer = await post(path, **options)

    [event] = await noted("link_refused")
    assert answer.status_code == 400
    assert (event.user_id, event.outcome, event.method, event.ip_address) == (None, "failure", "link", HERE)
    assert msgspec.json.decode(event.details)["route"].startswith(
        ("verify", "reset_password", "change_email", "accept_invitation")
    )
    assert "made-up" not in str(vars(event))
    assert "ey" + "J" not in str(vars(event))


async def test_refused_links_are_audited_once_per_network(post, dead_links, noted, set_clock):
    """Checklist 39."""
    for path, options in await dead_links():
        await post(path, **options)
        await post(path, THERE, **options)
    set_clock(NOON + WINDOW)
    await post("/users/verify/made-up")

    assert Counter(event.ip_address for event in await noted("link_refused")) == {HERE: 2, THERE: 1}


async def test_opening_a_dead_link_is_not_audited(client, events):
    """Mail scanners open links, and people open old ones."""
    answer = await client.get("/users/password-reset/made-up")

    assert answer.status_code == 400
    assert await events() == []


# Other sites


@pytest.fixture
def cross_site(post, make_user, visit):
    """`await cross_site(way, HERE)`: a cross-site request."""

    async def send(way, address=HERE):
        if way == "login":
            return await post(
                "/users/login/cookie", address, json=RIGHT, headers={"Origin": "http://evil.test"}
            )
        cookie = (await visit(await make_user(EMAIL), "cookie")).headers | {"Sec-Fetch-Site": "cross-site"}
        return await post("/users/logout", address, headers=cookie)

    return send


@pytest.mark.parametrize(("way", "route"), [("login", "login_with_cookie"), ("cookie", "logout")])
async def test_a_cross_site_request_is_audited(cross_site, noted, way, route):
    """Checklist 35 and 39."""
    answer = await cross_site(way)

    [event] = await noted("cross_site_refused")
    assert answer.status_code == 403
    assert answer.json()["detail"].startswith(
        "Cross-site request rejected. Requests authenticated by a cookie"
    )
    assert (event.user_id, event.outcome, event.ip_address) == (None, "failure", HERE)
    assert msgspec.json.decode(event.details) == {"route": route}


async def test_cross_site_requests_are_audited_once_per_network(cross_site, noted, set_clock):
    """Checklist 39."""
    for _ in range(5):
        await cross_site("login")
    await cross_site("login", THERE)
    set_clock(NOON + WINDOW)
    await cross_site("login")

    assert Counter(event.ip_address for event in await noted("cross_site_refused")) == {HERE: 2, THERE: 1}


# The response does not depend on auditing


@pytest.mark.parametrize("error", [LimiterUnavailable("away"), OperationalError("INSERT", {}, OSError())])
async def test_a_refusal_that_cannot_be_audited_has_the_same_response(
    post, cross_site, events, monkeypatch, error
):
    before = [await post("/users/verify/made-up", THERE), await cross_site("login", THERE)]
    written = len(await events())

    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(refusals.audit, "record", fail)
    after = [await post("/users/verify/made-up"), await cross_site("login")]

    assert [answer.content for answer in after] == [answer.content for answer in before]
    assert [answer.status_code for answer in after] == [400, 403]
    assert len(await events()) == written


async def test_without_an_address_all_clients_count_as_one(app, client, noted):
    """Checklist 39: behind a socket without addresses, nobody can fill the log either."""
    client._transport.client = ("", 0)

    for _ in range(3):
        await client.post("/users/verify/made-up")

    assert len(await noted("link_refused")) == 1

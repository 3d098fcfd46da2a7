"""Wrong passwords are counted on every route, and the owner can still log in.

Checklist 9, 10 and 11; ASVS 6.1.1, 6.3.1, 6.3.4; CWE-307. The tests do not wait, because the clock is frozen.
"""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import ceil
from types import SimpleNamespace

import httpx
import pytest

from app.users.emails import NOTICES
from app.users.manager import MAX_FAILED_LOGINS
from app.users.rate_limits import LIMITS
from tests.users.conftest import runs_out_first

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)

EMAIL = "ada@example.com"

RIGHT = {"email": EMAIL, "password": "correct horse battery"}

WRONG = RIGHT | {"password": "wrong horse battery"}

FIFTY_ADDRESSES = [f"198.51.100.{number}" for number in range(50)]

OF_A_PAGE = {"Origin": "http://test"}

ROW = LIMITS["wrong_password"]

PER_ADDRESS = runs_out_first(ROW.ip).count

PER_ACCOUNT = runs_out_first(ROW.account).count

OF_A_STRANGER = runs_out_first(ROW.ip, ROW.account, ROW.ip_and_account)

PER_STRANGER = OF_A_STRANGER.count

PER_BROWSER = runs_out_first(ROW.browser, ROW.browsers).count


@pytest.fixture
def at(app, set_clock):
    """`await at("198.51.100.7", "POST", "/users/login")` sends a request from that IP address."""
    set_clock(NOON)

    async def send(address, method, path, **options):
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return send


@pytest.fixture
def guess(at):
    """`await guess("198.51.100.7")` sends a wrong password from that IP address and returns the status."""

    async def send(address, email=EMAIL, path="/users/login", headers=OF_A_PAGE):
        answer = await at(address, "POST", path, json=WRONG | {"email": email}, headers=headers)
        return answer.status_code

    return send


@pytest.fixture
def flood(guess):
    """`await flood(addresses, emails)` guesses a password for each pair of IP address and account,
    concurrently."""

    async def send(addresses, emails):
        return await asyncio.gather(*map(guess, addresses, emails))

    return send


# The counts


async def test_too_many_wrong_passwords_block_the_right_one_too(at, guess, make_user):
    """Checklist 9; ASVS 6.3.1."""
    await make_user(EMAIL)

    statuses = [await guess("198.51.100.7") for _ in range(PER_STRANGER + 1)]
    right = await at("198.51.100.7", "POST", "/users/login", json=RIGHT)

    assert statuses == [401] * PER_STRANGER + [429]
    assert right.status_code == 429
    assert int(right.headers["retry-after"]) == ceil(OF_A_STRANGER.interval / 1_000_000)
    assert right.headers["content-type"] == "application/problem+json"
    assert "Try again in " in right.json()["detail"]


async def test_passwords_are_checked_again_after_retry_after(at, guess, make_user, set_clock):
    """Checklist 9."""
    await make_user(EMAIL)
    for _ in range(PER_STRANGER):
        await guess("198.51.100.7")
    wait = (await at("198.51.100.7", "POST", "/users/login", json=RIGHT)).headers["retry-after"]

    set_clock(NOON + timedelta(seconds=int(wait) - 1))
    early = await at("198.51.100.7", "POST", "/users/login", json=RIGHT)
    set_clock(NOON + timedelta(seconds=int(wait)))
    late = await at("198.51.100.7", "POST", "/users/login", json=RIGHT)

    assert (early.status_code, late.status_code) == (429, 200)


async def test_correct_passwords_are_not_counted(at, make_user):
    """Checklist 9."""
    await make_user(EMAIL)

    answers = [await at("198.51.100.7", "POST", "/users/login", json=RIGHT) for _ in range(PER_ADDRESS + 1)]

    assert {answer.status_code for answer in answers} == {200}


async def test_an_address_is_refused_before_the_body_is_read(at, guess):
    """Checklist 9: for requests over the limit, no body is read and no hash is computed."""
    for number in range(PER_ADDRESS):
        await guess("198.51.100.7", f"user{number}@example.com")

    answer = await at("198.51.100.7", "POST", "/users/login", content=b"not even JSON")

    assert answer.status_code == 429


# No way around them


@pytest.fixture
def ways(at, manager, make_user, visit, change):
    """`await ways.give("form")` sends a wrong password for Ada's account in a form and returns the status."""
    names = SimpleNamespace()

    async def begin():
        names.user = await make_user(EMAIL, pending_email="new@example.com")
        names.session = (await visit(names.user)).headers
        names.link = manager.email_change_token(names.user, "new@example.com")
        names.verify = manager.verify_token(names.user)

    async def give(way):
        wrong = {"password": WRONG["password"]}
        requests = {
            "login": ("/users/login", {"json": WRONG}),
            "cookie": ("/users/login/cookie", {"json": WRONG, "headers": OF_A_PAGE}),
            "spelt otherwise": ("/users/login", {"json": WRONG | {"email": " ADA@Example.com "}}),
            "link": (f"/users/email-change/{names.link}", {"json": wrong}),
            "form": (f"/users/email-change/{names.link}", {"data": wrong}),
            "link in the body": ("/users/email-change", {"json": wrong | {"token": names.link}}),
            "verification": (f"/users/verify/{names.verify}", {"json": wrong}),
            "confirmation": ("/users/me/confirm", {"json": wrong, "headers": names.session}),
            "change": (
                "/users/me/password",
                {
                    "json": {"current_password": WRONG["password"], "new_password": "a brand new password"},
                    "headers": names.session,
                },
            ),
        }
        path, options = requests[way]
        return (await at("198.51.100.7", "POST", path, **options)).status_code

    return SimpleNamespace(begin=begin, give=give)


WITHOUT_A_LOGIN = [
    "login",
    "cookie",
    "spelt otherwise",
    "link",
    "form",
    "link in the body",
    "verification",
]


@pytest.mark.parametrize("first", WITHOUT_A_LOGIN)
@pytest.mark.parametrize("second", WITHOUT_A_LOGIN)
async def test_all_routes_share_one_count(ways, first, second):
    """Checklist 10; ASVS 6.3.4: JSON requests and form submissions, logins and links, and every spelling of
    the address count toward the same limit."""
    await ways.begin()

    used_up = [await ways.give(first) for _ in range(PER_STRANGER)]

    assert set(used_up) <= {400, 401}
    assert await ways.give(second) == 429


@pytest.mark.parametrize("way", ["confirmation", "change"])
async def test_a_stolen_session_cannot_guess_the_password_without_limit(ways, way):
    """Checklist 10."""
    await ways.begin()

    statuses = [await ways.give(way) for _ in range(PER_BROWSER + 1)]

    assert statuses == [400] * PER_BROWSER + [429]


async def test_wrong_passwords_in_a_session_count_for_the_account(ways, flood):
    """Checklist 10: guesses made in a session count toward the account's limit."""
    await ways.begin()
    in_session = min(PER_ACCOUNT, PER_BROWSER)

    for _ in range(in_session):
        await ways.give("confirmation")
    statuses = await flood(FIFTY_ADDRESSES, [EMAIL] * 50)

    assert statuses.count(401) == PER_ACCOUNT - in_session


# Distributed guessing and the owner


async def test_guessing_one_account_from_fifty_addresses_is_limited(flood, make_user):
    """Checklist 9 and 11."""
    await make_user(EMAIL)

    statuses = await flood(FIFTY_ADDRESSES, [EMAIL] * 50)

    assert Counter(statuses) == {401: PER_ACCOUNT, 429: 50 - PER_ACCOUNT}


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
async def test_a_known_browser_lets_the_owner_in(at, flood, make_user, browser_of_answer, path):
    """Checklist 11; ASVS 6.1.1. Strangers use up the limits for the account and the owner's IP address."""
    await make_user(EMAIL)
    browser = browser_of_answer(await at("198.51.100.7", "POST", path, json=RIGHT, headers=OF_A_PAGE))
    await flood(FIFTY_ADDRESSES, [EMAIL] * 50)
    await flood(["198.51.100.7"] * 50, [EMAIL] * 50)

    stranger = await at("198.51.100.99", "POST", path, json=RIGHT, headers=OF_A_PAGE)
    owner = await at("198.51.100.7", "POST", path, json=RIGHT, headers=OF_A_PAGE | browser)

    assert (stranger.status_code, owner.status_code) == (429, 200)


async def test_the_owner_can_confirm_while_strangers_guess(flood, at, visit, make_user):
    """Checklist 11: a session also counts as a known browser."""
    user = await make_user(EMAIL)
    headers = (await visit(user)).headers
    await flood(FIFTY_ADDRESSES, [EMAIL] * 50)

    answer = await at(
        "198.51.100.1", "POST", "/users/me/confirm", json={"password": RIGHT["password"]}, headers=headers
    )

    assert answer.status_code == 204


async def test_a_reset_lets_the_owner_log_in_with_a_new_browser(
    at, flood, manager, make_user, browser_of_answer
):
    """Checklist 11: the owner of the mailbox does not have to wait for strangers to stop guessing."""
    user = await make_user(EMAIL)
    await flood(FIFTY_ADDRESSES, [EMAIL] * 50)
    new = {"password": "a brand new password"}
    reset = await at("192.0.2.1", "POST", f"/users/password-reset/{manager.reset_token(user)}", json=new)

    answer = await at("192.0.2.1", "POST", "/users/login", json=RIGHT | new, headers=browser_of_answer(reset))

    assert answer.status_code == 200


async def test_the_block_caused_by_strangers_expires(at, flood, make_user, set_clock):
    """Checklist 11: a login is allowed again within an hour, without manual unlocking."""
    await make_user(EMAIL)
    await flood(FIFTY_ADDRESSES, [EMAIL] * 50)

    set_clock(NOON + timedelta(hours=1))
    answer = await at("192.0.2.1", "POST", "/users/login", json=RIGHT)

    assert answer.status_code == 200


# A hundred consecutive failures


@pytest.fixture
def hundred_failures(change):
    """`await hundred_failures(user)` leaves the account one wrong password away from being locked."""

    async def set_to(user):
        await change(user, failed_logins=MAX_FAILED_LOGINS - 1)

    return set_to


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
async def test_a_hundred_consecutive_wrong_passwords_lock_the_account(
    at, guess, make_user, hundred_failures, path
):
    """Checklist 9; NIST SP 800-63B-4, 3.2.2. The response is the same as for a wrong password."""
    await hundred_failures(await make_user(EMAIL))
    before = await at("192.0.2.1", "POST", path, json=WRONG, headers=OF_A_PAGE)

    right = await at("192.0.2.2", "POST", path, json=RIGHT, headers=OF_A_PAGE)

    assert (right.status_code, right.content) == (401, before.content)


async def test_the_owner_is_notified_once_and_unlocks_by_mail(
    at, guess, manager, make_user, hundred_failures, outbox, stored
):
    """Checklist 11: unlocking does not require an administrator."""
    user = await make_user(EMAIL)
    await hundred_failures(user)
    for number in range(3):
        await guess(f"192.0.2.{number}")
    mails = [mail.subject for mail in await outbox()]

    new = {"password": "a brand new password"}
    token = manager.reset_token(await stored(user))
    await at("192.0.2.9", "POST", "/users/password-reset", json=new | {"token": token})
    owner = await at("192.0.2.9", "POST", "/users/login", json=RIGHT | new)

    assert mails == [f"HawkAPI app: {NOTICES['login_locked'].heading}"]
    assert owner.status_code == 200


# Your own tests go below; template updates never touch them.

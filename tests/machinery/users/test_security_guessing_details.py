"""Wrong passwords in detail: known browsers, networks, consecutive failures and limits with several windows
(Checklist 9, 10 and 11)."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import httpx
import pytest

from app.limits import MemoryLimiter, Rate
from app.users import HashingBusy, TooManyRequests
from app.users.manager import MAX_FAILED_LOGINS
from app.users.rate_limits import LIMITS, Limit, Limits

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)

EMAIL = "ada@example.com"

RIGHT = {"email": EMAIL, "password": "correct horse battery"}

WRONG = RIGHT | {"password": "wrong horse battery"}

FIFTY_ADDRESSES = [f"198.51.100.{number}" for number in range(50)]

OF_A_PAGE = {"Origin": "http://test"}

ROW = LIMITS["wrong_password"]

PER_ADDRESS = Rate.parse(ROW.ip).count

PER_ACCOUNT = Rate.parse(ROW.account.split(",")[0]).count

PER_PAIR = Rate.parse(ROW.ip_and_account.split(",")[0]).count

PER_BROWSER = Rate.parse(ROW.browser).count

ALL_BROWSERS = Rate.parse(ROW.browsers.split(",")[0]).count


@pytest.fixture
def at(app, set_clock):
    """`await at("198.51.100.7", "POST", "/users/login", json=WRONG)`: a request from that address."""
    set_clock(NOON)

    async def send(address, method, path, **options):
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(method, path, **options)

    return send


async def test_clients_without_an_address_share_one_count(app):
    """Checklist 9. For example, behind a Unix socket."""
    transport = httpx.ASGITransport(app=app, client=None)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        statuses = [
            (await client.post("/users/login", json=WRONG | {"email": f"{number}@example.com"})).status_code
            for number in range(PER_ADDRESS + 1)
        ]

    assert statuses == [401] * PER_ADDRESS + [429]


@pytest.fixture
def guess(at):
    """`await guess("198.51.100.7")`: the status of a login with a wrong password from that IP address."""

    async def send(address, email=EMAIL, path="/users/login", headers=OF_A_PAGE):
        answer = await at(address, "POST", path, json=WRONG | {"email": email}, headers=headers)
        return answer.status_code

    return send


@pytest.fixture
def flood(guess):
    """`await flood(addresses, emails)`: guess from each address for each account, concurrently."""

    async def send(addresses, emails):
        return await asyncio.gather(*map(guess, addresses, emails))

    return send


# The counts


async def test_a_success_does_not_clear_the_count_of_the_address(at, guess, make_user):
    """Checklist 9: otherwise the owner of one account could try all others without limit (allauth 65.8.1)."""
    await make_user(EMAIL)
    others = [f"user{number}@example.com" for number in range(PER_ADDRESS)]

    before = [await guess("198.51.100.7", email) for email in others[:-1]]
    own = await at("198.51.100.7", "POST", "/users/login", json=RIGHT)
    after = [await guess("198.51.100.7", email) for email in (others[-1], "last@example.com")]

    assert before == [401] * (PER_ADDRESS - 1)
    assert own.status_code == 200
    assert after == [401, 429]


async def test_refused_attempts_hash_nothing(at, guess, make_user, hash_calls):
    """Checklist 9."""
    await make_user(EMAIL)
    for _ in range(PER_PAIR):
        await guess("198.51.100.7")
    hash_calls.clear()

    await at("198.51.100.7", "POST", "/users/login", json=RIGHT)

    assert hash_calls == []


async def test_unknown_and_known_addresses_are_limited_alike(guess, make_user):
    """Checklist 9 and 13."""
    await make_user(EMAIL)

    known = [await guess("198.51.100.7") for _ in range(PER_PAIR + 1)]
    unknown = [await guess("198.51.100.8", "nobody@example.com") for _ in range(PER_PAIR + 1)]

    assert known == unknown


# No way around them


@pytest.fixture
def ways(at, manager, make_user, visit, change):
    """`await ways(name)`: the status after sending a wrong password for Ada's account in that way."""
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


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "True-Client-IP", "CF-Connecting-IP"]
)
async def test_a_forged_client_address_is_ignored(guess, make_user, header):
    """Checklist 10."""
    await make_user(EMAIL)

    statuses = [
        await guess("198.51.100.7", headers={header: f"192.0.2.{number}"}) for number in range(PER_PAIR + 1)
    ]

    assert statuses[-1] == 429


async def test_addresses_of_one_ipv6_network_count_as_one(guess, make_user):
    """Checklist 10: each customer has 2^64 addresses."""
    await make_user(EMAIL)

    statuses = [await guess(f"2001:db8:1:2::{number:x}") for number in range(PER_PAIR + 1)]

    assert statuses == [401] * PER_PAIR + [429]


async def test_different_ipv6_networks_count_separately(guess, make_user):
    """Checklist 10."""
    await make_user(EMAIL)
    for number in range(PER_PAIR):
        await guess(f"2001:db8:1:2::{number:x}")

    assert await guess("2001:db8:1:3::1") == 401


# Distributed guessing and the owner


async def test_guessing_fifty_accounts_from_one_address_is_limited(flood):
    """Checklist 9."""
    accounts = [f"user{number}@example.com" for number in range(50)]

    statuses = await flood(["198.51.100.7"] * 50, accounts)

    assert Counter(statuses) == {401: PER_ADDRESS, 429: 50 - PER_ADDRESS}


async def test_a_known_browser_has_its_own_count(at, guess, make_user, browser_of_answer):
    """Checklist 9: a stolen cookie does not bypass the limits."""
    await make_user(EMAIL)
    browser = browser_of_answer(await at("198.51.100.7", "POST", "/users/login", json=RIGHT))

    statuses = [await guess(f"192.0.2.{number}", headers=browser) for number in range(PER_BROWSER + 1)]

    assert statuses == [401] * PER_BROWSER + [429]


async def test_a_browser_known_for_one_account_is_unknown_to_others(at, guess, make_user, browser_of_answer):
    """Checklist 10: otherwise the owner of an account could try all others with its cookie."""
    await make_user("eve@example.com")
    await make_user(EMAIL)
    own = RIGHT | {"email": "eve@example.com"}
    browser = browser_of_answer(await at("198.51.100.7", "POST", "/users/login", json=own))

    statuses = [await guess("198.51.100.7", headers=browser) for _ in range(PER_PAIR + 1)]

    assert statuses[-1] == 429


@pytest.fixture
def new_browsers(at, browser_of_answer, app):
    """`await new_browsers(12)`: the device cookies of twelve browsers that have logged in to the account."""

    async def log_in(count):
        answers = [await at("198.51.100.7", "POST", "/users/login", json=RIGHT) for _ in range(count)]
        return [browser_of_answer(each) for each in answers]

    return log_in


async def test_all_known_browsers_of_an_account_share_a_count(guess, make_user, new_browsers):
    """Checklist 9: otherwise each login with a new browser would allow ten more guesses."""
    await make_user(EMAIL)
    browsers = await new_browsers(12)

    statuses = [
        await guess("198.51.100.7", headers=browser) for browser in browsers for _ in range(PER_BROWSER)
    ]

    assert Counter(statuses) == {401: ALL_BROWSERS, 429: 12 * PER_BROWSER - ALL_BROWSERS}


async def test_a_reset_makes_an_attackers_browser_unknown(
    at, guess, manager, make_user, new_browsers, browser_of_answer
):
    """Checklist 11: the attacker knew the password. The owner recovers the account by e-mail."""
    user = await make_user(EMAIL)
    of_the_thief = await new_browsers(12)
    new = {"password": "a brand new password"}
    reset = await at("192.0.2.1", "POST", f"/users/password-reset/{manager.reset_token(user)}", json=new)

    statuses = [await guess("198.51.100.7", headers=browser) for browser in of_the_thief]
    owner = await at("192.0.2.1", "POST", "/users/login", json=RIGHT | new, headers=browser_of_answer(reset))

    assert statuses == [401] * PER_PAIR + [429] * (12 - PER_PAIR)
    assert owner.status_code == 200


async def test_the_browser_that_changes_the_password_stays_known(
    at, flood, guess, make_user, visit, browser_of_answer
):
    """Checklist 11."""
    user = await make_user(EMAIL)
    change = {"current_password": RIGHT["password"], "new_password": "a brand new password"}
    headers = (await visit(user)).headers
    changed = await at("192.0.2.1", "POST", "/users/me/password", json=change, headers=headers)
    await flood(FIFTY_ADDRESSES, [EMAIL] * 50)

    owner = await at(
        "192.0.2.1",
        "POST",
        "/users/login",
        json=RIGHT | {"password": "a brand new password"},
        headers=browser_of_answer(changed),
    )

    assert owner.status_code == 200


async def test_a_long_unused_browser_is_unknown(guess, make_user, new_browsers, set_clock):
    """Checklist 10."""
    await make_user(EMAIL)
    [browser] = await new_browsers(1)

    set_clock(NOON + timedelta(days=500))
    statuses = [await guess("198.51.100.7", headers=browser) for _ in range(PER_PAIR + 1)]

    assert statuses[-1] == 429


async def test_one_address_cannot_lock_the_owner_out(at, guess, make_user, set_clock):
    """Checklist 11: one address sends a wrong password every 865 seconds for two days."""
    await make_user(EMAIL)

    statuses = []
    for number in range(200):
        set_clock(NOON + timedelta(seconds=865 * number))
        statuses.append(await guess("198.51.100.7"))
    owner = await at("192.0.2.1", "POST", "/users/login", json=RIGHT)

    assert statuses.count(401) < 100
    assert owner.status_code == 200


# A hundred consecutive failures


@pytest.fixture
def hundred_failures(change):
    """`await hundred_failures(user)`: the account is one wrong password away from being locked."""

    async def set_to(user):
        await change(user, failed_logins=MAX_FAILED_LOGINS - 1)

    return set_to


async def test_a_known_browser_logs_in_to_a_locked_account_and_unlocks_it(
    at, guess, make_user, hundred_failures, new_browsers, stored
):
    """Checklist 11."""
    user = await make_user(EMAIL)
    [browser] = await new_browsers(1)
    await hundred_failures(user)
    await guess("192.0.2.1")

    owner = await at("192.0.2.9", "POST", "/users/login", json=RIGHT, headers=browser)

    assert owner.status_code == 200
    assert (await stored(user)).failed_logins == 0


async def test_a_success_resets_the_consecutive_failures(at, guess, make_user, hundred_failures, stored):
    """Checklist 9: only consecutive failures count."""
    user = await make_user(EMAIL)
    await hundred_failures(user)

    await at("192.0.2.1", "POST", "/users/login", json=RIGHT)
    await guess("192.0.2.2")

    assert (await stored(user)).failed_logins == 1


async def test_wrong_passwords_of_a_known_browser_do_not_lock_the_account(
    guess, make_user, new_browsers, stored
):
    """Checklist 11: strangers cannot use up a known browser's limit, and the browser cannot use up theirs."""
    user = await make_user(EMAIL)
    [browser] = await new_browsers(1)

    await guess("198.51.100.7", headers=browser)

    assert (await stored(user)).failed_logins == 0


async def test_concurrent_failures_all_count(flood, make_user, stored):
    """Checklist 9."""
    user = await make_user(EMAIL)

    await flood(FIFTY_ADDRESSES, [EMAIL] * 50)

    assert (await stored(user)).failed_logins == PER_ACCOUNT


async def test_a_failure_does_not_change_the_account(guess, make_user, stored):
    user = await make_user(EMAIL)

    await guess("192.0.2.1")

    assert (await stored(user)).updated_at == user.updated_at


@pytest.mark.parametrize("way", ["login", "link", "confirmation"])
async def test_unchecked_passwords_are_not_counted(ways, manager, monkeypatch, way):
    """Checklist 11: a busy server locks nobody out."""
    await ways.begin()

    async def busy(password, hashed):
        raise HashingBusy

    with monkeypatch.context() as patch:
        patch.setattr(manager.hasher, "verify", busy)
        overloaded = [await ways.give(way) for _ in range(PER_BROWSER)]
    afterwards = await ways.give(way)

    assert set(overloaded) == {503}
    assert afterwards in (400, 401)


# Limits with several windows


@pytest.fixture
def counted(set_clock):
    """`allowed = counted("10/15m, 100/d")`; `await allowed(NOON, 12)`: how many of 12 guesses are checked."""

    def begin(rates):
        limits = Limits(MemoryLimiter(), {"wrong_password": Limit(account=rates)})

        async def is_checked():
            try:
                await limits.begin_attempt(account=EMAIL, ip="")
            except TooManyRequests:
                return False
            return True

        async def allowed(moment, times):
            set_clock(moment)
            return [await is_checked() for _ in range(times)].count(True)

        return allowed

    return begin


async def test_each_window_of_a_limit_is_counted_and_enforced(counted):
    """Advisory 43. Checklist 9: ten every 15 minutes, up to a hundred a day."""
    allowed = counted("10/15m, 100/d")

    numbers = [await allowed(NOON + timedelta(minutes=15 * quarter), 12) for quarter in range(12)]

    assert numbers == [10] * 11 + [1]


@pytest.mark.parametrize("rates", ["1/m, 3/h", "3/h, 1/m"])
async def test_attempts_refused_by_one_window_do_not_count_in_the_other(counted, rates):
    """Advisory 43. Checklist 11: continued guessing does not lock the owner out for longer."""
    allowed = counted(rates)

    assert [await allowed(NOON + timedelta(minutes=minute), 100) for minute in range(4)] == [1, 1, 1, 0]


async def test_scheduling_a_deletion_keeps_the_browser_known(at, guess, manager, make_user):
    """Checklist 11: strangers cannot keep the owner from logging in to cancel the deletion."""
    manager.deletion_grace = timedelta(days=30)
    await make_user(EMAIL, is_verified=True)
    login = await at("203.0.113.5", "POST", "/users/login", json=RIGHT)
    device = {"Cookie": f"__Host-device={login.cookies['__Host-device']}"}
    token = {"Authorization": f"Bearer {login.json()['access_token']}"}
    deletion = await at("203.0.113.5", "DELETE", "/users/me", headers=device | token)
    device = {"Cookie": f"__Host-device={deletion.cookies['__Host-device']}"}
    for address in ("198.51.100.1", "198.51.100.2"):
        for _ in range(PER_PAIR):
            await guess(address)

    again = await at("203.0.113.5", "POST", "/users/login", json=RIGHT, headers=device)

    assert (deletion.status_code, again.status_code) == (204, 200)


async def test_a_deletion_in_an_unknown_browser_does_not_make_it_known(at, manager, make_user, login):
    manager.deletion_grace = timedelta(days=30)
    user = await make_user(EMAIL, is_verified=True)

    deletion = await at("203.0.113.5", "DELETE", "/users/me", headers=login(user))

    assert (deletion.status_code, deletion.headers.get_list("set-cookie")) == (204, [])

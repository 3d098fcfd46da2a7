"""The cookie of a known browser: made here, for some accounts, and of no use for logging in."""

import pytest

from app.users.known_browsers import MOST_ACCOUNTS, KnownBrowsers

SECRET = "0123456789abcdef" * 4


@pytest.fixture
def browsers():
    return KnownBrowsers(SECRET)


def test_a_browser_is_known_for_the_accounts_it_was_used_with(browsers):
    cookie = browsers.remember(browsers.remember("", "ada"), "eve")

    assert browsers.id_for(cookie, "ada") == browsers.id_for(cookie, "eve") != ""
    assert browsers.id_for(cookie, "bob") == ""


def test_each_browser_is_another(browsers):
    first, second = browsers.remember("", "ada"), browsers.remember("", "ada")

    assert browsers.id_for(first, "ada") != browsers.id_for(second, "ada")


def test_the_oldest_account_is_forgotten(browsers):
    cookie = browsers.remember("", "first")
    for number in range(MOST_ACCOUNTS):
        cookie = browsers.remember(cookie, f"user {number}")

    assert browsers.id_for(cookie, "first") == ""
    assert browsers.id_for(cookie, "user 0") != ""


def test_to_remember_twice_changes_nothing(browsers):
    cookie = browsers.remember("", "ada")

    assert browsers.remember(cookie, "ada") == cookie


@pytest.mark.parametrize("cookie", ["", ".", "..", "x", "x.y", "x.y.z", "é.ü.ö", "a" * 5000, "\udcff.x"])
def test_nonsense_is_no_browser(browsers, cookie):
    assert not browsers.is_ours(cookie)
    assert browsers.id_for(cookie, "ada") == ""


def test_a_mark_of_another_browser_is_of_no_use(browsers):
    own, other = browsers.remember("", "eve"), browsers.remember("", "ada")

    forged = f"{own}.{other.split('.')[2]}"

    assert browsers.id_for(forged, "ada") == ""


def test_another_secret_knows_nobody(browsers):
    cookie = browsers.remember("", "ada")

    assert not KnownBrowsers("f" * 64).is_ours(cookie)


async def test_the_cookie_logs_nobody_in(client, make_user, browser_of_answer):
    await make_user("ada@example.com")
    body = {"email": "ada@example.com", "password": "correct horse battery"}
    browser = browser_of_answer(await client.post("/users/login", json=body))
    client.cookies.clear()

    assert (await client.get("/users/me", headers=browser)).status_code == 401


async def test_the_cookie_is_protected_as_that_of_the_session(client, make_user):
    await make_user("ada@example.com")
    body = {"email": "ada@example.com", "password": "correct horse battery"}

    [cookie] = (await client.post("/users/login", json=body)).headers.get_list("set-cookie")

    assert cookie.startswith("__Host-browser=")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "SameSite=Lax", "Secure", "HttpOnly", "Max-Age=34560000"}

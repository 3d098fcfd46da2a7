"""The device cookie: issued by this application, for certain accounts, and not usable for logging in."""

from datetime import UTC, datetime, timedelta

import pytest

from app.keys import KeyRing
from app.users.device_cookies import LIFETIME, MAX_ACCOUNTS, DeviceCookies

SECRET = "0123456789abcdef" * 4
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def browsers(set_clock):
    set_clock(NOON)
    return DeviceCookies(KeyRing(SECRET, "device"))


def test_a_browser_is_known_for_the_accounts_that_used_it(browsers):
    cookie = browsers.remember(browsers.remember("", "ada", 0), "eve", 3)

    assert browsers.id_for(cookie, "ada", 0) == browsers.id_for(cookie, "eve", 3) != ""
    assert browsers.id_for(cookie, "bob", 0) == ""


def test_each_browser_is_distinct(browsers):
    first, second = browsers.remember("", "ada", 0), browsers.remember("", "ada", 0)

    assert browsers.id_for(first, "ada", 0) != browsers.id_for(second, "ada", 0)


def test_the_oldest_account_is_forgotten(browsers):
    cookie = browsers.remember("", "first", 0)
    for number in range(MAX_ACCOUNTS):
        cookie = browsers.remember(cookie, f"user {number}", 0)

    assert browsers.id_for(cookie, "first", 0) == ""
    assert browsers.id_for(cookie, "user 0", 0) != ""


def test_remembering_twice_changes_nothing(browsers):
    cookie = browsers.remember("", "ada", 0)

    assert browsers.remember(cookie, "ada", 0) == cookie


def test_a_new_password_makes_the_browser_unknown(browsers):
    cookie = browsers.remember("", "ada", 0)

    assert browsers.id_for(cookie, "ada", 1) == ""


def test_remembering_again_replaces_the_mark_of_the_old_password(browsers):
    cookie = browsers.remember("", "ada", 0)

    renewed = browsers.remember(cookie, "ada", 1)

    assert browsers.id_for(renewed, "ada", 1) == cookie.partition(".")[0]
    assert len(renewed) == len(cookie)


def test_an_unused_browser_is_forgotten(browsers, set_clock):
    cookie = browsers.remember("", "ada", 0)

    set_clock(NOON + LIFETIME - timedelta(seconds=1))
    before = browsers.id_for(cookie, "ada", 0)
    set_clock(NOON + LIFETIME)
    after = browsers.id_for(cookie, "ada", 0)

    assert before != ""
    assert after == ""


def test_the_time_in_a_mark_cannot_be_moved(browsers, set_clock):
    cookie = browsers.remember("", "ada", 0)
    made_at = f"{int(NOON.timestamp()):08x}"

    set_clock(NOON + LIFETIME)
    later = cookie.replace(made_at, f"{int((NOON + LIFETIME).timestamp()):08x}")

    assert later != cookie
    assert browsers.id_for(later, "ada", 0) == ""


@pytest.mark.parametrize("cookie", ["", ".", "..", "x", "x.y", "x.y.z", "é.ü.ö", "a" * 5000, "\udcff.x"])
def test_an_invalid_cookie_is_ignored(browsers, cookie):
    assert not browsers.is_ours(cookie)
    assert browsers.id_for(cookie, "ada", 0) == ""


@pytest.mark.parametrize("mark", ["", "x", "é" * 52, "x" * 52, "\udcff"])
def test_trailing_data_after_the_checksum_is_ignored(browsers, mark):
    sealed = browsers.remember("", "ada", 0).rpartition(".")[0]

    assert browsers.is_ours(f"{sealed}.{mark}")
    assert browsers.id_for(f"{sealed}.{mark}", "ada", 0) == ""


def test_a_mark_copied_from_another_browser_is_ignored(browsers):
    own, other = browsers.remember("", "eve", 0), browsers.remember("", "ada", 0)

    forged = f"{own}.{other.split('.')[2]}"

    assert browsers.id_for(forged, "ada", 0) == ""


def test_another_secret_invalidates_every_mark(browsers):
    cookie = browsers.remember("", "ada", 0)

    assert not DeviceCookies(KeyRing("f" * 64, "device")).is_ours(cookie)


async def test_the_cookie_does_not_log_in(client, make_user, browser_of_answer):
    await make_user("ada@example.com")
    body = {"email": "ada@example.com", "password": "correct horse battery"}
    browser = browser_of_answer(await client.post("/users/login", json=body))
    client.cookies.clear()

    assert (await client.get("/users/me", headers=browser)).status_code == 401


async def test_the_cookie_is_protected_like_the_session_cookie(client, make_user):
    await make_user("ada@example.com")
    body = {"email": "ada@example.com", "password": "correct horse battery"}

    [cookie] = (await client.post("/users/login", json=body)).headers.get_list("set-cookie")

    assert cookie.startswith("__Host-device=")
    assert set(cookie.split("; ")[1:]) == {"Path=/", "SameSite=Lax", "Secure", "HttpOnly", "Max-Age=34560000"}


@pytest.mark.parametrize("mark", ["a,b", '"', "\u00e9", "a b", "short", "x" * 52 + ","])
def test_marks_that_this_application_did_not_make_are_dropped(browsers, mark):
    """Only the browser's id is sealed, and a cookie with other characters could not be set."""
    cookie = browsers.remember("", "ada", 0)

    assert browsers.remember(f"{cookie}.{mark}", "ada", 0) == cookie

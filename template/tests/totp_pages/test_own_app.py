"""Setting up and removing your own authenticator app on pages, without JavaScript."""

import base64
import re
from datetime import timedelta

import pytest
from pyotp.totp import TOTP

from app import clock
from tests.second_factor_pages.conftest import ADA, codes_on, follow, give_password, press
from tests.totp.conftest import STEP
from tests.totp_pages.conftest import APP, PAGE, secret_on

REMOVE = f"{APP}/remove"


# Setting up an app


async def test_an_app_is_set_up_and_its_recovery_codes_are_shown_once(eve):
    account = await eve.get("/account")
    before = await eve.get(PAGE)
    shown = await follow(eve, await press(eve, APP))
    code = TOTP(secret_on(shown)).at(clock.now())
    done = await eve.post(f"{APP}/confirm", data={"code": code})
    after = await eve.get(PAGE)

    assert f'href="{PAGE}"' in account.text
    assert "Set up an app" in before.text
    assert done.status_code == 200
    assert len(set(codes_on(done))) == 10
    assert "10 of 10 left." in after.text
    assert codes_on(after) == []


async def test_an_unverified_user_is_offered_a_new_link(make_user, log_in):
    """A required second factor must not lock out someone whose verification e-mail was lost."""
    browser = await log_in(await make_user("bob@example.com"))

    page = await browser.get(PAGE)

    assert 'href="/verify"' in page.text
    assert 'action="/verify"' in (await browser.get("/verify")).text


async def test_the_recovery_codes_on_the_page_log_in(eve, browser):
    shown = await follow(eve, await press(eve, APP))
    app = TOTP(secret_on(shown))
    done = await eve.post(f"{APP}/confirm", data={"code": app.at(clock.now())})
    await give_password(browser, email="eve@example.com")

    answer = await browser.post("/login/second-factor", data={"recovery_code": codes_on(done)[0]})

    assert answer.headers["location"] == "/account"


async def test_the_image_contains_the_secret(eve):
    shown = await follow(eve, await press(eve, APP))

    [image] = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', shown.text)
    assert base64.b64decode(image).startswith(b"<svg ")


async def test_the_secret_survives_a_wrong_code_and_is_not_in_the_form(eve):
    shown = await follow(eve, await press(eve, APP))
    again = await eve.post(f"{APP}/confirm", data={"code": "000000"})

    assert again.status_code == 400
    assert 'id="code-error"' in again.text
    assert secret_on(again) == secret_on(shown)
    assert secret_on(shown) not in "".join(re.findall(r"<input[^>]+>", shown.text + again.text))


async def test_sending_the_last_code_again_changes_nothing(eve):
    shown = await follow(eve, await press(eve, APP))
    code = {"code": TOTP(secret_on(shown)).at(clock.now())}
    await eve.post(f"{APP}/confirm", data=code)

    answer = await eve.post(f"{APP}/confirm", data=code)

    assert answer.headers["location"] == PAGE


async def test_without_a_pending_secret_the_setup_page_redirects(eve, signed_in):
    answers = [await eve.get(APP), await signed_in.get(APP), await press(signed_in, APP)]

    assert {each.headers["location"] for each in answers} == {PAGE}


async def test_an_address_must_be_verified_first(make_user, log_in):
    browser = await log_in(await make_user("new@example.com"))

    page = await browser.get(PAGE)
    answers = [await press(browser, APP), await browser.post(f"{APP}/confirm", data={"code": "1"})]

    assert "confirm your e-mail address first" in page.text
    assert "Set up an app" not in page.text
    assert {each.headers["location"] for each in answers} == {PAGE}


async def test_all_pages_open_after_a_required_setup(make_user, manager, browser):
    """The app is required by REQUIRE_SECOND_FACTOR."""
    await make_user(ADA["email"], is_verified=True)
    manager.require_second_factor = "all"
    await browser.post("/login", data=ADA)

    shown = await follow(browser, await press(browser, APP))
    done = await browser.post(f"{APP}/confirm", data={"code": TOTP(secret_on(shown)).at(clock.now())})

    assert done.status_code == 200
    assert (await browser.get("/account")).status_code == 200


@pytest.mark.parametrize("required", ["off", "all"])
async def test_confirming_the_password_returns_to_the_same_key(make_user, manager, browser, wait, required):
    """If setting up an app takes longer than RECENT_LOGIN, the app has already scanned the key."""
    await make_user(ADA["email"], is_verified=True)
    manager.require_second_factor = required
    await browser.post("/login", data=ADA)
    shown = await follow(browser, await press(browser, APP))
    wait(timedelta(minutes=11))

    form = await follow(browser, await browser.post(f"{APP}/confirm", data={"code": "000000"}))
    path = re.search(r'name="next" value="([^"]+)"', form.text)[1]
    confirmed = await browser.post("/confirm", data=ADA | {"next": path})
    again = await follow(browser, await follow(browser, confirmed))
    code = TOTP(secret_on(shown)).at(clock.now())
    done = await browser.post(f"{APP}/confirm", data={"code": code})

    assert secret_on(again) == secret_on(shown)
    assert done.status_code == 200


# Logging in


async def test_the_login_asks_for_a_code(browser, owner):
    asked = await give_password(browser)
    answer = await browser.post("/login/second-factor", data={"code": owner.code()})

    assert 'autocomplete="one-time-code" inputmode="numeric"' in asked.text
    assert answer.headers["location"] == "/account"


# Removing the app


async def test_the_app_is_removed(signed_in, browser):
    overview = await signed_in.get(PAGE)
    asked = await signed_in.get(REMOVE)
    page = await follow(signed_in, await press(signed_in, REMOVE))
    again = [await signed_in.get(REMOVE), await press(signed_in, REMOVE)]
    logged_in = await give_password(browser)

    assert f'href="{REMOVE}"' in overview.text
    assert "your recovery codes will no longer work" in asked.text
    assert "The second factor has been removed." in page.text
    assert "Recovery codes" not in page.text
    assert {each.headers["location"] for each in again} == {PAGE}
    assert "You are logged in." in logged_in.text


async def test_opening_the_page_removes_nothing(signed_in, browser):
    await signed_in.get(REMOVE)

    assert (await give_password(browser)).url.path == "/login/second-factor"


# Guards


@pytest.mark.parametrize("path", [APP, REMOVE])
async def test_viewing_the_pages_requires_a_recent_login(signed_in, wait, path):
    wait(timedelta(minutes=11))

    answer = await signed_in.get(path)

    assert answer.headers["location"].startswith("/confirm?next=%2Faccount%2Fsecond-factors")


@pytest.mark.parametrize("path", [APP, f"{APP}/confirm", REMOVE])
async def test_changing_the_app_requires_a_recent_login(signed_in, wait, path):
    """Checklist 24."""
    wait(timedelta(minutes=11))

    answer = await signed_in.post(path, data={"code": "000000"})
    opened = await signed_in.get(path)

    assert answer.headers["location"].startswith("/confirm?next=%2Faccount%2Fsecond-factors")
    assert opened.status_code == 303


# What is recorded


async def test_codes_are_described_in_words(signed_in, owner, browser, wait):
    await give_password(browser)
    await browser.post("/login/second-factor", data={"code": "000000"})
    wait(STEP)
    await signed_in.post("/confirm/second-factor", data={"code": "000000"})
    await signed_in.post("/confirm/second-factor", data={"code": owner.code()})

    page = (await signed_in.get("/account/activity")).text

    for sentence in (
        "A wrong code was entered at login, after the correct password",
        "A wrong code was entered when confirming the login",
        "The login was confirmed with a code",
    ):
        assert sentence in page


async def test_administrators_see_the_name_of_the_factor(owner, make_user, log_in):
    admin = await log_in(await make_user("root@example.com", is_superuser=True))

    assert "Authenticator app" in (await admin.get(f"/admin/users/{owner.user.id}/second-factors")).text


# Your own tests go below; template updates never touch them.

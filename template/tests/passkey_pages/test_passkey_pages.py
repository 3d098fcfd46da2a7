"""The passkey pages, with a software authenticator in place of the script and the browser."""

import json
from datetime import timedelta

import pytest

from tests.passkey_pages.conftest import options_on, respond
from tests.passkeys.authenticator import VERIFIED, Authenticator

PAGE = "/account/second-factors"
PASSKEYS = f"{PAGE}/passkeys"
NEXT = "/account/sessions"
ADA = {"email": "ada@example.com", "password": "correct horse battery"}
BUTTON = {"Content-Type": "application/x-www-form-urlencoded"}
"""What a browser sends with a form that has no fields."""


def press(browser, path):
    return browser.post(path, content=b"", headers=BUTTON)


async def follow(browser, answer):
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


@pytest.fixture
async def eve(make_user, log_in):
    """The browser of an account without a passkey."""
    return await log_in(await make_user("eve@example.com", is_verified=True))


# Logging in


async def test_a_passkey_logs_in_on_the_login_page(owner, browser, phone):
    page = await browser.get(f"/login?next={NEXT}")
    answer = await respond(browser, page, phone, next=NEXT)

    assert 'autocomplete="username webauthn"' in page.text
    assert answer.headers["location"] == NEXT
    assert "You are logged in." in (await follow(browser, answer)).text


async def test_stay_logged_in_is_respected(owner, browser, phone):
    page = await browser.get("/login")
    answers = [await respond(browser, page, phone, remember=remember) for remember in ("", "yes")]

    cookies = [
        next(each for each in answer.headers.get_list("set-cookie") if "-session=" in each)
        for answer in answers
    ]
    assert ["Max-Age" in cookie for cookie in cookies] == [False, True]


async def test_a_refused_passkey_shows_the_login_page_again(owner, browser):
    page = await browser.get("/login")
    stranger = Authenticator()
    stranger.create({"user": {"id": "AA"}, "challenge": "AA"})

    answer = await respond(browser, page, stranger, next=NEXT)

    assert answer.status_code == 400
    assert "You cannot log in with this passkey." in answer.text
    assert f'name="next" value="{NEXT}"' in answer.text


@pytest.mark.parametrize("credential", ["", "{}", "nonsense", "[" * 1000])
async def test_a_form_without_a_passkey_is_refused(browser, credential):
    answer = await browser.post("/login/passkey", data={"credential": credential})

    assert answer.status_code == 400


async def test_another_browser_cannot_use_the_response(owner, browser, make_browser, phone):
    """Checklist 31."""
    elsewhere = await make_browser()
    credential = json.dumps(phone.get(await options_on(browser, await browser.get("/login"))))

    answer = await elsewhere.post("/login/passkey", data={"credential": credential})

    assert answer.status_code == 400


async def test_opening_the_url_of_the_form_redirects_to_the_login_page(browser):
    assert (await browser.get("/login/passkey")).headers["location"] == "/login"


@pytest.mark.parametrize("next", ["//evil.example", "https://evil.example/", "/\\evil.example"])
async def test_an_unsafe_return_path_is_replaced(owner, browser, phone, next):
    """Checklist 24."""
    answer = await respond(browser, await browser.get("/login"), phone, next=next)

    assert answer.headers["location"] == "/account"


# As a second factor


async def test_a_login_with_password_and_passkey(owner, browser, phone):
    asked = await follow(browser, await browser.post("/login", data=ADA | {"next": NEXT}))
    answer = await respond(browser, asked, phone, next=NEXT)

    assert "Use a passkey" in asked.text
    assert answer.headers["location"] == NEXT
    assert "You are logged in." in (await follow(browser, answer)).text


async def test_the_page_asks_again_after_a_refused_passkey(owner, browser, phone):
    asked = await follow(browser, await browser.post("/login", data=ADA | {"next": NEXT}))
    phone.origin = "https://evil.example"

    again = await respond(browser, asked, phone, next=NEXT)

    assert again.status_code == 400
    assert '<a href="#credential">The passkey was not accepted. Try again.</a>' in again.text
    assert f'name="next" value="{NEXT}"' in again.text


async def test_a_passkey_confirms_the_login(signed_in, phone, wait):
    wait(timedelta(minutes=11))
    asked = await follow(signed_in, await signed_in.get(PAGE))
    asked = await follow(signed_in, asked) if asked.status_code == 303 else asked
    answer = await respond(signed_in, asked, phone, next=PAGE)

    assert answer.headers["location"] == PAGE
    assert (await signed_in.get(PAGE)).status_code == 200


# Managing your own passkeys


async def test_a_passkey_is_added_and_recovery_codes_are_shown(eve):
    page = await eve.get(PAGE)
    codes = await respond(eve, page, Authenticator())
    after = await eve.get(PAGE)

    assert "Add a passkey" in page.text
    assert "They are never shown again." in codes.text
    assert "Google Password Manager" in after.text
    assert "10 of 10 left." in after.text


async def test_adding_a_second_passkey_shows_a_message(signed_in):
    answer = await respond(signed_in, await signed_in.get(PAGE), Authenticator())

    assert "The second factor has been set up." in (await follow(signed_in, answer)).text


async def test_an_address_must_be_verified_first(make_user, log_in):
    browser = await log_in(await make_user("new@example.com"))

    page = await browser.get(PAGE)
    answer = await browser.post(PASSKEYS, data={"credential": "{}"})

    assert "confirm your e-mail address first" in page.text
    assert "data-passkey" not in page.text
    assert answer.headers["location"] == PAGE


async def test_an_invalid_response_adds_nothing(eve):
    page = await follow(eve, await eve.post(PASSKEYS, data={"credential": "{}"}))

    assert "The passkey was not added." in page.text


async def test_too_many_passkeys_are_refused_with_an_explanation(eve, monkeypatch):
    options = await options_on(eve, await eve.get(PAGE))
    monkeypatch.setattr("app.passkeys.passkeys.MAX_PASSKEYS", 0)
    answer = await eve.post(PASSKEYS, data={"credential": json.dumps(Authenticator().create(options))})

    assert "too many passkeys" in (await follow(eve, answer)).text


async def test_a_passkey_is_renamed(signed_in, owner):
    path = f"{PASSKEYS}/{owner.passkey['id']}"
    shown = await signed_in.get(path)
    page = await follow(signed_in, await signed_in.post(f"{path}/name", data={"name": "Blue <phone>"}))

    assert 'value="Google Password Manager"' in shown.text
    assert "Blue &lt;phone&gt;" in page.text


async def test_a_name_that_is_too_long_is_explained_next_to_its_field(signed_in, owner):
    path = f"{PASSKEYS}/{owner.passkey['id']}"

    page = await signed_in.post(f"{path}/name", data={"name": "x" * 65})

    assert page.status_code == 400
    assert '<small id="name-error" class="error">' in page.text
    assert 'value="Google Password Manager"' in page.text


async def test_a_passkey_is_removed(signed_in, owner, browser):
    path = f"{PASSKEYS}/{owner.passkey['id']}"
    shown = await signed_in.get(path)
    page = await follow(signed_in, await press(signed_in, f"{path}/remove"))
    logged_in = await follow(browser, await browser.post("/login", data=ADA))

    assert "The password will then be enough to log in" in shown.text
    assert "The passkey has been removed." in page.text
    assert "You are logged in." in logged_in.text


@pytest.mark.parametrize("action", ["name", "remove"])
async def test_another_users_passkey_is_not_found(eve, owner, action):
    path = f"{PASSKEYS}/{owner.passkey['id']}"

    answers = [await eve.get(path), await eve.post(f"{path}/{action}", data={"name": "mine"})]

    assert [each.headers["location"] for each in answers] == [PAGE, PAGE]


@pytest.mark.parametrize("path", ["", "/{id}/name", "/{id}/remove"])
async def test_changing_passkeys_requires_a_recent_login(signed_in, owner, wait, path):
    """Checklist 24."""
    wait(timedelta(minutes=11))

    answer = await signed_in.post(PASSKEYS + path.format(id=owner.passkey["id"]), data={"credential": "{}"})

    assert answer.headers["location"].startswith("/confirm?next=")


async def test_another_site_cannot_submit_any_form(signed_in, owner, browser):
    """Checklist 35."""
    own = [PASSKEYS, *(f"{PASSKEYS}/{owner.passkey['id']}/{action}" for action in ("name", "remove"))]
    cross_site = {"Sec-Fetch-Site": "cross-site"}

    answers = [
        await browser.post("/login/passkey", data={"credential": "{}"}, headers=cross_site),
        *[await signed_in.post(path, data={"credential": "{}"}, headers=cross_site) for path in own],
    ]

    assert {each.status_code for each in answers} == {403}


async def test_the_activity_is_described_in_words(signed_in, owner, browser, phone):
    login = await browser.get("/login")
    await respond(browser, login, phone)
    phone.flags &= ~VERIFIED
    await respond(browser, login, phone)

    page = (await signed_in.get("/account/activity")).text

    assert "Logged in with a passkey" in page
    assert "A login with a passkey was rejected" in page


async def test_password_managers_find_the_page(client):
    answer = await client.get("/.well-known/passkey-endpoints")

    assert answer.json() == {"enroll": f"http://test{PAGE}", "manage": f"http://test{PAGE}"}


# Your own tests go below; template updates never touch them.

"""Requesting a code on a page and logging in with it, without JavaScript."""

import pytest

from app.email_login.login_codes import METHOD
from app.pages.mail_previews import preview, previews
from tests.email_login.conftest import EMAIL, OneFactor, codes_in
from tests.email_login_pages.conftest import NEXT, ask, follow

REQUEST, CODE = "/login/email", "/login/email/code"


async def test_the_login_page_links_to_the_address_form_and_keeps_the_return_path(browser):
    page = (await browser.get("/login", params={"next": NEXT})).text

    assert f'<a href="{REQUEST}?next=/account/sessions">Log in with an e-mailed code</a>' in page


async def test_a_login_with_a_code(ada, browser, mailed_code):
    first = await browser.get(REQUEST, params={"next": NEXT})
    asked = await ask(browser)
    answer = await browser.post(CODE, data={"code": await mailed_code(), "next": NEXT})
    page = await follow(browser, answer)

    assert f'name="next" value="{NEXT}"' in first.text
    assert str(asked.url) == f"https://test{CODE}?next=%2Faccount%2Fsessions"
    assert 'autocomplete="one-time-code"' in asked.text
    assert f'name="next" value="{NEXT}"' in asked.text
    assert answer.headers["location"] == NEXT
    assert "You are logged in." in page.text


async def test_a_login_removes_the_key_and_makes_the_browser_known(ada, browser, mailed_code):
    await ask(browser)
    answer = await browser.post(CODE, data={"code": await mailed_code()})

    cookies = {each.partition("=")[0]: each for each in answer.headers.get_list("set-cookie")}
    assert {"__Host-session", "__Host-device"} <= set(cookies)
    assert "Max-Age=0" in cookies["__Host-login-code"]


@pytest.mark.parametrize(("form", "is_kept"), [({"remember": "yes"}, True), ({}, False)])
async def test_remember_me(ada, browser, mailed_code, form, is_kept):
    await ask(browser)
    answer = await browser.post(CODE, data={"code": await mailed_code()} | form)

    [cookie] = [each for each in answer.headers.get_list("set-cookie") if "-session=" in each]
    assert ("Max-Age" in cookie) == is_kept


async def test_a_wrong_code_is_explained_next_to_its_field(ada, browser):
    await ask(browser)

    answer = await browser.post(CODE, data={"code": "BBBB-BBBB", "next": NEXT, "remember": "yes"})

    assert answer.status_code == 400
    assert '<small id="code-error" class="error">The code is wrong or has expired.</small>' in answer.text
    assert f'name="next" value="{NEXT}"' in answer.text
    assert 'value="yes" checked' in answer.text
    assert "BBBB" not in answer.text


async def test_a_second_factor_is_asked_for(ada, browser, manager, mailed_code):
    """Checklist 31."""
    manager.second_factors = OneFactor(has_one=True)
    await ask(browser)

    answer = await browser.post(CODE, data={"code": await mailed_code(), "next": NEXT})

    assert answer.headers["location"] == "/login/second-factor?next=%2Faccount%2Fsessions"
    assert browser.cookies["__Host-login"] == "ticket-cookie-False.key"
    assert "__Host-login-code" not in browser.cookies
    assert "__Host-session" not in browser.cookies


async def test_without_a_request_the_code_page_redirects_to_the_address_page(browser):
    answer = await browser.get(CODE, params={"next": NEXT})

    assert answer.headers["location"] == f"{REQUEST}?next=%2Faccount%2Fsessions"


async def test_a_code_without_a_request_is_refused(browser):
    assert (await browser.post(CODE, data={"code": "BBBB-BBBB"})).status_code == 400


@pytest.mark.parametrize("path", [REQUEST, CODE])
async def test_a_logged_in_user_is_redirected(ada, log_in, path):
    browser = await log_in(ada)

    assert (await browser.get(path, params={"next": NEXT})).headers["location"] == NEXT


async def test_the_pages_are_in_german(ada, browser):
    browser.headers["Accept-Language"] = "de"

    page = await ask(browser)

    assert "Code aus der E-Mail eingeben" in page.text


async def test_the_activity_describes_the_events(ada, browser, mailed_code):
    await ask(browser)
    await browser.post(CODE, data={"code": "BBBB-BBBB"})
    await browser.post(CODE, data={"code": await mailed_code()})

    page = (await browser.get("/account/activity")).text

    assert METHOD == "email"
    for sentence in (
        "A login code was requested",
        "A wrong e-mailed code was entered at login",
        "Logged in with an e-mailed code",
    ):
        assert f"<strong>{sentence}</strong>" in page


@pytest.mark.parametrize("name", ["login_code", "login_code_refused"])
async def test_each_mail_has_a_preview(app, name):
    assert name in previews()
    assert (await preview(app.state, name)).text_body


async def test_the_preview_shows_a_code(app):
    mail = await preview(app.state, "login_code")

    assert codes_in(mail.text_body) == ["BCDF-GHJK"]
    assert mail.to == [EMAIL]


# Your own tests go below; template updates never touch them.

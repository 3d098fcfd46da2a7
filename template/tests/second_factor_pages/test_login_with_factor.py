"""Logging in and confirming a login with a second factor on the pages, without JavaScript."""

from datetime import timedelta

import pytest

from app.second_factor_pages import parts
from app.users.exceptions import SessionEnded
from tests.second_factor_pages.conftest import NEXT, follow, give_password
from tests.second_factors.conftest import SampleFactor

LOGIN, CONFIRM = "/login/second-factor", "/confirm/second-factor"
WRONG = "000000"


# Logging in


async def test_a_login_with_password_and_code(browser, owner):
    asked = await give_password(browser)
    answer = await browser.post(LOGIN, data={"code": owner.code(), "next": NEXT})
    page = await follow(browser, answer)

    assert str(asked.url) == "https://test/login/second-factor?next=%2Faccount%2Fsessions"
    assert '<label for="code">Sample code</label>' in asked.text
    assert f'name="next" value="{NEXT}"' in asked.text
    assert answer.headers["location"] == NEXT
    assert "You are logged in." in page.text


async def test_a_login_with_password_and_recovery_code(browser, owner):
    await give_password(browser)

    page = await follow(
        browser, await browser.post(LOGIN, data={"recovery_code": owner.recovery_codes[0].lower()})
    )

    assert "You are logged in." in page.text


async def test_the_password_is_not_enough(browser, owner):
    """Checklist 31."""
    await give_password(browser)

    assert (await browser.get("/account")).headers.get("location", "").startswith("/login?")


async def test_the_ticket_is_gone_after_the_login(browser, owner):
    await give_password(browser)
    answer = await browser.post(LOGIN, data={"code": owner.code()})

    cookies = {each.partition("=")[0]: each for each in answer.headers.get_list("set-cookie")}
    assert {"__Host-session", "__Host-device"} <= set(cookies)
    assert "Max-Age=0" in cookies["__Host-login"]


async def test_logging_out_cancels_an_unfinished_login(browser, owner):
    """Checklist 19."""
    await give_password(browser)
    await browser.post("/logout")

    answer = await browser.post("/login/second-factor", data={"code": owner.code()})

    assert answer.headers["location"].startswith("/login?")


async def test_remember_me_is_kept_until_the_session_starts(browser, owner):
    await give_password(browser, remember="yes")
    answer = await browser.post(LOGIN, data={"code": owner.code()})

    [cookie] = [each for each in answer.headers.get_list("set-cookie") if "-session=" in each]
    assert "Max-Age" in cookie


async def test_the_previous_session_of_the_browser_ends(signed_in, make_browser, owner):
    """ASVS 7.2.4."""
    elsewhere = await make_browser()
    former = signed_in.cookies["__Host-session"]
    elsewhere.cookies.set("__Host-session", former, domain="test.local", path="/")
    before = await elsewhere.get("/account")
    await give_password(signed_in)
    await signed_in.post(LOGIN, data={"code": owner.code()})

    after = await elsewhere.get("/account")

    assert (before.status_code, after.status_code) == (200, 303)


@pytest.mark.parametrize("field", ["code", "recovery_code"])
async def test_a_wrong_answer_is_explained_next_to_its_field(browser, owner, field):
    await give_password(browser)

    answer = await browser.post(LOGIN, data={field: WRONG, "next": NEXT})

    assert answer.status_code == 400
    assert f'<small id="{field}-error" class="error">' in answer.text
    assert f'<a href="#{field}">The code is wrong or was used before.</a>' in answer.text
    assert ("<details open>" in answer.text) == (field == "recovery_code")
    assert f'name="next" value="{NEXT}"' in answer.text
    assert WRONG not in answer.text


async def test_the_right_code_is_accepted_after_a_wrong_one(browser, owner):
    await give_password(browser)
    await browser.post(LOGIN, data={"code": WRONG})

    assert (await browser.post(LOGIN, data={"code": owner.code()})).headers["location"] == "/account"


async def test_an_expired_login_must_start_again(browser, owner, wait):
    await give_password(browser)
    wait(timedelta(minutes=6))

    answer = await browser.post(LOGIN, data={"code": owner.code(), "next": NEXT})
    page = await follow(browser, answer)

    assert answer.headers["location"] == "/login?next=%2Faccount%2Fsessions"
    assert "The login has expired." in page.text
    assert (await browser.get(LOGIN)).headers["location"].startswith("/login?")


async def test_a_failed_login_does_not_use_up_a_recovery_code(
    browser, signed_in, owner, manager, outbox, monkeypatch
):
    """The password may have been changed while the user was looking for the code."""

    async def refuse(*_, **__):
        raise SessionEnded

    await give_password(browser)
    mails = len(await outbox())
    monkeypatch.setattr(manager, "finish_login", refuse)

    answer = await browser.post(LOGIN, data={"recovery_code": owner.recovery_codes[0]})

    assert answer.headers["location"].startswith("/login?")
    assert "10 of 10 left." in (await signed_in.get("/account/second-factors")).text
    assert len(await outbox()) == mails


async def test_five_wrong_answers_end_the_login(browser, owner):
    await give_password(browser)
    for _ in range(5):
        await browser.post(LOGIN, data={"code": WRONG})

    answer = await browser.post(LOGIN, data={"code": owner.code()})

    assert answer.headers["location"].startswith("/login?")


async def test_the_fifth_wrong_answer_leads_back_to_the_password(browser, owner):
    await give_password(browser)

    answers = [await browser.post(LOGIN, data={"code": WRONG, "next": NEXT}) for _ in range(5)]

    assert [each.status_code for each in answers] == [400] * 4 + [303]
    assert "The login has expired." in (await follow(browser, answers[-1])).text


async def test_an_expired_login_redirects_to_the_login_page(browser, owner, wait):
    await give_password(browser)
    wait(timedelta(minutes=6))

    answer = await browser.get(LOGIN, params={"next": NEXT})

    assert answer.headers["location"] == "/login?next=%2Faccount%2Fsessions"


async def test_only_the_factors_of_the_account_are_asked_for(app, browser, signed_in, owner):
    parts.add(app, parts.Part("other", "Other", "credential", "sample/other.html", "sample/other.html"))

    pages = [await give_password(browser), await signed_in.get(CONFIRM)]

    assert [page.status_code for page in pages] == [200, 200]
    assert all("Sample code" in page.text and "The other factor." not in page.text for page in pages)


async def test_a_factor_may_answer_with_a_credential(app, browser, owner, factors, set_up):
    other = SampleFactor("other", method="credential")
    factors.add(other)
    parts.add(app, parts.Part("other", "Other", "credential", "sample/other.html", "sample/other.html"))
    await set_up(owner.user, other)

    asked = await give_password(browser)
    entered = await browser.post(LOGIN, data={"credential": other.new_code(owner.user)})

    assert "Sample code" in asked.text
    assert "The other factor." in asked.text
    assert entered.headers["location"] == "/account"


async def test_another_browser_cannot_finish_the_login(browser, make_browser, owner):
    await give_password(browser)

    answer = await (await make_browser()).post(LOGIN, data={"code": owner.code()})

    assert answer.headers["location"].startswith("/login?")


async def test_a_logged_in_user_is_redirected(signed_in):
    answer = await signed_in.get(LOGIN, params={"next": NEXT})

    assert answer.headers["location"] == NEXT
    assert "set-cookie" not in answer.headers


async def test_an_account_without_a_factor_is_not_asked(browser, make_user):
    await make_user("ada@example.com")

    assert (await give_password(browser)).url.path == NEXT


# Confirming


async def test_the_password_page_redirects_to_the_factor(signed_in, wait):
    wait(timedelta(minutes=11))

    asked = await signed_in.get("/account/export")
    opened = await signed_in.get(asked.headers["location"])
    sent = await signed_in.post("/confirm", data={"password": "x", "next": "/account/export"})

    assert opened.headers["location"] == sent.headers["location"] == f"{CONFIRM}?next=%2Faccount%2Fexport"


@pytest.mark.parametrize("method", ["code", "recovery_code"])
async def test_a_factor_makes_the_login_recent(signed_in, owner, wait, method):
    wait(timedelta(minutes=11))
    answer = {"code": owner.code(), "recovery_code": owner.recovery_codes[0]}[method]
    form = await signed_in.get(CONFIRM, params={"next": "/account/export"})

    page = await follow(
        signed_in, await signed_in.post(CONFIRM, data={method: answer, "next": "/account/export"})
    )

    assert 'name="next" value="/account/export"' in form.text
    assert (page.status_code, page.url.path) == (200, "/account/export")


@pytest.mark.parametrize("field", ["code", "recovery_code"])
async def test_a_wrong_answer_confirms_nothing(signed_in, wait, field):
    wait(timedelta(minutes=11))

    answer = await signed_in.post(CONFIRM, data={field: WRONG})

    assert answer.status_code == 400
    assert f'id="{field}-error"' in answer.text
    assert (await signed_in.get("/account/export")).status_code == 303


async def test_without_a_factor_the_page_redirects_to_the_password_form(make_user, log_in):
    browser = await log_in(await make_user("eve@example.com"))

    answer = await browser.get(CONFIRM, params={"next": NEXT})

    assert answer.headers["location"] == "/confirm?next=%2Faccount%2Fsessions"
    assert (await browser.get("/confirm")).status_code == 200


# Your own tests go below; template updates never touch them.

"""User flows on the pages, from registration to deletion, without JavaScript."""

import re
from datetime import timedelta

import pytest

from app.users import record

EMAIL, PASSWORD, NEW = "ada@example.com", "correct horse battery", "a brand new password"
ADA = {"email": EMAIL, "password": PASSWORD}
BUTTON = {"Content-Type": "application/x-www-form-urlencoded"}
"""What a browser sends with a form that has no fields."""


async def follow(browser, answer):
    """The page that a redirect (303) leads to."""
    assert answer.status_code == 303
    return await browser.get(answer.headers["location"])


async def test_a_user_registers_verifies_and_logs_in(browser, mailed_path):
    registered = await follow(browser, await browser.post("/register", data=ADA))
    link = await mailed_path()
    confirmation = await browser.get(link)
    confirmed = await follow(browser, await browser.post(link, content=b"", headers=BUTTON))
    login = await follow(browser, confirmed)
    account = await follow(browser, await browser.post("/login", data=ADA | {"next": "/account"}))

    assert "confirm your e-mail address" in registered.text
    assert '<button type="submit">' in confirmation.text
    assert "Your e-mail address is confirmed." in login.text
    assert "You are logged in." in account.text
    assert "not confirmed" not in account.text


async def test_another_browser_that_verifies_must_set_a_new_password(browser, make_browser, mailed_path):
    """Someone else may have registered the address and would then know the password."""
    await browser.post("/register", data=ADA)
    link, elsewhere = await mailed_path(), await make_browser()

    shown = await follow(elsewhere, await elsewhere.post(link, content=b"", headers=BUTTON))

    assert shown.status_code == 303
    assert "To log in, set a new password." in (await follow(elsewhere, shown)).text


async def test_a_message_is_shown_once(browser, make_user):
    await make_user(EMAIL)

    first = await follow(browser, await browser.post("/login", data=ADA))
    second = await browser.get("/account")

    assert ["You are logged in." in page.text for page in (first, second)] == [True, False]


async def test_a_forged_message_shows_nothing(browser):
    browser.cookies.set("__Host-message", "<b>You have won</b>", domain="test.local", path="/")

    assert "You have won" not in (await browser.get("/login")).text


async def test_login_returns_to_the_requested_page(browser, make_user):
    await make_user(EMAIL)

    asked = await browser.get("/account/sessions")
    form = await follow(browser, asked)
    back = await browser.post(
        "/login", data=ADA | {"next": re.search(r'name="next" value="([^"]+)"', form.text)[1]}
    )

    assert asked.headers["location"] == "/login?next=%2Faccount%2Fsessions"
    assert back.headers["location"] == "/account/sessions"


async def test_without_remember_me_the_cookie_ends_with_the_browser(browser, make_user):
    await make_user(EMAIL)

    short = await browser.post("/login", data=ADA)
    long = await browser.post("/login", data=ADA | {"remember": "yes"})

    cookies = [next(c for c in a.headers.get_list("set-cookie") if "session=" in c) for a in (short, long)]
    assert ["Max-Age" in cookie for cookie in cookies] == [False, True]


async def test_logging_out_ends_the_session(log_in, make_user):
    browser = await log_in(await make_user(EMAIL))
    cookies = dict(browser.cookies)

    home = await follow(browser, await browser.post("/logout"))
    browser.cookies.update(cookies)
    again = await browser.get("/account")

    assert "You are logged out." in home.text
    assert again.status_code == 303


async def test_a_forgotten_password_is_set_with_a_mailed_link(browser, make_user, mailed_path):
    await make_user(EMAIL)
    await browser.post("/forgot", data={"email": EMAIL})
    opened = await browser.get(await mailed_path())
    page = await follow(browser, opened)

    refused = await browser.post(opened.headers["location"], data={"password": "short"})
    done = await browser.post(opened.headers["location"], data={"password": NEW})
    logged_in = await browser.post("/login", data={"email": EMAIL, "password": NEW})

    assert str(page.url) == "https://test/users/password-reset"
    assert 'autocomplete="new-password"' in page.text
    assert (refused.status_code, done.status_code, logged_in.status_code) == (400, 303, 303)
    assert "at least 12 characters" in refused.text


async def test_opening_the_link_does_not_use_it_up(browser, make_browser, make_user, mailed_path):
    """Checklist 26: the test sends GET and HEAD twice and follows every redirect."""
    await make_user(EMAIL)
    await browser.post("/forgot", data={"email": EMAIL})
    link, scanner = await mailed_path(), await make_browser()
    for method in ("HEAD", "GET", "HEAD", "GET"):
        await scanner.request(method, link, follow_redirects=True)

    opened = await browser.get(link)
    done = await browser.post(opened.headers["location"], data={"password": NEW})

    assert (done.status_code, done.headers["location"]) == (303, "/account")
    assert done.headers["cache-control"] == "no-store"


async def test_an_invitation_creates_an_account(browser, db, manager):
    async with db.session() as session:
        _, token = await manager.invitations.make(session, EMAIL, invited_by="cli")

    opened = await browser.get(f"/users/invitation/{token}")
    page = await follow(browser, opened)
    done = await browser.post(opened.headers["location"], data={"password": PASSWORD})
    login = await follow(browser, await follow(browser, done))

    assert EMAIL in page.text
    assert "Your account is ready." in login.text
    assert (await browser.post("/login", data=ADA)).status_code == 303


async def test_a_new_link_can_be_requested_from_the_account(log_in, make_user, outbox):
    browser = await log_in(await make_user(EMAIL))

    page = await follow(browser, await browser.post("/verify", data={"email": EMAIL}))

    assert "a new link" in page.text
    assert [mail.to for mail in await outbox()] == [[EMAIL]]


async def test_the_address_changes_when_the_link_is_opened(log_in, make_user, mailed_path, outbox):
    browser = await log_in(await make_user(EMAIL))

    page = await follow(browser, await browser.post("/account/email", data={"new_email": "new@example.com"}))
    [link] = [
        re.search(r"(/users/email-change/\S+)", m.text_body)
        for m in await outbox()
        if m.to == ["new@example.com"]
    ]
    account = await follow(browser, await browser.post(link[1], content=b"", headers=BUTTON))
    again = await browser.get("/account")

    assert "new@example.com" in page.text
    assert "new@example.com" in account.text
    assert ["Your e-mail address has been changed." in each.text for each in (account, again)] == [
        True,
        False,
    ]


async def test_requesting_a_link_to_replace_a_dead_one_is_confirmed_on_a_separate_page(browser, make_user):
    await make_user(EMAIL)

    login = await follow(browser, await browser.post("/users/verify/request", data={"email": EMAIL}))

    assert "we have sent an e-mail to it" in (await follow(browser, login)).text


@pytest.mark.parametrize("new_email", ["nonsense", EMAIL])
async def test_a_refused_address_is_explained_next_to_its_field(log_in, make_user, new_email):
    browser = await log_in(await make_user(EMAIL))

    answer = await browser.post("/account/email", data={"new_email": new_email})

    assert answer.status_code == 400
    assert '<a href="#new_email">' in answer.text
    assert (
        f'value="{new_email}" required aria-invalid="true" aria-describedby="new_email-error"' in answer.text
    )


async def test_a_new_password_ends_the_other_sessions(log_in, make_user):
    user = await make_user(EMAIL)
    browser, other = await log_in(user), await log_in(user)

    form = {"current_password": PASSWORD, "new_password": NEW}
    page = await follow(browser, await browser.post("/account/password", data=form))

    assert "Your password has been changed." in page.text
    assert (await other.get("/account")).status_code == 303


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"current_password": "wrong", "new_password": NEW}, "current_password"),
        ({"current_password": PASSWORD, "new_password": "short"}, "new_password"),
        ({}, "new_password"),
    ],
)
async def test_a_refused_password_is_explained_next_to_its_field(log_in, make_user, form, field):
    """Checklist 6."""
    browser = await log_in(await make_user(EMAIL))

    answer = await browser.post("/account/password", data=form or {"x": ""})

    assert answer.status_code == 400
    assert f'<small id="{field}-error" class="error">' in answer.text
    assert PASSWORD not in answer.text


async def test_a_user_lists_and_ends_sessions(log_in, make_user):
    """Checklist 22."""
    user = await make_user(EMAIL)
    browser, second, third = await log_in(user), await log_in(user), await log_in(user)

    page = await browser.get("/account/sessions")
    one = re.findall(r'name="session" value="([^"]+)"', page.text)[0]
    ended = await follow(browser, await browser.post("/account/sessions", data={"session": one}))
    left = [(await each.get("/account")).status_code for each in (browser, second, third)]
    await browser.post("/account/sessions", data={"others": "yes"})

    assert page.text.count("this device") == 1
    assert page.text.count('name="session"') == 2
    assert '<time datetime="20' in page.text
    assert "The session has ended." in ended.text
    assert sorted(left) == [200, 200, 303]
    assert [(await each.get("/account")).status_code for each in (browser, second, third)] == [200, 303, 303]


async def test_a_user_cannot_end_another_users_session(log_in, make_user, db, manager):
    """Checklist 22."""
    ada, eve = await make_user(EMAIL), await make_user("eve@example.com")
    victim, browser = await log_in(ada), await log_in(eve)
    async with db.session(commit=False) as session:
        [theirs] = await manager.sessions.of_user(session, ada)

    answer = await browser.post("/account/sessions", data={"session": theirs.id})

    assert answer.status_code == 404
    assert (await victim.get("/account")).status_code == 200


async def test_the_activity_is_described_in_words_and_paginated(log_in, make_user, db):
    browser = await log_in(user := await make_user(EMAIL))
    async with db.session() as session:
        record(session, "password_change", user.id)
        for _ in range(25):
            record(session, "login", user.id, outcome="failure")
        record(session, "something_of_yours", user.id, actor="cli")

    newest = await browser.get("/account/activity")
    older = await browser.get(re.search(r'href="(/account/activity\?before=\d+)"', newest.text)[1])

    assert newest.text.count("A login attempt was rejected") == 24
    assert "Something of yours" in newest.text
    assert "by an administrator" in newest.text
    assert "The password was changed" in older.text
    assert 'href="/account/activity?before=' not in older.text
    assert (await browser.get("/account/activity?before=x")).status_code == 400


async def test_the_export_is_a_file(log_in, make_user):
    browser = await log_in(await make_user(EMAIL))

    answer = await browser.post("/account/export")

    assert answer.json()["account"]["email"] == EMAIL
    assert answer.headers["content-disposition"] == 'attachment; filename="account.json"'
    assert answer.headers["cache-control"] == "no-store"


async def test_a_user_deletes_the_account(log_in, make_user):
    browser = await log_in(await make_user(EMAIL))

    page = await browser.get("/account/delete")
    home = await follow(browser, await browser.post("/account/delete"))
    login = await browser.post("/login", data=ADA)

    assert "This cannot be undone." in page.text
    assert "Your account has been deleted." in home.text
    assert login.status_code == 400


async def test_the_last_superuser_is_told_why_deletion_is_refused(log_in, make_user):
    browser = await log_in(await make_user(EMAIL, is_superuser=True))

    answer = await browser.post("/account/delete")

    assert answer.status_code == 409
    assert "This is the last active superuser." in answer.text


async def test_a_scheduled_deletion_is_announced(log_in, make_user, manager):
    manager.deletion_grace = timedelta(days=14)
    browser = await log_in(await make_user(EMAIL))

    page = await browser.get("/account/delete")
    home = await follow(browser, await browser.post("/account/delete"))
    again = await follow(browser, await browser.post("/login", data=ADA))

    assert "after 14 days" in page.text
    assert "log in before that happens" in home.text
    assert "You are logged in." in again.text


async def test_pages_that_require_a_recent_login_ask_for_the_password_and_return(
    log_in, make_user, manager, db
):
    """Checklist 24. After entering the password, the user returns to the form, which is not resubmitted."""
    browser = await log_in(user := await make_user(EMAIL))
    async with db.session() as session:
        [mine] = await manager.sessions.of_user(session, user)
        mine.authenticated_at -= manager.sessions.limits.recent

    asked = await browser.post("/account/delete")
    form = await follow(browser, asked)
    wrong = await browser.post("/confirm", data={"password": "wrong", "next": "/account/delete"})
    right = await browser.post("/confirm", data={"password": PASSWORD, "next": "/account/delete"})

    assert asked.headers["location"] == "/confirm?next=%2Faccount%2Fdelete"
    assert 'name="next" value="/account/delete"' in form.text
    assert (wrong.status_code, right.headers["location"]) == (400, "/account/delete")
    assert (await browser.get("/account/delete")).status_code == 200


# Your own tests go below; template updates never touch them.

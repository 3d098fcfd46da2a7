"""The pages under attack: forged forms, hostile URLs, guessing and caches."""

import re

import pytest

from app.pages import messages
from app.pages.forms import ProfileForm
from app.users.rate_limits import Limit, Limits

PASSWORD = {"password": "correct horse battery"}
WRONG = {"password": "not the right one"}
HOSTILE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/\n/evil.example",
    " //evil.example",
    "evil.example",
    "/%0d%0aLocation: https://evil.example",
    "/a b",
    "/\u202e//evil.example",
]
ROWS = {
    "/register": "register",
    "/login": "login_with_cookie",
    "/confirm": "confirm",
    "/forgot": "request_password_reset",
    "/verify": "request_verify",
    "/account/email": "request_email_change",
    "/account/password": "change_password",
    "/account/profile": "update_profile",
    "/account/export": "export",
    "/language": "update_profile",
}


def pages_of(app, method):
    """The endpoints of all pages that accept *method*, keyed by path."""
    found = [each for each in app.endpoints if method in each.route.methods]
    return {
        each.route.path: each
        for each in found
        if each.handler.__module__.startswith("app.pages.") and each.route.path != "/static/{name}"
    }


def visible(answer):
    """Everything in a response that a browser can see, except random values and the entered address."""
    text = re.sub(r"[a-z]+@example\.com", "x@example.com", answer.text)
    cookies = [
        re.sub(r"(__Host-device=)[^;]+", r"\1x", each) for each in answer.headers.get_list("set-cookie")
    ]
    headers = dict(answer.headers) | {"x-request-id": "", "set-cookie": "", "content-length": ""}
    return answer.status_code, text, headers, cookies


# Checklist 13: who has an account


@pytest.mark.parametrize("path", ["/login", "/forgot", "/verify"])
async def test_known_and_unknown_addresses_get_the_same_page(make_browser, make_user, path):
    """Checklist 13 and 14: even a disabled account gets the same page."""
    await make_user("ada@example.com", is_verified=True)
    await make_user("off@example.com", is_active=False)

    answers = [
        await (await make_browser()).post(path, data=WRONG | {"email": f"{name}@example.com"})
        for name in ("ada", "off", "eve")
    ]

    assert visible(answers[0]) == visible(answers[1]) == visible(answers[2])


async def test_a_refused_login_says_that_the_address_may_be_unverified(make_browser, make_user, manager):
    """Checklist 13: the page is the same whether or not the address has an account."""
    await make_user("ada@example.com")
    manager.login_requires_verification = True

    answers = [
        await (await make_browser()).post("/login", data=PASSWORD | {"email": f"{name}@example.com"})
        for name in ("ada", "eve")
    ]

    assert visible(answers[0]) == visible(answers[1])
    assert "or the e-mail address is not verified yet." in answers[0].text
    assert '<a href="/verify">' in answers[0].text


async def test_private_registration_does_not_reveal_who_is_registered(
    build_app, make_browser, make_user, outbox
):
    """Checklist 13: with REGISTRATION=private, only the e-mails differ."""
    await make_user("ada@example.com", is_verified=True)
    app = build_app(registration="private")

    answers = [
        await (await make_browser(app)).post("/register", data=PASSWORD | {"email": f"{name}@example.com"})
        for name in ("ada", "eve")
    ]

    assert visible(answers[0]) == visible(answers[1])
    assert answers[0].headers["location"] == "/login"
    assert len({mail.subject for mail in await outbox()}) == 2


# Checklist 24: where forms redirect to


@pytest.mark.parametrize("next", HOSTILE)
async def test_an_unsafe_return_path_is_replaced(browser, log_in, make_user, next):
    """Checklist 24 (CWE-601): no form or redirect contains the unsafe path."""
    user = await make_user("ada@example.com")
    signed_in = await log_in(user)

    form = await browser.get("/login", params={"next": next})
    away = await signed_in.get("/login", params={"next": next})
    again = await browser.post("/login", data=WRONG | {"email": "eve@example.com", "next": next})
    confirm = await signed_in.get("/confirm", params={"next": next})

    assert away.headers["location"] == "/account"
    assert 'name="next" value="/account"' in form.text
    assert 'name="next" value="/account"' in again.text
    assert 'name="next" value="/account"' in confirm.text


@pytest.mark.parametrize("hosts", [[], ["test"]])
async def test_login_never_redirects_to_another_site(build_app, make_browser, make_user, hosts):
    """Checklist 24: the redirect stays on this site even if ALLOWED_HOSTS allows any host."""
    await make_user("ada@example.com")
    browser = await make_browser(build_app(allowed_hosts=hosts))

    for path in ("/login", "/confirm"):
        form = PASSWORD | {"email": "ada@example.com", "next": "//evil.example"}
        answer = await browser.post(path, data=form, headers={"Referer": "https://evil.example/"})

        assert (answer.status_code, answer.headers["location"]) == (303, "/account")


# Messages


async def test_a_message_is_text_not_html(browser, monkeypatch):
    monkeypatch.setattr(messages, "sentences", lambda: {"won": "<b>You have won</b>"})
    browser.cookies.set("__Host-message", "won", domain="test.local", path="/")

    text = (await browser.get("/login")).text

    assert "&lt;b&gt;You have won&lt;/b&gt;" in text
    assert "<b>You" not in text


# Checklist 34 and 35: cookies and forged forms


async def test_the_session_cookie_is_bound_to_this_host(browser, make_user):
    """Checklist 34."""
    await make_user("ada@example.com")

    answer = await browser.post("/login", data=PASSWORD | {"email": "ada@example.com"})

    cookies = answer.headers.get_list("set-cookie")
    assert sorted(each.partition("=")[0] for each in cookies) == [
        "__Host-device",
        "__Host-message",
        "__Host-session",
    ]
    assert all("Path=/; SameSite=Lax" in each and "Secure; HttpOnly" in each for each in cookies)


FORGED = pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.test"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=["cross-site", "same-site", "none"],
)


@FORGED
async def test_another_site_cannot_submit_any_form(app, log_in, make_user, browser, headers):
    """Checklist 35: every form is protected, including the login form, with or without a session."""
    signed_in = await log_in(await make_user("ada@example.com", is_superuser=True))
    paths = [re.sub(r"\{[^}]+\}", "x", path) for path in pages_of(app, "POST")]

    answers = {
        path: (await signed_in.post(path, data={"email": "ada@example.com"}, headers=headers)).status_code
        for path in paths
    }
    public = {
        path: (await browser.post(path, data={"email": "ada@example.com"}, headers=headers)).status_code
        for path in ("/login", "/register", "/forgot", "/verify", "/logout")
    }

    assert len(paths) >= 12
    assert set(answers.values()) == {403}
    assert set(public.values()) == {403}


# Guards


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_account_page_requires_a_login(app, browser, method):
    paths = [path for path in pages_of(app, method) if path.startswith(("/account", "/admin", "/confirm"))]

    answers = {
        path: await browser.request(
            method, re.sub(r"\{[^}]+\}", "x", path), data={"x": ""} if method == "POST" else None
        )
        for path in paths
    }

    assert len(paths) >= 7
    assert {each.status_code for each in answers.values()} == {303}
    assert all(each.headers["location"].startswith("/login?next=%2F") for each in answers.values())


async def test_every_page_behind_a_login_has_a_logout_button(app, log_in, make_user):
    """Checklist 40; ASVS 7.4.4."""
    browser = await log_in(await make_user("ada@example.com", is_superuser=True))
    pages = {path: await browser.get(path) for path in pages_of(app, "GET") if "{" not in path}
    shown = {path: page for path, page in pages.items() if page.status_code == 200}

    assert {"/", "/account", "/account/sessions", "/account/delete"} <= set(shown)
    assert [
        path for path, page in shown.items() if '<form method="post" action="/logout">' not in page.text
    ] == []


async def test_an_empty_profile_has_no_page(log_in, make_user):
    browser = await log_in(await make_user("ada@example.com"))

    status = (await browser.get("/account/profile")).status_code

    assert status == (200 if ProfileForm.__struct_fields__ else 404)


# Checklist 30: caches


async def test_responses_with_a_cookie_or_a_login_are_not_cached(browser, log_in, make_user):
    """Checklist 30: pages, redirects and errors with a cookie or a login are not cached."""
    user = await make_user("ada@example.com")
    signed_in = await log_in(user)
    login = PASSWORD | {"email": "ada@example.com"}

    answers = [
        await browser.post("/login", data=login),
        await browser.get("/account"),
        await browser.post("/login", data=login | WRONG),
        await browser.post("/forgot", data=login),
        await browser.get("/nowhere"),
        await browser.post("/logout"),
        await browser.get("/"),
        await signed_in.get("/account"),
        await signed_in.get("/account/profile"),
        await signed_in.get("/admin"),
        await signed_in.post("/account/export"),
    ]

    kept = [each for each in answers if each.headers.get("cache-control") != "no-store"]
    assert [each.url.path for each in kept if "set-cookie" in each.headers or each is not answers[4]] == []
    assert {each.headers["referrer-policy"] for each in answers} == {"no-referrer"}


# Checklist 9 and 10: limits


@pytest.mark.parametrize("path", sorted(ROWS))
async def test_pages_and_json_routes_share_a_limit(app, manager, log_in, make_user, path):
    """Checklist 10: the 429 page says when to try again."""
    browser = await log_in(await make_user("ada@example.com"))
    manager.limits = Limits(app.state.limiter, {ROWS[path]: Limit(ip="1/h")})
    await browser.post(path, data={"email": "no address"})

    answer = await browser.post(path, data={"email": "no address"})

    assert answer.status_code == 429
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert int(answer.headers["retry-after"]) > 3000


async def test_pages_and_json_routes_share_the_count_of_wrong_passwords(app, manager, browser, make_user):
    """Checklist 9 and 10: even the correct password is rejected until the window ends."""
    await make_user("ada@example.com")
    manager.limits = Limits(app.state.limiter, {"wrong_password": Limit(account="2/h")})
    await browser.post("/login", data=WRONG | {"email": "ada@example.com"})
    await browser.post("/users/login", json=WRONG | {"email": "ADA@example.com"})

    answer = await browser.post("/login", data=PASSWORD | {"email": "ada@example.com"})

    assert answer.status_code == 429


# Checklist 7: password managers


@pytest.mark.parametrize(
    "path", ["/login", "/register", "/forgot", "/verify", "/confirm", "/account/password", "/account/email"]
)
async def test_every_field_is_annotated_for_password_managers(browser, log_in, make_user, path):
    """Checklist 7: fields keep their annotations when a form is shown again. None truncates pasted text."""
    signed_in = await log_in(await make_user("ada@example.com"))
    visitor = signed_in if path in ("/confirm",) or path.startswith("/account") else browser

    pages = [await visitor.get(path), await visitor.post(path, data={"email": "x", "new_email": "x"})]

    for page in pages:
        fields = [each for each in re.findall(r"<input [^>]+>", page.text) if 'type="hidden"' not in each]
        typed = [each for each in fields if 'type="checkbox"' not in each]
        assert all("autocomplete=" in each and "maxlength" not in each for each in typed)
        assert all('type="password"' in each for each in typed if "password" in each.partition("type")[0])
        assert not re.search(r"\son\w+=|<style|javascript:", page.text)
    assert "<input" in pages[0].text


# Your own tests go below; template updates never touch them.

"""The second factor pages under attack: forged forms, hostile URLs, guessing, caches and logs."""

import logging
import re

import pytest

from app.pages.mail_previews import preview, previews
from app.second_factors import notices
from app.users.rate_limits import LIMITS, Limit, Limits
from tests.second_factor_pages.conftest import ADA, codes_on, give_password, pages_of, press

LOGIN, CONFIRM = "/login/second-factor", "/confirm/second-factor"
PAGE = "/account/second-factors"
HOSTILE = [
    "//evil.example",
    "/\\evil.example",
    "https://evil.example",
    "javascript:alert(1)",
    "/\t/evil.example",
    "/%0d%0aLocation: https://evil.example",
    "/\u202e//evil.example",
]


@pytest.mark.parametrize("next", HOSTILE)
async def test_an_unsafe_return_path_is_replaced(browser, signed_in, owner, wait, next):
    """Checklist 24: no form or redirect contains the unsafe path."""
    started = await browser.post("/login", data=ADA | {"next": next})
    shown = await browser.get(LOGIN, params={"next": next})
    refused = await browser.post(LOGIN, data={"code": "000000", "next": next})
    done = await browser.post(LOGIN, data={"code": owner.code(), "next": next})
    gone = await browser.post(LOGIN, data={"code": owner.code(), "next": next})
    to_confirm = await signed_in.get("/confirm", params={"next": next})
    confirm = await signed_in.get(CONFIRM, params={"next": next})
    confirmed = await signed_in.post(CONFIRM, data={"recovery_code": owner.recovery_codes[0], "next": next})

    assert started.headers["location"] == f"{LOGIN}?next=%2Faccount"
    assert gone.headers["location"] == "/login?next=%2Faccount"
    assert to_confirm.headers["location"] == f"{CONFIRM}?next=%2Faccount"
    assert all('name="next" value="/account"' in each.text for each in (shown, refused, confirm))
    assert done.headers["location"] == confirmed.headers["location"] == "/account"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.test"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=["cross-site", "same-site", "none"],
)
async def test_another_site_cannot_submit_any_form(app, signed_in, browser, headers):
    """Checklist 35: the form that finishes a login is also protected, although it needs no session."""
    paths = pages_of(app, "POST")

    answers = [await signed_in.post(path, data={"code": "000000"}, headers=headers) for path in paths]
    answers.append(await browser.post(LOGIN, data={"code": "000000"}, headers=headers))

    assert {LOGIN, CONFIRM, f"{PAGE}/recovery-codes", "/admin/users/x/second-factors"} <= set(paths)
    assert {each.status_code for each in answers} == {403}


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_every_page_but_the_login_requires_a_login(app, browser, method):
    paths = [path for path in pages_of(app, method) if path != LOGIN]
    data = {"code": "000000"} if method == "POST" else None

    answers = [await browser.request(method, path, data=data) for path in paths]

    assert len(paths) >= 3
    assert all(each.headers["location"].startswith("/login?next=%2F") for each in answers)


async def test_every_page_behind_a_login_has_a_logout_button(signed_in):
    """Checklist 40."""
    for path in (PAGE, CONFIRM):
        assert '<form method="post" action="/logout">' in (await signed_in.get(path)).text


async def test_no_secret_is_in_a_url_a_log_or_a_cache(owner, signed_in, make_browser, caplog):
    """Checklist 31."""
    caplog.set_level(logging.DEBUG)
    shown = await press(signed_in, f"{PAGE}/recovery-codes")
    browser = await make_browser()
    started = await browser.post("/login", data=ADA)
    asked = await browser.get(LOGIN)
    refused = await browser.post(LOGIN, data={"recovery_code": "x"})
    entered = await browser.post(LOGIN, data={"recovery_code": codes_on(shown)[0]})
    answers = [shown, started, asked, refused, entered]

    ticket, key = re.findall(r"__Host-login=([^.]+)\.([^;]+)", started.headers["set-cookie"])[0]
    secrets = [ticket, key, *codes_on(shown)]
    urls = " ".join(f"{each.url} {each.headers.get('location', '')}" for each in answers)
    assert [each for each in secrets if each in urls or each in caplog.text] == []
    assert [each for each in (ticket, key) if each in asked.text] == []
    assert {each.headers["cache-control"] for each in answers} == {"no-store"}
    assert {each.headers["referrer-policy"] for each in answers} == {"no-referrer"}


async def test_the_ticket_comes_only_from_the_cookie(browser, make_browser, owner):
    started = await browser.post("/login", data=ADA)
    ticket = re.findall(r"__Host-login=([^.;]+)", started.headers["set-cookie"])[0]

    answer = await (await make_browser()).post(
        LOGIN, params={"ticket": ticket}, data={"ticket": ticket, "code": owner.code()}
    )

    assert answer.headers["location"].startswith("/login?")


@pytest.mark.parametrize(
    ("path", "row"),
    [
        (LOGIN, "second_factor"),
        (CONFIRM, "second_factor"),
        (f"{PAGE}/recovery-codes", "change_factors"),
    ],
)
async def test_pages_and_json_routes_share_a_limit(app, manager, signed_in, path, row):
    """Checklist 10."""
    manager.limits = Limits(app.state.limiter, {row: Limit(ip="1/h")})
    await signed_in.post(path, data={"code": "000000"})

    assert (await signed_in.post(path, data={"code": "000000"})).status_code == 429


async def test_wrong_codes_entered_on_pages_are_counted(app, manager, browser, owner):
    """Checklist 31: after too many attempts, even the correct code is rejected."""
    manager.limits = Limits(app.state.limiter, LIMITS | {"wrong_factor": Limit(account="2/h")})
    await give_password(browser)
    for _ in range(2):
        await browser.post(LOGIN, data={"code": "000000"})

    assert (await browser.post(LOGIN, data={"code": owner.code()})).status_code == 429


@pytest.mark.parametrize("path", [LOGIN, CONFIRM])
async def test_every_field_is_annotated_for_password_managers(browser, signed_in, path):
    """Checklist 7."""
    await give_password(browser)

    page = await (browser if path == LOGIN else signed_in).get(path)

    fields = [each for each in re.findall(r"<input [^>]+>", page.text) if 'type="hidden"' not in each]
    assert len(fields) == 2
    assert all("autocomplete=" in each and "maxlength" not in each for each in fields)


@pytest.mark.parametrize("name", sorted(notices.NOTICES_OF_FEATURES))
async def test_every_notice_has_a_preview(app, name):
    assert name in previews()
    assert (await preview(app.state, name)).text_body


# Your own tests go below; template updates never touch them.

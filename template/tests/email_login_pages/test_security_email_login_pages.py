"""Attacks on the pages for logging in with an e-mailed code: forged forms, hostile URLs, guessing, caches and
logs."""

import logging
import re

import pytest

from app.users.rate_limits import LIMITS, Limit, Limits
from tests.email_login.conftest import EMAIL
from tests.email_login_pages.conftest import ask

LOGIN, REQUEST, CODE = "/login", "/login/email", "/login/email/code"
WRONG = "BBBB-BBBB"
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
async def test_an_unsafe_return_path_is_replaced(ada, browser, log_in, mailed_code, next):
    """Checklist 24: no link, form or redirect contains the unsafe path."""
    login = await browser.get(LOGIN, params={"next": next})
    gone = await browser.get(CODE, params={"next": next})
    request = await browser.get(REQUEST, params={"next": next})
    asked = await browser.post(REQUEST, data={"email": EMAIL, "next": next})
    shown = await browser.get(CODE, params={"next": next})
    refused = await browser.post(CODE, data={"code": WRONG, "next": next})
    done = await browser.post(CODE, data={"code": await mailed_code(), "next": next})
    already = [await browser.get(path, params={"next": next}) for path in (REQUEST, CODE)]

    assert f'href="{REQUEST}?next=/account"' in login.text
    assert gone.headers["location"] == f"{REQUEST}?next=%2Faccount"
    assert asked.headers["location"] == f"{CODE}?next=%2Faccount"
    assert all('name="next" value="/account"' in each.text for each in (request, shown, refused))
    assert {each.headers["location"] for each in (done, *already)} == {"/account"}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://evil.test"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=["cross-site", "same-site", "none"],
)
async def test_another_site_cannot_submit_any_form(ada, browser, headers, mailed_code):
    """Checklist 35."""
    await ask(browser)
    code = await mailed_code()

    answers = [
        await browser.post(REQUEST, data={"email": EMAIL}, headers=headers),
        await browser.post(CODE, data={"code": code}, headers=headers),
    ]

    assert [each.status_code for each in answers] == [403, 403]


async def test_every_address_leads_to_the_same_page(ada, make_user, make_browser):
    """Checklist 13."""
    await make_user("eve@example.com", is_verified=False)

    def visible(answer):
        cookie = re.sub(r"=[\w-]{43}\.[\w-]{43};", "=…;", answer.headers.get("set-cookie", ""))
        headers = dict(answer.headers) | {"x-request-id": "", "set-cookie": cookie}
        return answer.status_code, answer.content, headers

    answers = []
    for email in (EMAIL, "eve@example.com", "nobody@example.com", "no address", ""):
        browser = await make_browser()
        answers.append(visible(await browser.post(REQUEST, data={"email": email})))

    assert answers[0][0] == 303
    assert answers == [answers[0]] * 5


async def test_no_secret_is_in_a_url_a_page_a_log_or_a_cache(ada, browser, make_browser, mailed_code, caplog):
    """Checklist 39."""
    caplog.set_level(logging.DEBUG)
    asked = await browser.post(REQUEST, data={"email": EMAIL})
    shown = await browser.get(asked.headers["location"])
    refused = await browser.post(CODE, data={"code": WRONG})
    code = await mailed_code()
    elsewhere = await (await make_browser()).post(CODE, data={"code": code})
    entered = await browser.post(CODE, data={"code": code})
    answers = [asked, shown, refused, elsewhere, entered]

    request_id, key = re.findall(r"__Host-login-code=([^.]+)\.([^;]+)", asked.headers["set-cookie"])[0]
    urls = " ".join(f"{each.url} {each.headers.get('location', '')}" for each in answers)
    pages = " ".join(each.text for each in answers)
    assert [each for each in (request_id, key, code) if each in urls + pages + caplog.text] == []
    assert {each.headers["cache-control"] for each in answers} == {"no-store"}
    assert {each.headers["referrer-policy"] for each in answers} == {"no-referrer"}


async def test_the_id_and_the_key_come_only_from_the_cookie(ada, browser, make_browser, mailed_code):
    await ask(browser)
    request_id, _, key = browser.cookies["__Host-login-code"].partition(".")
    given = {"request_id": request_id, "key": key, "login-code": f"{request_id}.{key}"}

    answer = await (await make_browser()).post(CODE, params=given, data=given | {"code": await mailed_code()})

    assert answer.status_code == 400


@pytest.mark.parametrize(("path", "row"), [(REQUEST, "request_login_code"), (CODE, "login_code")])
async def test_pages_and_json_routes_share_a_limit(app, manager, browser, client, path, row):
    """Checklist 10."""
    manager.limits = Limits(app.state.limiter, {row: Limit(ip="1/h")})
    if path == REQUEST:
        await client.post("/users/login/email", json={"email": EMAIL})
    else:
        await client.post("/users/login/email/x", json={"code": WRONG})

    assert (await browser.post(path, data={"code": WRONG})).status_code == 429


async def test_wrong_codes_entered_on_pages_are_counted(app, ada, manager, browser, mailed_code):
    """Checklist 9: after too many attempts, even the correct code is rejected."""
    manager.limits = Limits(app.state.limiter, LIMITS | {"wrong_login_code": Limit(account="2/h")})
    await ask(browser)
    for _ in range(2):
        await browser.post(CODE, data={"code": WRONG})

    assert (await browser.post(CODE, data={"code": await mailed_code()})).status_code == 429


@pytest.mark.parametrize("path", [REQUEST, CODE])
async def test_every_field_is_annotated_for_password_managers(ada, browser, path):
    """Checklist 7."""
    await ask(browser)

    page = await browser.get(path)

    fields = [each for each in re.findall(r"<input [^>]+>", page.text) if 'type="hidden"' not in each]
    named = [each for each in fields if 'type="checkbox"' not in each]
    assert len(named) == 1
    assert all("autocomplete=" in each and "maxlength" not in each for each in named)


# Your own tests go below; template updates never touch them.

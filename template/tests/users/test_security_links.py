"""E-mailed links handled by scanners, attackers and password managers: opened, reused, raced or forwarded."""

import re
from dataclasses import dataclass

import pytest
from sqlalchemy import select

from app.database import Base
from app.users.rate_limits import LIMITS, Limit, Limits

OWN, NEW = {"password": "correct horse battery"}, {"password": "a brand new password"}
WRONG, REFUSED = {"password": "wrong"}, {"password": "short"}
ASKS_FOR = {
    "verify": "current-password",
    "password-reset": "new-password",
    "email-change": "current-password",
    "invitation": "new-password",
}
"""Each link's path, and the fields on its page."""
ROWS = {
    "verify": "verify",
    "password-reset": "reset_password",
    "email-change": "change_email",
    "invitation": "accept_invitation",
}
EACH = pytest.mark.parametrize("purpose", ASKS_FOR)
SETTING_A_PASSWORD = pytest.mark.parametrize("purpose", ["password-reset", "invitation"])
WAYS = pytest.mark.parametrize("way", ["json", "form", "body"])
METHODS = ["GET", "HEAD", "GET"]


@dataclass(frozen=True)
class Link:
    """A valid link, and the bodies that it accepts and rejects."""

    path: str
    token: str
    good: dict[str, str]
    bad: dict[str, str]

    @property
    def address(self) -> str:
        return f"{self.path}/{self.token}"


@pytest.fixture
def link(db, manager, make_user):
    """`await link("verify")` issues an e-mailed link for a new account."""

    async def make(purpose):
        path = f"/users/{purpose}"
        if purpose == "invitation":
            async with db.session() as session:
                _, token = await manager.invitations.make(session, "guest@example.com", invited_by="cli")
            return Link(path, token, NEW, REFUSED)
        user = await make_user(pending_email="new@example.com")
        return {
            "verify": Link(path, manager.verify_token(user), OWN, WRONG),
            "password-reset": Link(path, manager.reset_token(user), NEW, REFUSED),
            "email-change": Link(path, manager.email_change_token(user, "new@example.com"), OWN, WRONG),
        }[purpose]

    return make


@pytest.fixture
def use(client):
    """`await use("body", link, NEW)` uses the link with JSON ("json"), a form ("form"), or JSON that
    contains the token ("body")."""

    async def send(way, link, body):
        sends = {
            "json": lambda: client.post(link.address, json=body),
            "form": lambda: client.post(link.address, data=body),
            "body": lambda: client.post(link.path, json={"token": link.token} | body),
        }
        return await sends[way]()

    return send


@pytest.fixture
def contents(db):
    """`await contents()`: every row of every table, except events about rejected links."""

    async def read():
        async with db.session(commit=False) as session:
            rows = [await session.execute(select(table)) for table in Base.metadata.sorted_tables]
            return [[tuple(row) for row in each if "link_refused" not in row] for each in rows]

    return read


# Checklist 26: opened, used, used concurrently


@EACH
async def test_opening_a_link_changes_nothing(open_link, link, contents, purpose):
    """Checklist 26: mail scanners open every link, sometimes twice, and sometimes with HEAD."""
    mailed = await link(purpose)
    before = await contents()

    answers = [await open_link(mailed.address, method) for method in METHODS]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert await contents() == before


@EACH
async def test_an_opened_link_still_works(open_link, link, use, purpose):
    """Checklist 26: otherwise, the first scanner would use up the link."""
    mailed = await link(purpose)
    for method in METHODS:
        await open_link(mailed.address, method)

    answer = await use("form", mailed, mailed.good)

    assert answer.is_success


@EACH
async def test_a_token_in_the_path_wins_over_one_in_the_body(client, link, purpose):
    mailed = await link(purpose)

    answer = await client.post(mailed.address, json=mailed.good | {"token": "another"})

    assert answer.is_success


@EACH
async def test_a_request_without_a_token_is_refused(client, link, purpose):
    mailed = await link(purpose)

    answer = await client.post(mailed.path, json=mailed.good)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["token"]


@EACH
@WAYS
async def test_a_link_works_once_whichever_way_it_is_used(link, use, contents, purpose, way):
    """Checklist 26; ASVS 6.5.1."""
    mailed = await link(purpose)

    first = await use(way, mailed, mailed.good)
    after = await contents()
    again = [await use(each, mailed, mailed.good) for each in ("json", "form", "body")]

    assert first.is_success
    assert [answer.status_code for answer in again] == [400, 400, 400]
    assert await contents() == after


@EACH
@WAYS
async def test_only_one_of_two_concurrent_uses_succeeds(link, use, at_once, purpose, way):
    """Checklist 26. The loser of a race for an invitation may learn that the account now exists."""
    mailed = await link(purpose)

    first, second = await at_once(2, lambda: use(way, mailed, mailed.good))

    assert first in (200, 201)
    assert second in (400, 409)


# Checklist 28: rejected requests do not use up the link


@SETTING_A_PASSWORD
@WAYS
@pytest.mark.parametrize("password", [REFUSED["password"], "example-example"])
async def test_a_refused_password_keeps_the_link_valid(link, use, contents, purpose, way, password):
    """Checklist 28: even a password that resembles the address does not use up the link, in JSON or forms."""
    mailed = await link(purpose)
    before = await contents()

    refused = await use(way, mailed, {"password": password})
    unchanged = await contents()
    answer = await use(way, mailed, mailed.good)

    assert refused.status_code == 400
    assert unchanged == before
    assert answer.is_success


@EACH
@WAYS
async def test_a_link_does_not_log_in(link, use, session_rows, purpose, way):
    """Checklist 28: anyone who can read the e-mail can use the link, but the link does not log them in."""
    mailed = await link(purpose)

    answer = await use(way, mailed, mailed.good)

    assert answer.is_success
    assert await session_rows() == []
    assert "session=" not in answer.headers.get("set-cookie", "")
    assert "access_token" not in answer.text


# Checklist 30: the URL stays private


@pytest.fixture
def answers_of(client, open_link, use):
    """`await answers_of(link, "form")`: every response that the link produces, from its page to the error
    for a used link.
    """

    async def collect(mailed, way):
        return [
            await open_link(mailed.address),
            await open_link(mailed.address, "HEAD"),
            await use(way, mailed, mailed.bad),
            await use(way, mailed, mailed.good),
            await use(way, mailed, mailed.good),
            await open_link(mailed.address),
            await client.get(f"{mailed.path}/x"),
            await client.put(mailed.address),
        ]

    return collect


@EACH
@WAYS
async def test_no_response_is_cached_or_sends_a_referrer(link, answers_of, purpose, way):
    """Checklist 30; ASVS 3.4.5, 14.3.2: the test covers pages and JSON, valid and dead links, and rejected
    requests."""
    answers = await answers_of(await link(purpose), way)

    assert answers[3].is_success
    assert [answer.headers.get("cache-control") for answer in answers] == ["no-store"] * 8
    assert [answer.headers.get("referrer-policy") for answer in answers] == ["no-referrer"] * 8


@EACH
@WAYS
async def test_a_rate_limited_response_sends_no_referrer(app, manager, link, use, purpose, way):
    """Checklist 30: a 429 also has `Referrer-Policy: no-referrer`."""
    manager.limits = Limits(app.state.limiter, LIMITS | {ROWS[purpose]: Limit(ip="1/h")})
    mailed = await link(purpose)
    await use(way, mailed, mailed.bad)

    answer = await use(way, mailed, mailed.good)

    assert answer.status_code == 429
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


@EACH
@WAYS
async def test_no_response_has_the_token_or_loads_external_resources(link, answers_of, purpose, way):
    """Checklist 30: the server of an external resource learns the URL of the page that loads it."""
    mailed = await link(purpose)

    texts = [answer.text + str(answer.headers) for answer in await answers_of(mailed, way)]

    assert not any(mailed.token in text for text in texts)
    assert not any(re.search(r"<script|javascript:|\son\w+=|src=|https?://", text) for text in texts)


@SETTING_A_PASSWORD
async def test_the_token_is_moved_out_of_the_url_of_a_password_form(client, link, purpose):
    """Checklist 30: neither the history nor the screen shows the token. Only a cookie in this browser holds
    it."""
    mailed = await link(purpose)

    opened = await client.get(mailed.address)

    assert (opened.status_code, opened.headers["location"]) == (303, mailed.path)
    assert opened.headers["cache-control"] == "no-store"
    name, _, attributes = opened.headers["set-cookie"].partition("=")
    assert name == f"__Host-{purpose}"
    assert attributes == f"{mailed.token}; Path=/; SameSite=Lax; Max-Age=3600; Secure; HttpOnly"


@SETTING_A_PASSWORD
async def test_the_form_without_the_token_works_once(client, link, purpose):
    mailed = await link(purpose)
    headers = {"Cookie": f"__Host-{purpose}={mailed.token}", "Sec-Fetch-Site": "same-origin"}

    refused = await client.post(mailed.path, data=mailed.bad, headers=headers)
    first, second = [await client.post(mailed.path, data=NEW, headers=headers) for _ in range(2)]

    assert (refused.status_code, first.is_success, second.status_code) == (400, True, 400)
    assert "set-cookie" not in refused.headers
    assert f"__Host-{purpose}=; Path=/; SameSite=Lax; Max-Age=0" in str(first.headers.get_list("set-cookie"))


@SETTING_A_PASSWORD
@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"}])
async def test_another_site_cannot_use_the_cookie(client, link, purpose, headers):
    """Checklist 35: otherwise, that site could choose the password."""
    mailed = await link(purpose)
    cookie = {"Cookie": f"__Host-{purpose}={mailed.token}"}

    answer = await client.post(mailed.path, data=NEW, headers=headers | cookie)
    after = await client.post(mailed.address, data=NEW)

    assert answer.status_code == 403
    assert after.is_success


@SETTING_A_PASSWORD
async def test_a_page_without_a_token_says_the_link_is_dead(client, link, purpose):
    mailed = await link(purpose)

    page = await client.get(mailed.path)
    answer = await client.post(mailed.path, data=NEW, headers={"Sec-Fetch-Site": "same-origin"})

    assert [page.status_code, answer.status_code] == [400, 400]
    assert "no longer works" in page.text
    assert "no longer works" in answer.text


# Checklist 30: where e-mailed links point

ELSEWHERE = pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/evil"},
        {"Forwarded": "host=evil.example;proto=https"},
        {"Origin": "https://evil.example", "Referer": "https://evil.example/"},
    ],
    ids=str,
)


@ELSEWHERE
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/users/register", OWN | {"email": "guest@example.com"}),
        ("/users/verify/request", {"email": "ada@example.com"}),
        ("/users/verify/{token}", {}),
        ("/users/password-reset/request", {"email": "ada@example.com"}),
        ("/users/me/email", {"new_email": "new@example.com"}),
        ("/users/invitations", {"email": "guest@example.com"}),
        ("/users/{id}/password-reset", {}),
    ],
)
async def test_no_link_is_built_from_the_request(admin, manager, make_user, outbox, path, body, headers):
    """Checklist 30 (CWE-640: poisoned links): every e-mailed link is built from BASE_URL only."""
    user = await make_user("ada@example.com")
    path = path.format(id=user.id, token=manager.verify_token(user))

    answer = await admin.post(path, json=body, headers=headers)

    texts = [text for mail in await outbox() for text in (mail.text_body, mail.html_body)]
    addresses = [re.findall(r"https?://[^\s\"<]+", text) for text in texts]
    assert answer.is_success
    assert sum(map(bool, addresses)) == 2
    assert all(each.startswith("http://test/users/") for found in addresses for each in found)
    assert not any("evil" in text for text in texts)


@ELSEWHERE
async def test_the_mail_to_an_existing_account_is_not_built_from_the_request(
    other_client, make_user, outbox, headers
):
    """Checklist 30: this e-mail is sent if REGISTRATION=private."""
    await make_user("ada@example.com")
    client = await other_client(registration="private")

    await client.post("/users/register", json=NEW | {"email": "ada@example.com"}, headers=headers)

    [mail] = await outbox()
    assert "evil" not in mail.text_body + mail.html_body


# Checklist 7: password managers


@EACH
async def test_every_form_is_annotated_for_password_managers(open_link, link, use, purpose):
    """Checklist 7; ASVS 6.2.6, 6.2.7: the annotations remain when the form is shown again after a mistake."""
    mailed = await link(purpose)

    pages = [(await open_link(mailed.address)).text, (await use("form", mailed, mailed.bad)).text]

    fields = [re.findall(r"<input [^>]+>", page) for page in pages]
    asked = [[field for field in found if "hidden" not in field] for found in fields]
    assert [len(found) for found in asked] == [1, 1]
    assert all('name="password" type="password"' in field for [field] in asked)
    assert all(f'autocomplete="{ASKS_FOR[purpose]}"' in field for [field] in asked)


@pytest.mark.parametrize(
    ("purpose", "email"),
    [
        ("verify", "ada@example.com"),
        ("password-reset", "ada@example.com"),
        ("invitation", "guest@example.com"),
    ],
)
async def test_every_form_names_the_account_to_password_managers(open_link, link, use, purpose, email):
    """Checklist 7: the address is in a hidden field, even after a mistake."""
    mailed = await link(purpose)

    pages = [(await open_link(mailed.address)).text, (await use("form", mailed, mailed.bad)).text]

    field = f'<input type="email" name="username" value="{email}" autocomplete="username" hidden>'
    assert [page.count(field) for page in pages] == [1, 1]


async def test_the_email_change_page_does_not_show_the_old_address(open_link, link, use):
    """Because of a typo, the link may have been sent to a stranger."""
    mailed = await link("email-change")

    pages = [await open_link(mailed.address), await use("form", mailed, mailed.bad)]

    assert not any("ada@example.com" in page.text for page in pages)


@EACH
async def test_every_form_accepts_pasted_text_unchanged(open_link, link, use, purpose):
    """Checklist 7; ASVS 6.2.7, 6.2.8: no script prevents pasting, and no `maxlength` truncates the
    text."""
    mailed = await link(purpose)

    pages = [await open_link(mailed.address), await use("form", mailed, mailed.bad)]

    assert not any(re.search(r"<script|\son\w+=|maxlength|readonly|disabled", each.text) for each in pages)
    assert all("default-src 'none'" in each.headers["content-security-policy"] for each in pages)


@SETTING_A_PASSWORD
async def test_a_form_accepts_the_longest_password(client, link, use, purpose):
    """Checklist 7: the password has 128 characters, each of which a browser counts as two."""
    mailed = await link(purpose)
    email = {"password-reset": "ada@example.com", "invitation": "guest@example.com"}[purpose]
    password = {"password": "\N{HORSE}" * 128}

    answer = await use("form", mailed, password)

    login = await client.post("/users/login", json=password | {"email": email})
    assert (answer.is_success, login.status_code) == (True, 200)


# Your own tests go below; template updates never touch them.

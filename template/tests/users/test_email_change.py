"""POST /users/me/email and the link it e-mails: GET and POST /users/email-change/{token}."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.users.emails import NOTICES

OLD, NEW = "ada@example.com", "new@example.com"

PASSWORD = {"password": "correct horse battery"}

KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def ask(client):
    """`await ask(visit)` sends what a front end would send to request a new address."""

    async def send(visit, new_email=NEW, **headers):
        return await client.post(
            "/users/me/email", json={"new_email": new_email}, headers=visit.headers | headers
        )

    return send


@pytest.fixture
def pending(manager, change):
    """`await pending(user)`: the path of the link e-mailed to the new address."""

    async def make(user, new_email=NEW):
        await change(user, pending_email=new_email)
        return f"/users/email-change/{manager.email_change_token(user, new_email)}"

    return make


@pytest.fixture
def address(stored):
    """`await address(user)`: the account's current address."""

    async def read(user):
        return (await stored(user)).email

    return read


# Requesting a change


@KINDS
async def test_a_request_mails_a_working_link_to_the_new_address(
    client, make_user, visit, ask, mailed_token, outbox, address, kind
):
    user = await make_user()
    here = await visit(user, kind)

    asked = await ask(here)
    link, notice = await outbox()
    token = re.search(r"http://test/users/email-change/(\S+)", link.text_body)[1]
    answer = await client.post(f"/users/email-change/{token}", headers=here.headers)

    assert (asked.status_code, asked.json()) == (202, {"status": "ok"})
    assert (link.all_recipients(), notice.all_recipients()) == ([NEW], [OLD])
    assert (answer.status_code, answer.json()["email"]) == (200, NEW)
    assert await address(user) == NEW


async def test_the_new_address_does_not_log_in_before_its_link_is_used(
    client, make_user, visit, ask, address, outbox
):
    """Checklist 25."""
    user = await make_user()
    await ask(await visit(user))
    mails = len(await outbox())

    login = await client.post("/users/login", json=PASSWORD | {"email": NEW})
    await client.post("/users/password-reset/request", json={"email": NEW})
    await client.post("/users/verify/request", json={"email": NEW})

    assert login.status_code == 401
    assert len(await outbox()) == mails
    assert await address(user) == OLD


async def test_a_requested_address_can_still_be_registered(client, make_user, visit, ask):
    """Otherwise, anyone could block the registration of any address."""
    await ask(await visit(await make_user()))

    answer = await client.post("/users/register", json=PASSWORD | {"email": NEW})

    assert answer.status_code == 201


async def test_the_old_address_is_notified_of_the_request(make_user, visit, ask, outbox, set_clock):
    """Checklist 25."""
    set_clock(NOON)

    await ask(await visit(await make_user()), **{"User-Agent": FIREFOX})

    (notice,) = [mail for mail in await outbox() if mail.all_recipients() == [OLD]]
    assert "2030-05-01 12:00 UTC" in notice.text_body
    assert "203.0.113.9, Firefox on Windows" in notice.text_body
    assert NEW not in notice.text_body + notice.html_body


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(minutes=10) - timedelta(microseconds=1), 202), (timedelta(minutes=10), 403)],
    ids=str,
)
@KINDS
async def test_a_recent_login_is_required(make_user, visit, ask, set_clock, stored, kind, age, status):
    """Checklist 24."""
    set_clock(NOON)
    user = await make_user()
    here = await visit(user, kind)
    set_clock(NOON + age)

    answer = await ask(here)

    assert answer.status_code == status
    assert (await stored(user)).pending_email == {202: NEW, 403: None}[status]


async def test_a_request_requires_a_login(client):
    answer = await client.post("/users/me/email", content=b"not even JSON")

    assert answer.status_code == 401


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_cannot_request_a_change_with_the_cookie(make_user, visit, ask, outbox, headers):
    """Checklist 35."""
    answer = await ask(await visit(await make_user(), "cookie"), **headers)

    assert answer.status_code == 403
    assert await outbox() == []


@pytest.mark.parametrize("new_email", ["", "x", "x@", "x@y@z", "new@example.com\0", " ADA@Example.com ", OLD])
async def test_invalid_or_unchanged_addresses_are_refused(make_user, visit, ask, outbox, new_email):
    answer = await ask(await visit(await make_user()), new_email)

    assert answer.status_code == 400
    assert await outbox() == []


# A taken address


async def test_a_taken_address_gets_the_same_response_and_notice(make_user, visit, ask, outbox):
    """Checklist 13."""
    await make_user("eve@example.com")
    here = await visit(await make_user())

    taken = await ask(here, "eve@example.com")
    free = await ask(here, NEW)

    assert (taken.status_code, taken.content) == (free.status_code, free.content)
    random = {"x-request-id": ""}
    assert dict(taken.headers) | random == dict(free.headers) | random
    assert [mail.all_recipients() for mail in await outbox()] == [[OLD], [NEW], [OLD]]


async def test_the_link_fails_once_the_address_is_taken(client, make_user, visit, pending, address):
    """Checklist 25: the status is 400, not 500, for both ways of authenticating."""
    user = await make_user()
    here = await visit(user)
    link = await pending(user)
    await make_user(NEW)

    answers = [
        await client.post(link, headers=here.headers),
        await client.post(link, json=PASSWORD),
        await client.post(link, data=PASSWORD),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert await address(user) == OLD
    assert (await client.get("/users/me", headers=here.headers)).status_code == 200


# Using the link


@KINDS
async def test_a_logged_in_owner_uses_the_link(client, make_user, visit, pending, kind):
    user = await make_user()
    here = await visit(user, kind)

    answer = await client.post(await pending(user), headers=here.headers)

    assert answer.status_code == 200
    expected = {
        "id": user.id,
        "email": NEW,
        "is_active": True,
        "is_verified": True,
        "is_superuser": False,
    }
    assert answer.json() == answer.json() | expected


async def test_a_logged_out_owner_enters_the_password(client, make_user, pending, address):
    user = await make_user()

    answer = await client.post(await pending(user), json=PASSWORD)

    assert (answer.status_code, answer.json()["email"]) == (200, NEW)
    assert await address(user) == NEW


async def test_the_form_accepts_the_password(client, make_user, pending, address):
    user = await make_user()

    answer = await client.post(await pending(user), data=PASSWORD)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert NEW in answer.text
    assert await address(user) == NEW


@KINDS
async def test_this_session_continues_and_every_other_ends(client, make_user, visit, pending, kind):
    """Checklist 21."""
    user = await make_user()
    here, there, elsewhere = await visit(user, kind), await visit(user), await visit(user, "cookie")

    await client.post(await pending(user), headers=here.headers)

    answers = [await client.get("/users/me", headers=each.headers) for each in (here, there, elsewhere)]
    assert [answer.status_code for answer in answers] == [200, 401, 401]


async def test_using_the_password_ends_every_session(client, make_user, visit, pending):
    user = await make_user()
    here = await visit(user)

    await client.post(await pending(user), json=PASSWORD)

    assert (await client.get("/users/me", headers=here.headers)).status_code == 401


async def test_the_old_address_is_notified_of_the_change(client, make_user, pending, outbox, set_clock):
    """Checklist 25."""
    set_clock(NOON)
    link = await pending(await make_user())

    await client.post(link, json=PASSWORD, headers={"User-Agent": FIREFOX})

    (notice,) = await outbox()
    assert notice.all_recipients() == [OLD]
    assert "2030-05-01 12:00 UTC" in notice.text_body
    assert "203.0.113.9, Firefox on Windows" in notice.text_body


async def test_only_the_new_address_logs_in_afterwards(client, make_user, pending):
    await client.post(await pending(await make_user()), json=PASSWORD)

    old = await client.post("/users/login", json=PASSWORD | {"email": OLD})
    new = await client.post("/users/login", json=PASSWORD | {"email": NEW})

    assert (old.status_code, new.status_code) == (401, 200)


# Refused uses


async def test_the_link_requires_a_login_or_the_password(client, make_user, pending, address):
    """Because of a typo, the link may have been sent to a stranger."""
    user = await make_user()
    link = await pending(user)

    answers = [
        await client.post(link),
        await client.post(link, json={}),
        await client.post(link, json={"password": None}),
        await client.post(link, headers={"Content-Type": "application/x-www-form-urlencoded"}),
    ]

    assert [answer.status_code for answer in answers] == [400] * 4
    assert await address(user) == OLD


@KINDS
async def test_another_users_login_is_not_enough(client, make_user, visit, pending, address, kind):
    """Checklist 25 and 27."""
    user = await make_user()
    eve = await visit(await make_user("eve@example.com"), kind)

    answer = await client.post(await pending(user), headers=eve.headers)

    assert answer.status_code == 400
    assert await address(user) == OLD


async def test_a_wrong_password_is_refused_and_keeps_the_link_valid(client, make_user, pending, address):
    user = await make_user()
    link = await pending(user)

    refused = await client.post(link, json={"password": "wrong"})
    answer = await client.post(link, json=PASSWORD)

    assert refused.status_code == 400
    assert [error["field"] for error in refused.json()["errors"]] == ["password"]
    assert answer.status_code == 200


async def test_another_site_cannot_use_the_link_with_the_cookie(client, make_user, visit, pending, address):
    """Checklist 35."""
    user = await make_user()
    here = await visit(user, "cookie")

    answer = await client.post(await pending(user), headers=here.headers | {"Origin": "http://evil.example"})

    assert answer.status_code == 403
    assert await address(user) == OLD


# Invalid links


async def test_a_password_change_invalidates_the_link(client, make_user, visit, pending, address):
    """Checklist 21."""
    user = await make_user()
    link = await pending(user)
    body = {"current_password": PASSWORD["password"], "new_password": "a brand new password"}
    await client.post("/users/me/password", json=body, headers=(await visit(user)).headers)

    answer = await client.post(link, json={"password": "a brand new password"})

    assert answer.status_code == 400
    assert await address(user) == OLD


async def test_a_reset_invalidates_the_link(client, manager, make_user, pending):
    """Checklist 21."""
    user = await make_user()
    link = await pending(user)
    new = {"password": "a brand new password"}
    await client.post(f"/users/password-reset/{manager.reset_token(user)}", json=new)

    assert (await client.post(link, json=new)).status_code == 400


# The link's page


async def test_a_dead_link_shows_an_explanation(client):
    answer = await client.get("/users/email-change/x")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "no longer works" in answer.text
    assert "<form" not in answer.text.partition("<main")[2].partition("</main>")[0]


async def test_the_old_address_is_notified_even_if_the_account_is_deleted_at_once(
    client, make_user, visit, pending, outbox, do_task
):
    """A thief could change the address and then delete the account before the e-mail is sent."""
    user = await make_user()
    here = await visit(user)
    await client.post(await pending(user), headers=here.headers)

    await client.delete("/users/me", headers=here.headers)

    assert [mail.subject for mail in await outbox() if mail.all_recipients() == [OLD]] == [
        f"HawkAPI app: {NOTICES['email_changed'].heading}"
    ]


# Your own tests go below; template updates never touch them.

"""No mailbox can be flooded, and limits on e-mails do not reveal who has an account.

Checklist 12; ASVS 2.4.1.
"""

import httpx
import pytest
from hawkapi_mail import EmailMessage

from app.database import services_of, session_of
from app.limits import LimiterUnavailable, Rate
from app.users.rate_limits import LIMITS

EMAIL = "ada@example.com"
PER_MAILBOX = Rate.parse(LIMITS["request_password_reset"].mailbox).count
PER_ADDRESS = Rate.parse(LIMITS["request_password_reset"].ip).count
ASKING = pytest.mark.parametrize("path", ["/users/verify/request", "/users/password-reset/request"])


@pytest.fixture
def ask(app):
    """`await ask(path, email, "198.51.100.7")`: a client at that IP address requests an e-mail to *email*."""

    async def send(path, email=EMAIL, address="198.51.100.7", **more):
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post(path, json={"email": email} | more)

    return send


def visible(answer):
    """Everything in a response that a client can see, except the request id."""
    return answer.status_code, answer.content, dict(answer.headers) | {"x-request-id": ""}


@ASKING
async def test_mails_to_a_mailbox_are_limited(ask, make_user, outbox, path):
    """Checklist 12: it does not matter who requests the e-mail or from which IP address."""
    await make_user(EMAIL)

    for number in range(PER_MAILBOX + 3):
        await ask(path, address=f"198.51.100.{number}")

    assert len(await outbox()) == PER_MAILBOX


@ASKING
async def test_the_response_is_the_same_when_no_mail_is_sent(ask, make_user, outbox_rows, path):
    """Checklist 12 and 13: the response and the work are the same."""
    await make_user(EMAIL)

    answers = [await ask(path) for _ in range(PER_MAILBOX + 1)]

    assert visible(answers[-1]) == visible(answers[0])
    assert await outbox_rows() == PER_MAILBOX + 1


@ASKING
async def test_an_unknown_mailbox_gets_the_same_response(ask, make_user, path):
    """Checklist 12 and 13."""
    await make_user(EMAIL)

    known = [visible(await ask(path)) for _ in range(PER_MAILBOX + 1)]
    unknown = [visible(await ask(path, "nobody@example.com", "192.0.2.1")) for _ in range(PER_MAILBOX + 1)]

    assert known == unknown


@ASKING
async def test_a_client_that_requests_mails_for_many_accounts_is_refused(ask, path):
    """Checklist 12: this applies to known and unknown accounts, before the body is read."""
    answers = [await ask(path, f"user{number}@example.com") for number in range(PER_ADDRESS + 1)]

    assert {answer.status_code for answer in answers[:-1]} == {202}
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "Try again in" in answers[-1].json()["detail"]


async def test_strangers_cannot_stop_an_administrator_from_sending_a_reset(ask, admin, make_user, outbox):
    """Checklist 12 and 23."""
    user = await make_user(EMAIL)
    for _ in range(PER_MAILBOX):
        await ask("/users/password-reset/request")

    answer = await admin.post(f"/users/{user.id}/password-reset")

    assert answer.status_code == 202
    assert len(await outbox()) == PER_MAILBOX + 1


async def test_an_owner_who_requests_many_new_addresses_is_refused(client, make_user, login):
    """Checklist 12: each of the addresses would get an e-mail."""
    headers = login(await make_user())
    most = Rate.parse(LIMITS["request_email_change"].account).count

    answers = [
        await client.post("/users/me/email", json={"new_email": f"new{number}@example.com"}, headers=headers)
        for number in range(most + 1)
    ]

    assert [answer.status_code for answer in answers] == [202] * most + [429]


# One mailbox, whoever requests the e-mail and however the address is spelled


@pytest.fixture
def move(app, visit):
    """`await move(user, new_email, "198.51.100.7")`: request an email change from that IP address."""

    async def send(user, new_email, address="198.51.100.7"):
        headers = (await visit(user)).headers
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.post("/users/me/email", json={"new_email": new_email}, headers=headers)

    return send


@pytest.fixture
def mails_to(outbox):
    """`await mails_to("ada")`: the number of waiting e-mails to addresses that start with that text."""

    async def count(name):
        recipients = [each for mail in await outbox() for each in mail.all_recipients()]
        return len([each for each in recipients if each.startswith(name)])

    return count


async def test_many_accounts_cannot_flood_a_mailbox_by_requesting_its_address(make_user, move, mails_to):
    """Checklist 12: eight accounts send forty requests, all with the same response."""
    accounts = [await make_user(f"eve{number}@example.net", is_verified=True) for number in range(8)]

    answers = [
        await move(user, EMAIL, f"198.51.100.{number}")
        for number, user in enumerate(accounts)
        for _ in range(5)
    ]

    assert {answer.status_code for answer in answers} == {202}
    assert await mails_to("ada") == Rate.parse(LIMITS["request_email_change"].mailbox).count


async def test_an_email_change_does_the_same_work_when_no_link_is_sent(
    make_user, move, rendered, outbox_rows, statements
):
    """Checklist 12 and 13."""
    accounts = [await make_user(f"eve{number}@example.net", is_verified=True) for number in range(7)]
    work = []
    for number, user in enumerate(accounts):
        rendered.clear()
        statements.clear()
        before = await outbox_rows()
        await move(user, EMAIL, f"198.51.100.{number}")
        work.append((list(statements), len(rendered), await outbox_rows() - before))

    assert work[-1] == work[0]


@ASKING
async def test_sub_addresses_count_as_their_mailbox(ask, make_user, mails_to, path):
    """Checklist 12: an attacker could create any number of accounts for one mailbox."""
    for number in range(PER_MAILBOX + 2):
        await make_user(f"ada+{number}@example.com")

    for number in range(PER_MAILBOX + 2):
        await ask(path, f"ada+{number}@example.com")

    assert await mails_to("ada") == PER_MAILBOX


async def test_changes_to_sub_addresses_count_as_their_mailbox(make_user, move, mails_to):
    """Checklist 12."""
    accounts = [await make_user(f"eve{number}@example.net", is_verified=True) for number in range(7)]

    for number, user in enumerate(accounts):
        await move(user, f"ada+{number}@example.com", f"198.51.100.{number}")

    assert await mails_to("ada") == PER_MAILBOX


@pytest.mark.parametrize(("registration", "status"), [("open", 201), ("private", 202)])
async def test_registering_sub_addresses_does_not_flood_their_mailbox(
    other_client, accounts, mails_to, outbox_rows, registration, status
):
    """Checklist 12: the accounts are created, and their links can be requested later."""
    client = await other_client(registration=registration)
    body = {"password": "correct horse battery"}

    answers = [
        await client.post("/users/register", json=body | {"email": f"ada+{number}@example.com"})
        for number in range(PER_MAILBOX + 2)
    ]

    assert {answer.status_code for answer in answers} == {status}
    assert len(await accounts()) == await outbox_rows() == PER_MAILBOX + 2
    assert await mails_to("ada") == PER_MAILBOX


async def test_an_account_that_got_no_mail_can_request_its_link(client, ask, mails_to):
    """Checklist 12: nobody is left without a link."""
    body = {"password": "correct horse battery"}
    for number in range(PER_MAILBOX + 1):
        await client.post("/users/register", json=body | {"email": f"ada+{number}@example.com"})

    await ask("/users/verify/request", f"ada+{PER_MAILBOX}@example.com")

    assert await mails_to(f"ada+{PER_MAILBOX}@") == 1


async def test_a_refused_password_does_not_count(client, mails_to):
    """Checklist 12: users who need several attempts to find an acceptable password still get the e-mail."""
    for _ in range(PER_MAILBOX + 1):
        await client.post("/users/register", json={"email": EMAIL, "password": "short"})

    await client.post("/users/register", json={"email": EMAIL, "password": "correct horse battery"})

    assert await mails_to("ada") == 1


async def test_mails_of_your_own_hook_to_a_new_account_are_limited_too(client, manager, mails_to):
    """Checklist 12: `hooks.py` decides what is e-mailed, not how often. E-mails to others are still sent."""

    async def hook(user):
        services = services_of(user)
        for to in (user.email, "sales@example.org"):
            await services.mail.for_session(session_of(user)).send(EmailMessage.build(subject="New", to=to))

    manager.on_after_register = hook
    for number in range(PER_MAILBOX + 1):
        body = {"email": f"ada+{number}@example.com", "password": "correct horse battery"}
        await client.post("/users/register", json=body)

    assert await mails_to("ada") == PER_MAILBOX
    assert await mails_to("sales") == PER_MAILBOX + 1


# Notices

PER_KIND = Rate.parse(LIMITS["notice"].account).count
UNPROVEN = Rate.parse(LIMITS["notice"].mailbox).count


@pytest.fixture
def log_in_with(client):
    """`await log_in_with("Browser7")`: a login with the right password and that browser."""

    async def send(browser, email=EMAIL):
        body = {"email": email, "password": "correct horse battery"}
        return await client.post("/users/login", json=body, headers={"User-Agent": browser})

    return send


@pytest.mark.parametrize("is_verified", [False, True])
async def test_logins_with_many_browsers_do_not_flood_a_mailbox(
    make_user, log_in_with, mails_to, is_verified
):
    """Checklist 12: an attacker who registered with someone else's address knows the password."""
    await make_user(EMAIL, is_verified=is_verified)

    answers = [await log_in_with(f"Browser{number}") for number in range(UNPROVEN + 4)]

    assert {answer.status_code for answer in answers} == {200}
    assert await mails_to("ada") == UNPROVEN


async def test_unverified_accounts_of_one_mailbox_share_the_count_of_notices(
    make_user, log_in_with, mails_to
):
    """Checklist 12."""
    for number in range(UNPROVEN + 2):
        email = f"ada+{number}@example.com"
        await make_user(email)
        await log_in_with("Browser1", email)
        await log_in_with("Browser2", email)

    assert await mails_to("ada") == UNPROVEN


async def test_strangers_do_not_use_up_the_notices_of_a_verified_account(make_user, log_in_with, mails_to):
    """Checklist 12: otherwise its owner would miss important notices."""
    await make_user(EMAIL, is_verified=True)
    await make_user("ada+x@example.com")
    for number in range(UNPROVEN + 2):
        await log_in_with(f"Browser{number}", "ada+x@example.com")

    for number in range(2):
        await log_in_with(f"Browser{number}")

    assert await mails_to("ada@") == 1


async def test_one_kind_of_notice_does_not_use_up_another(client, make_user, log_in_with, visit, outbox):
    """Checklist 12."""
    user = await make_user(EMAIL, is_verified=True)
    headers = (await visit(user)).headers
    for number in range(PER_KIND + 2):
        await log_in_with(f"Browser{number}")

    body = {"current_password": "correct horse battery", "new_password": "a brand new password"}
    await client.post("/users/me/password", json=body, headers=headers)

    assert [mail.subject for mail in await outbox()][-1].endswith("Your password was changed")
    assert len(await outbox()) == PER_KIND + 1


async def test_strangers_cannot_stop_the_notice_to_a_verified_old_address(
    client, make_user, log_in_with, email_link, mails_to
):
    """Checklist 12 and 25: the account is already verified when the notice goes to its old address."""
    user = await make_user(EMAIL, is_verified=True)
    await make_user("ada+x@example.com")
    for number in range(UNPROVEN + 2):
        await log_in_with(f"Browser{number}", "ada+x@example.com")

    await client.post(await email_link(user), json={"password": "correct horse battery"})

    assert await mails_to("ada@") == 1


async def test_accounts_that_change_address_do_not_flood_the_old_mailbox(
    client, make_user, email_link, mails_to, change
):
    """Checklist 12: the address change verifies the accounts, which were unverified before."""
    for number in range(UNPROVEN + 2):
        user = await make_user(f"ada+{number}@example.com")
        await client.post(await email_link(user), json={"password": "correct horse battery"})
        await change(user, email=f"eve{number}@example.net")

    assert await mails_to("ada") == UNPROVEN


async def test_an_owner_is_notified_while_counting_is_unavailable(
    make_user, manager, log_in_with, mails_to, monkeypatch
):
    """Checklist 12: if the limiter is unavailable, nothing is rolled back and no notice is suppressed."""
    await make_user(EMAIL)
    await log_in_with("Browser1")
    allows = manager.limits.allows

    async def away(handler, **who):
        if handler == "notice":
            raise LimiterUnavailable
        return await allows(handler, **who)

    monkeypatch.setattr(manager.limits, "allows", away)

    answer = await log_in_with("Browser2")

    assert (answer.status_code, await mails_to("ada")) == (200, 1)


# Strangers cannot keep an owner's e-mails from being sent


@pytest.mark.parametrize("path", ["/users/password-reset/request", "/users/login/email"])
@pytest.mark.parametrize("stranger", ["ada+x@example.com", "ada+registered@example.com"])
async def test_other_addresses_of_the_mailbox_do_not_use_up_the_limit_of_a_verified_owner(
    ask, make_user, outbox, path, stranger
):
    """Checklist 12: otherwise nobody who is locked out could set a new password."""
    await make_user(EMAIL, is_verified=True)
    await make_user("ada+registered@example.com")
    for _ in range(PER_MAILBOX + 1):
        await ask(path, stranger)
    before = len(await outbox())

    await ask(path, address="192.0.2.1")

    assert [mail.to for mail in (await outbox())[before:]] == [[EMAIL]]


@ASKING
async def test_an_address_without_an_account_does_not_use_up_the_limit_of_its_mailbox(
    ask, make_user, outbox, path
):
    await make_user(EMAIL)
    for _ in range(PER_MAILBOX + 1):
        await ask(path, "ada+x@example.com")

    await ask(path, address="192.0.2.1")

    assert len(await outbox()) == 1

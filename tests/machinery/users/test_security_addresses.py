"""Spellings of an e-mail address: on every route, an account is found only by its own spelling.

Advisories 29 and 49; CWE-178.
"""

import pytest
from sqlalchemy import select

from app.limits import Rate
from app.users import User
from app.users.rate_limits import LIMITS

KIRA = "kira@kelvin.test"
PASSWORD = "correct horse battery"
NEW = {"password": "a brand new password"}
SPELLINGS = [
    "kira@kelvin.test",
    " KIRA@Kelvin.Test\t",
    "\u3000kira@kelvin.test\u2028",
    "kira@kelvin\u3002test",
    "kira@kelvin\uff0etest",
    "kira@\uff4b\uff45\uff4c\uff56\uff49\uff4e.test",
    "kira@\u212aelvin.te\u017ft",
]
"""Spellings of one mailbox: IDNA maps the characters of a domain (UTS 46), so e-mail to each spelling arrives
there.
"""
LOOKALIKES = [
    "\u212aira@kelvin.test",
    "\u212aIRA@KELVIN.TEST",
    "k\u0131ra@kelvin.test",
    "k\u0130ra@kelvin.test",
    "\uff4bira@kelvin.test",
    "kir\u00e1@kelvin.test",
    "kira\u0301@kelvin.test",
    "kir\u0430@kelvin.test",
    "ki\u00adra@kelvin.test",
    "ki\u200bra@kelvin.test",
    "\ufeffkira@kelvin.test",
    "kira\uff20kelvin.test",
    "kira@kelvin.test\uff20evil.test",
    "kira@kel\u00advin.test",
    "kira@kel\u200bvin.test",
    "kira@kelvin.test\u200b",
    "kira@kelvin\u2024test",
    "kira@xn--\u212aelvin.test",
]
"""These are not addresses. Unicode maps most of them to the account's address in one way or another."""


@pytest.fixture
def kira(make_user):
    """`await kira()`: the account whose address the others resemble."""
    return lambda: make_user(KIRA)


@pytest.mark.parametrize("email", LOOKALIKES, ids=ascii)
async def test_registration_refuses_a_lookalike(client, kira, accounts, email):
    """Advisory 29."""
    await kira()

    answer = await client.post("/users/register", json=NEW | {"email": email})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "email")
    assert len(await accounts()) == 1


@pytest.mark.parametrize("email", SPELLINGS, ids=ascii)
async def test_registration_recognizes_every_spelling(client, kira, email):
    """Advisory 29."""
    await kira()

    assert (await client.post("/users/register", json=NEW | {"email": email})).status_code == 409


async def test_an_accent_makes_a_different_domain(client, kira, accounts):
    """Advisory 49."""
    await kira()

    answer = await client.post("/users/register", json=NEW | {"email": "kira@k\u00e9lvin.test"})

    assert answer.status_code == 201
    assert [each.email for each in await accounts()] == [KIRA, "kira@xn--klvin-bsa.test"]


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
@pytest.mark.parametrize("email", LOOKALIKES, ids=ascii)
async def test_a_lookalike_does_not_log_in(client, kira, path, email):
    """Advisory 29."""
    await kira()

    body = {"email": email, "password": PASSWORD}
    answer = await client.post(path, json=body, headers={"Origin": "http://test"})

    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
@pytest.mark.parametrize("email", SPELLINGS, ids=ascii)
async def test_every_spelling_logs_in(client, kira, path, email):
    """Advisory 29."""
    await kira()

    body = {"email": email, "password": PASSWORD}
    answer = await client.post(path, json=body, headers={"Origin": "http://test"})

    assert answer.json()["email"] == KIRA


@pytest.mark.parametrize("path", ["/users/password-reset/request", "/users/verify/request"])
@pytest.mark.parametrize("email", LOOKALIKES, ids=ascii)
async def test_requesting_a_link_with_a_lookalike_sends_no_mail(client, kira, outbox, path, email):
    """Advisory 29; the response is the same as for an address without an account."""
    await kira()

    answer = await client.post(path, json={"email": email})

    assert answer.status_code == 202
    assert await outbox() == []


@pytest.mark.parametrize("path", ["/users/password-reset/request", "/users/verify/request"])
@pytest.mark.parametrize("email", SPELLINGS, ids=ascii)
async def test_a_link_goes_to_the_stored_address(client, kira, outbox, path, email):
    """Advisory 29: it does not go to the address as it was entered."""
    await kira()

    await client.post(path, json={"email": email})

    assert [each.all_recipients() for each in await outbox()] == [[KIRA]]


@pytest.mark.parametrize("email", LOOKALIKES, ids=ascii)
async def test_an_address_cannot_be_changed_to_a_lookalike(
    client, kira, make_user, begin_session, headers_of, outbox, email
):
    """Advisory 29."""
    await kira()
    eve = headers_of(await begin_session(await make_user("eve@example.com")))

    answer = await client.post("/users/me/email", json={"new_email": email}, headers=eve)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "new_email")
    assert await outbox() == []


@pytest.mark.parametrize("email", LOOKALIKES, ids=ascii)
async def test_a_lookalike_cannot_be_invited(admin, kira, email):
    """Advisory 29."""
    await kira()

    answer = await admin.post("/users/invitations", json={"email": email})

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "email")


@pytest.mark.parametrize("email", SPELLINGS, ids=ascii)
async def test_an_invitation_recognizes_every_spelling(admin, kira, email):
    """Advisory 29."""
    await kira()

    assert (await admin.post("/users/invitations", json={"email": email})).status_code == 409


@pytest.mark.parametrize("email", LOOKALIKES, ids=ascii)
async def test_the_manager_finds_nobody_by_a_lookalike(db, manager, kira, email):
    """Advisory 29: the command line uses it to look accounts up."""
    await kira()

    async with db.session() as session:
        assert await manager.get_by_email(session, email) is None


# Counting


async def test_all_spellings_share_the_count_of_wrong_passwords(client, kira):
    """Advisory 49."""
    await kira()

    wrong = [{"email": email, "password": "wrong"} for email in SPELLINGS * 3]
    statuses = {(await client.post("/users/login", json=body)).status_code for body in wrong}

    assert statuses == {401, 429}
    assert (await client.post("/users/login", json={"email": KIRA, "password": PASSWORD})).status_code == 429


async def test_wrong_passwords_of_lookalikes_are_not_counted_for_the_account(client, kira):
    """Advisory 49."""
    await kira()

    wrong = [{"email": email, "password": "wrong"} for email in LOOKALIKES]
    statuses = {(await client.post("/users/login", json=body)).status_code for body in wrong}

    assert statuses == {401}
    assert (await client.post("/users/login", json={"email": KIRA, "password": PASSWORD})).status_code == 200


@pytest.mark.parametrize(
    ("path", "handler"),
    [
        ("/users/password-reset/request", "request_password_reset"),
        ("/users/verify/request", "request_verify"),
    ],
)
async def test_all_spellings_share_the_count_of_mails(client, kira, outbox, path, handler):
    """Advisory 49."""
    await kira()

    statuses = {(await client.post(path, json={"email": email})).status_code for email in SPELLINGS * 2}

    assert statuses == {202}
    assert len(await outbox()) == Rate.parse(LIMITS[handler].mailbox).count


# The database


ALIKE = [
    "a@example.com",
    "A@example.com",
    "\u00e1@example.com",
    "a\u0301@example.com",
    "\uff41@example.com",
    "\u0430@example.com",
    "k@example.com",
    "\u212a@example.com",
    "i@example.com",
    "\u0131@example.com",
    "ss@example.com",
    "\u00df@example.com",
    "a@example.com ",
    " a@example.com",
    "a\u00ad@example.com",
    "a\u200b@example.com",
]


async def test_the_database_compares_addresses_as_python_does(db, make_user):
    """Advisory 49: with another collation, spellings would share an account but not its limits."""
    stored = [(await make_user(email)).email for email in ALIKE]

    async with db.session() as session:
        found = {
            email: list(await session.scalars(select(User.email).where(User.email == email)))
            for email in stored
        }

    assert found == {email: [email] for email in ALIKE}

"""POST /users/verify/request and POST /users/verify/{token}."""

import pytest

ADA = {"email": "ada@example.com"}


@pytest.fixture
def verify(client):
    """`await verify(token)` sends what the button on the link's page would send."""

    async def send(token):
        return await client.post(f"/users/verify/{token}")

    return send


# Requesting the link


async def test_a_request_mails_a_link_that_verifies(client, make_user, stored, mailed_token, verify):
    user = await make_user("ada@example.com")

    asked = await client.post("/users/verify/request", json=ADA)
    answer = await verify(await mailed_token())

    assert (asked.status_code, asked.json()) == (202, {"status": "ok"})
    assert (answer.status_code, answer.json()["is_verified"]) == (200, True)
    assert (await stored(user)).is_verified


async def test_the_link_goes_only_to_the_account(client, make_user, outbox):
    await make_user("eve@example.com")
    await make_user("ada@example.com")

    await client.post("/users/verify/request", json={"email": " ADA@example.com"})

    assert [mail.all_recipients() for mail in await outbox()] == [["ada@example.com"]]


@pytest.mark.parametrize("columns", [{"is_verified": True}, {"is_active": False}], ids=str)
async def test_a_verified_or_disabled_account_gets_no_mail(client, make_user, outbox, columns):
    """A verified account has nothing to verify, and a disabled account cannot be verified."""
    await make_user("ada@example.com", **columns)

    answer = await client.post("/users/verify/request", json=ADA)

    assert answer.status_code == 202
    assert await outbox() == []


@pytest.mark.parametrize("email", ["eve@example.com", "x", "", "a@b@c", "a@x\r\nBcc: b@x", "ä@example.com"])
async def test_an_address_without_an_account_gets_no_mail(client, outbox, email):
    answer = await client.post("/users/verify/request", json={"email": email})

    assert (answer.status_code, answer.json()) == (202, {"status": "ok"})
    assert await outbox() == []


@pytest.mark.parametrize(
    "body", [{}, {"email": None}, {"email": "x" * 321}, {"email": "a\0@example.com"}, []]
)
async def test_an_invalid_request_is_refused(client, body):
    assert (await client.post("/users/verify/request", json=body)).status_code == 400


# Using the link


async def test_the_link_of_the_registration_verifies(client, mailed_token, verify):
    await client.post("/users/register", json=ADA | {"password": "correct horse battery"})

    answer = await verify(await mailed_token())

    assert answer.json()["is_verified"] is True


async def test_a_used_link_does_not_verify_again(manager, make_user, verify, stored, db):
    """The link cannot undo an administrator's later decision."""
    user = await make_user()
    token = manager.verify_token(user)
    await verify(token)
    async with db.session() as session:
        await manager.update(session, await manager.get_by_id(session, user.id), is_verified=False)

    answer = await verify(token)

    assert answer.status_code == 400
    assert not (await stored(user)).is_verified


async def test_using_one_link_invalidates_the_other(manager, make_user, verify):
    user = await make_user()
    tokens = [manager.verify_token(user), manager.verify_token(user)]

    answers = [await verify(token) for token in tokens]

    assert [answer.status_code for answer in answers] == [200, 400]


@pytest.mark.parametrize("token", ["x", "a.b.c", "%00", "%FF", "%ED%A0%80", "x" * 5000, "..%2f", "ü"])
async def test_an_invalid_token_is_rejected(verify, token):
    answer = await verify(token)

    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_link_is_bound_to_its_address(manager, make_user, change, verify, stored):
    """A token e-mailed to Bob must not verify the victim's address, even after a change that bypassed the
    manager (SQL, import)."""
    user = await make_user("bob@example.com")
    token = manager.verify_token(user)
    await change(user, email="victim@example.com")

    answer = await verify(token)

    assert answer.status_code == 400
    assert not (await stored(user)).is_verified


async def test_a_disabled_account_cannot_verify(manager, make_user, change, verify, stored):
    """A link cannot override an administrator's decision."""
    user = await make_user()
    token = manager.verify_token(user)
    await change(user, is_active=False)

    answer = await verify(token)

    assert answer.status_code == 400
    assert not (await stored(user)).is_verified


async def test_the_link_of_a_deleted_account_stops_working(manager, make_user, db, verify):
    user = await make_user()
    token = manager.verify_token(user)
    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, user.id))

    assert (await verify(token)).status_code == 400


async def test_a_link_verifies_only_its_own_account(manager, make_user, verify, stored):
    """Checklist 27: user A's token does not work for user B."""
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")

    await verify(manager.verify_token(eve))

    assert not (await stored(ada)).is_verified


# Your own tests go below; template updates never touch them.

"""Concurrent requests: the database settles the race, and exactly one request wins. CWE-362, CWE-367."""

import asyncio
import re

import pytest

from app.users import InvalidCredentials, TokenError, UserAlreadyExists

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
NEW = {"password": "a brand new password"}


async def test_only_one_of_five_concurrent_registrations_succeeds(client, at_once, accounts, outbox):
    """One request creates the account, and the others get a 409, never a 500.

    A mailbox gets five e-mails an hour. If there were a sixth request and it won, its e-mail would be
    discarded.
    """
    statuses = await at_once(5, lambda: client.post("/users/register", json=ADA))

    assert statuses == [201, 409, 409, 409, 409]
    assert len(await accounts()) == 1
    assert len(await outbox()) == 1


async def test_an_address_taken_after_the_lookup_is_a_conflict(
    client, manager, make_user, accounts, outbox, monkeypatch
):
    """The unique index has the final say, even if the earlier lookup found no account."""
    await make_user("ada@example.com")

    async def sees_nobody(session, email):
        return None

    monkeypatch.setattr(manager, "get_by_email", sees_nobody)

    answer = await client.post("/users/register", json=ADA)

    assert answer.status_code == 409
    assert len(await accounts()) == 1
    assert await outbox() == []


async def test_only_one_of_six_spellings_of_an_address_is_registered(client, at_once, accounts):
    """The unique index is on the normalized address."""
    spellings = iter(["ada@X.org", "Ada@x.org", "ADA@x.org", " ada@x.org", "aDA@x.org", "adA@x.ORG"])

    statuses = await at_once(6, lambda: client.post("/users/register", json=ADA | {"email": next(spellings)}))

    assert statuses == [201, 409, 409, 409, 409, 409]
    assert len(await accounts()) == 1


async def test_different_addresses_register_concurrently(client, at_once, accounts):
    addresses = iter(range(6))

    statuses = await at_once(
        6, lambda: client.post("/users/register", json=ADA | {"email": f"ada{next(addresses)}@example.com"})
    )

    assert statuses == [201] * 6
    assert len(await accounts()) == 6


async def test_only_one_of_four_uses_of_a_reset_link_succeeds(client, manager, make_user, at_once, stored):
    """Checklist 26: a token checked only before hashing could be used several times."""
    user = await make_user()
    token = manager.reset_token(user)

    statuses = await at_once(4, lambda: client.post(f"/users/password-reset/{token}", json=NEW))

    assert statuses == [200, 400, 400, 400]
    assert (await stored(user)).password_version == 1


async def test_only_one_of_four_reset_links_succeeds(client, manager, make_user, at_once):
    """Checklist 26: all of the links belong to one account."""
    user = await make_user()

    statuses = await at_once(
        4, lambda: client.post(f"/users/password-reset/{manager.reset_token(user)}", json=NEW)
    )

    assert statuses == [200, 400, 400, 400]


async def test_only_one_of_four_uses_of_a_verification_link_succeeds(client, manager, make_user, at_once):
    """Checklist 26: the hook runs once."""
    token = manager.verify_token(await make_user())
    verified = []

    async def hook(user):
        verified.append(user.id)

    manager.on_after_verify = hook

    statuses = await at_once(4, lambda: client.post(f"/users/verify/{token}"))

    assert statuses == [200, 400, 400, 400]
    assert len(verified) == 1


async def test_only_one_of_two_accounts_gets_the_same_new_address(manager, db, make_user):
    """Checklist 25: the loser gets UserAlreadyExists, not a database error."""
    users = [await make_user("ada@example.com"), await make_user("eve@example.com")]

    async def move(user):
        async with db.session() as session:
            await manager.update(session, await manager.get_by_id(session, user.id), email="new@example.com")

    outcomes = await asyncio.gather(*map(move, users), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome] == [UserAlreadyExists]


@pytest.mark.parametrize(
    "columns", [{"is_active": False}, {"email": "new@example.com"}, {"password_version": 1}], ids=str
)
async def test_a_reset_fails_if_the_account_changes_during_hashing(
    manager, db, make_user, meanwhile, change, stored, columns
):
    """The token was valid before hashing, which takes a while."""
    user = await make_user()
    meanwhile(lambda: change(user, **columns))

    async with db.session() as session:
        with pytest.raises(TokenError):
            await manager.reset_password(
                session, token=manager.reset_token(user), new_password=NEW["password"]
            )

    assert (await stored(user)).hashed_password == user.hashed_password


async def test_renewing_an_old_hash_does_not_restore_an_old_password(
    manager, db, make_user, change, monkeypatch, client
):
    """A login with the old password that started before a reset must not undo the reset."""
    user = await make_user("ada@example.com")
    hash_ = manager.hasher.hash
    monkeypatch.setattr(manager.hasher, "is_outdated", lambda hashed: True)

    async def reset_then_hash(password):
        await change(user, hashed_password=await hash_("a brand new password"), password_version=1)
        return await hash_(password)

    monkeypatch.setattr(manager.hasher, "hash", reset_then_hash)
    await client.post("/users/login", json=ADA)

    async with db.session() as session:
        await manager.authenticate(session, email="ada@example.com", **NEW)
        with pytest.raises(InvalidCredentials):
            await manager.authenticate(session, **ADA)


async def test_a_login_overtaken_by_a_reset_gives_no_valid_token(
    client, manager, make_user, meanwhile, change
):
    """Checklist 21: a token that is issued meanwhile must not outlive the old password."""
    user = await make_user("ada@example.com")
    meanwhile(lambda: change(user, password_version=1))

    token = (await client.post("/users/login", json=ADA)).json().get("access_token")

    answer = await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_an_account_deleted_during_login_causes_no_server_error(
    client, manager, db, make_user, accounts
):
    """Checklist 20: nobody gets a session for a deleted account."""
    user = await make_user("ada@example.com")

    async def delete():
        async with db.session() as session:
            await manager.delete(session, await manager.get_by_id(session, user.id))

    async def hook(user):
        deleting.append(asyncio.create_task(delete()))
        await asyncio.sleep(0.05)

    deleting = []
    manager.on_after_login = hook

    answer = await client.post("/users/login", json=ADA)
    await asyncio.gather(*deleting)

    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert answer.status_code == 200
    assert (await client.get("/users/me", headers=headers)).status_code == 401
    assert await accounts() == []


async def test_only_the_last_of_six_invitations_works(client, admin, at_once, outbox):
    """Checklist 26: six e-mails are sent, but only one link creates the account."""
    statuses = await at_once(6, lambda: admin.post("/users/invitations", json={"email": ADA["email"]}))
    tokens = [re.search(r"/invitation/(\S+)", mail.text_body)[1] for mail in await outbox()]
    uses = [await client.post(f"/users/invitation/{token}", json=NEW) for token in tokens]

    assert statuses == [201] * 6
    assert sorted(use.status_code for use in uses) == [201, 400, 400, 400, 400, 400]


@pytest.mark.parametrize("order", [1, -1])
async def test_parallel_requests_for_two_addresses_do_not_mix(
    client, make_user, visit, at_once, outbox, stored, order
):
    """Advisory 13. Checklist 25 and 27: the pending address may have changed when a link is used."""
    user = await make_user("ada@example.com")
    headers = (await visit(user)).headers
    asked = iter(["a@example.com", "b@example.com"] * 2)
    statuses = await at_once(
        4, lambda: client.post("/users/me/email", json={"new_email": next(asked)}, headers=headers)
    )
    links = [
        (mail.to[0], found[1])
        for mail in await outbox()
        if (found := re.search(r"/email-change/(\S+)", mail.text_body))
    ]

    uses = [
        (address, await client.post(f"/users/email-change/{token}", headers=headers))
        for address, token in links[::order]
    ]

    [used] = [(address, use.json()["email"]) for address, use in uses if use.status_code == 200]
    assert statuses == [202] * 4
    assert sorted(use.status_code for _, use in uses) == [200, 400, 400, 400]
    assert used[0] == used[1] == (await stored(user)).email

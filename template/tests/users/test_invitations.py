"""Invitations: e-mailed by a superuser or from the command line, valid for a week and for one use."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app import clock
from app.users import UserInvitation

ADA = {"email": "ada@example.com"}
NEW = {"password": "a brand new password"}


@pytest.fixture
async def token(admin, mailed_token):
    """The token in the link e-mailed to Ada."""
    await admin.post("/users/invitations", json=ADA)
    return await mailed_token()


async def test_an_invitation_is_mailed_and_listed_without_its_token(admin, root, outbox, mailed_token):
    answer = await admin.post("/users/invitations", json={"email": " ADA@example.com "})
    listed = await admin.get("/users/invitations")

    (mail,) = await outbox()
    assert answer.status_code == 201
    assert (answer.json()["email"], answer.json()["invited_by"]) == ("ada@example.com", root.id)
    assert mail.all_recipients() == ["ada@example.com"]
    assert "7 days" in mail.text_body
    assert listed.json() == [answer.json()]
    assert await mailed_token() not in answer.text + listed.text


@pytest.mark.parametrize("way", ["path", "body"])
async def test_an_invitation_creates_a_verified_account_with_a_chosen_password(client, token, way):
    requests = {
        "path": lambda: client.post(f"/users/invitation/{token}", json=NEW),
        "body": lambda: client.post("/users/invitation", json=NEW | {"token": token}),
    }

    answer = await requests[way]()

    assert answer.status_code == 201
    assert (answer.json()["email"], answer.json()["is_verified"]) == ("ada@example.com", True)
    assert (await client.post("/users/login", json=ADA | NEW)).status_code == 200


async def test_an_invitation_works_when_registration_is_closed(other_client, token):
    client = await other_client(registration="closed")

    assert (await client.post(f"/users/invitation/{token}", json=NEW)).status_code == 201


async def test_the_page_changes_nothing_and_its_form_creates_the_account(
    client, open_link, token, accounts, root
):
    page = await open_link(f"/users/invitation/{token}")
    before = await accounts()
    made = await client.post(f"/users/invitation/{token}", data=NEW)

    assert 'autocomplete="new-password"' in page.text
    assert "ada@example.com" in page.text
    assert [user.email for user in before] == [root.email]
    assert (made.status_code, made.headers["content-type"]) == (201, "text/html; charset=utf-8")
    assert "ada@example.com" in made.text


async def test_an_invitation_works_once_even_if_the_account_is_deleted(client, admin, token):
    """Using the invitation deletes its row. Otherwise, the link could create the account again."""
    made = await client.post(f"/users/invitation/{token}", json=NEW)
    await admin.delete(f"/users/{made.json()['id']}")

    again = await client.post(f"/users/invitation/{token}", json=NEW)

    assert again.status_code == 400


async def test_concurrent_uses_create_one_account(client, open_link, token, at_once, accounts):
    statuses = await at_once(4, lambda: client.post(f"/users/invitation/{token}", json=NEW))

    assert statuses[0] == 201
    assert set(statuses[1:]) <= {400, 409}
    assert len(await accounts()) == 2


async def test_a_refused_password_does_not_use_up_the_invitation(client, token):
    refused = await client.post(f"/users/invitation/{token}", data={"password": "short"})

    assert refused.status_code == 400
    assert "at least 12 characters" in refused.text
    assert (await client.post(f"/users/invitation/{token}", json=NEW)).status_code == 201


async def test_an_invitation_expires(client, token, set_clock, app):
    later = clock.now() + timedelta(seconds=app.state.settings.invitation_ttl)
    set_clock(later)

    assert (await client.post(f"/users/invitation/{token}", json=NEW)).status_code == 400


async def test_expired_invitations_are_not_listed(token, set_clock, app, db):
    set_clock(clock.now() + timedelta(seconds=app.state.settings.invitation_ttl))

    async with db.session(commit=False) as session:
        usable = await app.state.users.invitations.open(session)

    assert usable == []


async def test_the_worker_removes_expired_invitations(token, set_clock, app, do_task, db):
    set_clock(clock.now() + timedelta(seconds=app.state.settings.invitation_ttl))

    await do_task("clean")

    async with db.session(commit=False) as session:
        assert await session.scalar(select(func.count()).select_from(UserInvitation)) == 0


async def test_a_newer_invitation_replaces_an_older_one(client, admin, token, mailed_token):
    await admin.post("/users/invitations", json=ADA)
    newer = await mailed_token()

    old = await client.post(f"/users/invitation/{token}", json=NEW)
    new = await client.post(f"/users/invitation/{newer}", json=NEW)

    assert (old.status_code, new.status_code) == (400, 201)


async def test_an_invitation_can_be_withdrawn(client, admin, token):
    [listed] = (await admin.get("/users/invitations")).json()

    withdrawn = await admin.delete(f"/users/invitations/{listed['id']}")
    again = await admin.delete(f"/users/invitations/{listed['id']}")

    assert (withdrawn.status_code, again.status_code) == (204, 404)
    assert again.json()["detail"] == "The invitation does not exist."
    assert (await client.post(f"/users/invitation/{token}", json=NEW)).status_code == 400


async def test_an_existing_account_cannot_be_invited(admin, make_user, outbox):
    await make_user("ada@example.com")

    answer = await admin.post("/users/invitations", json=ADA)

    assert answer.status_code == 409
    assert await outbox() == []


async def test_an_invited_user_who_has_registered_is_told_so(client, token):
    await client.post("/users/register", json=ADA | NEW)

    answer = await client.post(f"/users/invitation/{token}", json=NEW)

    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "This e-mail address already has an account.",
    )


@pytest.mark.parametrize("email", ["", "x", "a@b@c", "ada@example.com\r\nBcc: eve@example.com"])
async def test_an_invalid_address_cannot_be_invited(admin, email):
    assert (await admin.post("/users/invitations", json={"email": email})).status_code == 400


@pytest.mark.parametrize("wrong", ["verify_token", "reset_token"])
async def test_a_link_for_another_purpose_creates_no_account(client, manager, make_user, wrong):
    token = getattr(manager, wrong)(await make_user("eve@example.com"))

    assert (await client.post(f"/users/invitation/{token}", json=NEW)).status_code == 400


async def test_the_token_of_an_invitation_has_no_other_use(client, token):
    answers = [
        await client.post(f"/users/verify/{token}"),
        await client.post(f"/users/password-reset/{token}", json=NEW),
        await client.post(f"/users/email-change/{token}", json=NEW),
        await client.get("/users/me", headers={"Authorization": f"Bearer {token}"}),
    ]

    assert [answer.status_code for answer in answers] == [400, 400, 400, 401]


async def test_each_step_is_audited(client, admin, token, events, root):
    await client.post(f"/users/invitation/{token}", json=NEW)
    await admin.post("/users/invitations", json={"email": "eve@example.com"})
    [other] = (await admin.get("/users/invitations")).json()
    await admin.delete(f"/users/invitations/{other['id']}")

    log = [(event.event, event.actor == root.id) for event in await events()]
    assert log == [("invite", True), ("register", False), ("invite", True), ("invitation_withdrawn", True)]


# Your own tests go below; template updates never touch them.

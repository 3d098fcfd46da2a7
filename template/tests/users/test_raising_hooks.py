"""An exception in a hook rolls back the request, the hook's own writes and every e-mail."""

import pytest

from app.users.emails import NOTICES
from app.web import Problem

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
NEW = {"password": "a brand new password"}


async def test_a_raising_hook_undoes_the_registration(client, fail, accounts, outbox):
    fail("on_after_register")

    answer = await client.post("/users/register", json=ADA)

    assert answer.status_code == 500
    assert "Refused" not in answer.text
    assert await accounts() == []
    assert await outbox() == []


async def test_an_undone_registration_can_be_retried(client, manager, fail):
    fail("on_after_register")
    await client.post("/users/register", json=ADA)
    manager.on_after_register = None

    assert (await client.post("/users/register", json=ADA)).status_code == 201


async def test_a_hook_may_refuse_with_its_own_response(client, fail, accounts):
    fail("on_after_register", Problem(403, "By invitation only."))

    answer = await client.post("/users/register", json=ADA)

    assert (answer.status_code, answer.json()["detail"]) == (403, "By invitation only.")
    assert await accounts() == []


async def test_a_raising_hook_undoes_the_login(client, make_user, fail, accounts, outbox):
    await make_user("ada@example.com")
    fail("on_after_login")

    answer = await client.post("/users/login", json=ADA)

    assert answer.status_code == 500
    assert [user.email for user in await accounts()] == ["ada@example.com"]
    assert await outbox() == []


async def test_a_raising_hook_undoes_the_verification_and_keeps_the_link_valid(
    client, manager, make_user, fail, stored, outbox
):
    user = await make_user("ada@example.com")
    token = manager.verify_token(user)
    fail("on_after_verify")

    failed = await client.post(f"/users/verify/{token}")
    verified = (await stored(user)).is_verified
    waiting = await outbox()
    manager.on_after_verify = None
    again = await client.post(f"/users/verify/{token}")

    assert (failed.status_code, verified, again.status_code) == (500, False, 200)
    assert waiting == []


async def test_a_raising_hook_undoes_the_reset_and_keeps_the_link_valid(
    client, manager, make_user, fail, stored, outbox
):
    user = await make_user("ada@example.com")
    token = manager.reset_token(user)
    fail("on_after_reset_password")

    failed = await client.post(f"/users/password-reset/{token}", json=NEW)
    now = await stored(user)
    manager.on_after_reset_password = None
    again = await client.post(f"/users/password-reset/{token}", json=NEW)

    assert (failed.status_code, again.status_code) == (500, 200)
    assert (now.hashed_password, now.password_version) == (user.hashed_password, 0)
    assert [mail.subject for mail in await outbox()] == [
        f"HawkAPI app: {NOTICES['password_changed'].heading}"
    ]


@pytest.mark.parametrize(
    ("hook", "path"),
    [
        ("on_after_request_verify", "/users/verify/request"),
        ("on_after_forgot_password", "/users/password-reset/request"),
    ],
)
async def test_a_raising_hook_sends_no_link(client, make_user, fail, outbox, hook, path):
    await make_user("ada@example.com")
    fail(hook)

    answer = await client.post(path, json={"email": "ada@example.com"})

    assert answer.status_code == 500
    assert await outbox() == []


# Your own tests go below; template updates never touch them.

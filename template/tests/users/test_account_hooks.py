"""Hooks for changes by owners and administrators: each is called once and can abort the transaction."""

import pytest

from app.database import session_of
from app.users import User
from app.web import Problem

PASSWORD = "correct horse battery"
NEW = "a brand new password"
KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])


@pytest.fixture
def calls(manager):
    """`seen = calls("on_after_logout")` records the arguments of every call to that hook."""

    def replace(name):
        seen = []

        async def hook(*arguments):
            seen.append(arguments)

        setattr(manager, name, hook)
        return seen

    return replace


@pytest.fixture
def change_password(client):
    async def send(visit, current=PASSWORD):
        body = {"current_password": current, "new_password": NEW}
        return await client.post("/users/me/password", json=body, headers=visit.headers)

    return send


@pytest.fixture
def admin(make_user, visit):
    """`await admin()`: the headers for a superuser's requests."""

    async def begin():
        root = await make_user("root@example.com", id="root", is_superuser=True)
        return (await visit(root)).headers

    return begin


# When they run and with which arguments


@KINDS
async def test_the_hook_runs_after_a_logout(client, make_user, visit, calls, kind):
    user = await make_user()
    here = await visit(user, kind)
    seen = calls("on_after_logout")

    await client.post("/users/logout", headers=here.headers)
    await client.post("/users/logout", headers=here.headers)

    assert [called.id for (called,) in seen] == [user.id]


async def test_the_hook_runs_after_a_logout_with_the_refresh_token(client, make_user, visit, calls):
    user = await make_user()
    body = {"refresh_token": (await visit(user)).issued.token}
    seen = calls("on_after_logout")

    await client.post("/users/logout", json=body)
    await client.post("/users/logout", json=body)

    assert [called.id for (called,) in seen] == [user.id]


async def test_four_concurrent_logouts_call_the_hook_once(client, make_user, visit, calls, at_once):
    here = await visit(await make_user())
    seen = calls("on_after_logout")

    statuses = await at_once(4, lambda: client.post("/users/logout", headers=here.headers))

    assert statuses == [204] * 4
    assert len(seen) == 1


@KINDS
async def test_the_hook_runs_after_a_password_change(make_user, visit, calls, change_password, kind):
    user = await make_user()
    here = await visit(user, kind)
    seen = calls("on_after_change_password")

    await change_password(here)

    assert [(called.id, called.password_version) for (called,) in seen] == [(user.id, 1)]


async def test_the_hook_gets_a_working_token_after_an_email_change_request(client, make_user, visit, calls):
    user = await make_user()
    here = await visit(user)
    seen = calls("on_after_request_email_change")

    await client.post("/users/me/email", json={"new_email": "New@Example.com"}, headers=here.headers)

    ((called, new_email, token),) = seen
    answer = await client.post(f"/users/email-change/{token}", headers=here.headers)
    assert (called.id, called.email, new_email) == (user.id, "ada@example.com", "new@example.com")
    assert answer.status_code == 200


async def test_no_hook_runs_for_a_taken_address(client, make_user, visit, calls):
    await make_user("eve@example.com")
    here = await visit(await make_user())
    seen = calls("on_after_request_email_change")

    await client.post("/users/me/email", json={"new_email": "eve@example.com"}, headers=here.headers)

    assert seen == []


async def test_the_hook_runs_after_an_email_change(client, make_user, email_link, calls):
    user = await make_user()
    link = await email_link(user)
    seen = calls("on_after_change_email")

    await client.post(link, json={"password": PASSWORD})
    await client.post(link, json={"password": PASSWORD})

    assert [(called.id, called.email, old) for called, old in seen] == [
        (user.id, "new@example.com", "ada@example.com")
    ]


async def test_the_hook_gets_the_changes_after_an_update(client, make_user, admin, calls):
    await make_user(id="ada")
    headers = await admin()
    seen = calls("on_after_update")

    body = {"is_active": True, "is_verified": True, "is_superuser": True}
    await client.patch("/users/ada", json=body, headers=headers)
    await client.patch("/users/ada", json=body, headers=headers)

    assert [(called.id, changed) for called, changed in seen] == [("ada", {"is_verified", "is_superuser"})]


async def test_the_hook_runs_before_a_deletion_by_the_owner(client, manager, make_user, visit, db):
    user = await make_user()
    seen = []

    async def hook(called):
        # While the hook runs, the account's rows still exist.
        seen.append((called.id, len(await manager.sessions.of_user(session_of(called), called))))

    manager.on_before_delete = hook

    await client.delete("/users/me", headers=(await visit(user)).headers)

    assert seen == [(user.id, 1)]


async def test_the_hook_runs_before_a_deletion_by_an_administrator(client, make_user, admin, calls):
    await make_user(id="ada")
    headers = await admin()
    seen = calls("on_before_delete")

    await client.delete("/users/ada", headers=headers)
    await client.delete("/users/ada", headers=headers)

    assert [called.id for (called,) in seen] == ["ada"]


async def test_no_hook_runs_for_refused_requests(
    client, make_user, visit, calls, change_password, email_link
):
    user = await make_user(is_superuser=True)
    here = await visit(user)
    names = (
        "on_after_logout",
        "on_after_change_password",
        "on_after_request_email_change",
        "on_after_change_email",
        "on_after_update",
        "on_before_delete",
    )
    seen = [calls(name) for name in names]

    await client.post("/users/logout")
    await change_password(here, current="wrong")
    await client.post("/users/me/email", json={"new_email": "x"}, headers=here.headers)
    await client.post(await email_link(user), json={"password": "wrong"})
    await client.patch(f"/users/{user.id}", json={"is_superuser": False}, headers=here.headers)
    await client.delete("/users/me", headers=here.headers)

    assert seen == [[]] * 6


# What they write and undo


async def test_a_hook_writes_in_the_same_transaction(make_user, visit, manager, change_password, accounts):
    async def hook(user):
        session_of(user).add(User(email="companion@example.com", hashed_password="x"))

    manager.on_after_change_password = hook

    await change_password(await visit(await make_user()))

    assert [user.email for user in await accounts()] == ["ada@example.com", "companion@example.com"]


@KINDS
async def test_a_raising_hook_undoes_the_logout(client, make_user, visit, fail, accounts, outbox, kind):
    here = await visit(await make_user(), kind)
    fail("on_after_logout")

    answer = await client.post("/users/logout", headers=here.headers)

    assert answer.status_code == 500
    assert (await client.get("/users/me", headers=here.headers)).status_code == 200
    assert (len(await accounts()), await outbox()) == (1, [])


@KINDS
async def test_a_raising_hook_undoes_the_password_change(
    client, make_user, visit, fail, change_password, stored, accounts, outbox, kind
):
    user = await make_user()
    here, there = await visit(user, kind), await visit(user)
    fail("on_after_change_password")

    answer = await change_password(here)

    alive = [(await client.get("/users/me", headers=each.headers)).status_code for each in (here, there)]
    assert (answer.status_code, alive) == (500, [200, 200])
    assert (await stored(user)).hashed_password == user.hashed_password
    assert (len(await accounts()), await outbox()) == (1, [])


async def test_a_raising_hook_undoes_the_email_change_request(
    client, make_user, visit, fail, stored, accounts, outbox
):
    user = await make_user()
    here = await visit(user)
    fail("on_after_request_email_change")

    answer = await client.post("/users/me/email", json={"new_email": "new@example.com"}, headers=here.headers)

    assert answer.status_code == 500
    assert (await stored(user)).pending_email is None
    assert (len(await accounts()), await outbox()) == (1, [])


async def test_a_raising_hook_undoes_the_email_change_and_keeps_the_link_valid(
    client, manager, make_user, visit, fail, email_link, stored, outbox
):
    user = await make_user()
    here = await visit(user)
    link = await email_link(user)
    fail("on_after_change_email")

    failed = await client.post(link, headers=here.headers)
    now, mails = await stored(user), await outbox()
    manager.on_after_change_email = None
    again = await client.post(link, headers=here.headers)

    assert (failed.status_code, again.status_code) == (500, 200)
    assert (now.email, now.password_version, mails) == ("ada@example.com", 0, [])


async def test_a_raising_hook_undoes_the_update(client, make_user, admin, fail, stored, outbox):
    user = await make_user(id="ada")
    headers = await admin()
    fail("on_after_update")

    answer = await client.patch("/users/ada", json={"is_active": False}, headers=headers)

    assert answer.status_code == 500
    assert (await stored(user)).is_active
    assert await outbox() == []


@KINDS
async def test_a_raising_hook_keeps_the_account(client, make_user, visit, fail, accounts, outbox, kind):
    here = await visit(await make_user(), kind)
    fail("on_before_delete")

    answer = await client.delete("/users/me", headers=here.headers)

    assert answer.status_code == 500
    assert "set-cookie" not in answer.headers
    assert (await client.get("/users/me", headers=here.headers)).status_code == 200
    assert (len(await accounts()), await outbox()) == (1, [])


async def test_a_hook_may_refuse_with_its_own_response(client, make_user, visit, fail, stored):
    user = await make_user()
    fail("on_before_delete", Problem(409, "Pay your bill first."))

    answer = await client.delete("/users/me", headers=(await visit(user)).headers)

    assert (answer.status_code, answer.json()["detail"]) == (409, "Pay your bill first.")
    assert await stored(user) is not None


# Your own tests go below; template updates never touch them.

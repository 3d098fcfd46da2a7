"""One request overtakes another during its transaction: no session survives, and no request fails.
CWE-362, CWE-833."""

import asyncio

import pytest

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
OURS = {"Origin": "http://test"}


@pytest.fixture
async def administrate(client, make_user, login):
    """`administrate("DELETE", path)`: a superuser's request, in a task that has started."""
    headers = login(await make_user("root@example.com", is_superuser=True))

    async def send(method, path):
        task = asyncio.create_task(client.request(method, path, headers=headers))
        await asyncio.sleep(0.2)
        return task

    return send


@pytest.fixture
def before_a_session_begins(manager, monkeypatch):
    """`before_a_session_begins(act)`: `act()` runs in a login's transaction, before its session exists.
    `.result` is the return value of `act()`.
    """

    def arrange(act):
        issue = manager.sessions.issue

        async def act_first(*arguments, **options):
            arrange.result = await act()
            return await issue(*arguments, **options)

        monkeypatch.setattr(manager.sessions, "issue", act_first)

    return arrange


async def test_a_deletion_during_a_login_waits_for_the_login(
    client, make_user, administrate, before_a_session_begins, stored
):
    user = await make_user("ada@example.com")
    before_a_session_begins(lambda: administrate("DELETE", f"/users/{user.id}"))

    login = await client.post("/users/login", json=ADA)
    deletion = await before_a_session_begins.result

    assert (login.status_code, deletion.status_code) == (200, 204)
    assert await stored(user) is None


async def test_renewing_a_cookie_and_a_deletion_do_not_deadlock(
    client, make_user, begin_session, administrate, before_a_session_begins, stored
):
    user = await make_user("ada@example.com")
    cookie = {"Cookie": f"__Host-session={(await begin_session(user, kind='cookie')).token}"}
    before_a_session_begins(lambda: administrate("DELETE", f"/users/{user.id}"))

    password = {"password": ADA["password"]}
    confirmation = await client.post("/users/me/confirm", headers=cookie | OURS, json=password)
    deletion = await before_a_session_begins.result

    assert (confirmation.status_code, deletion.status_code) == (204, 204)
    assert await stored(user) is None


async def test_a_session_being_replaced_ends_with_all_others(
    client, db, manager, make_user, begin_session, administrate, before_a_session_begins
):
    """Checklist 23."""
    user = await make_user("ada@example.com")
    cookie = {"Cookie": f"__Host-session={(await begin_session(user, kind='cookie')).token}"}
    before_a_session_begins(lambda: administrate("DELETE", f"/users/{user.id}/sessions"))

    password = {"password": ADA["password"]}
    await client.post("/users/me/confirm", headers=cookie | OURS, json=password)
    ending = await before_a_session_begins.result

    assert ending.status_code == 204
    async with db.session(commit=False) as session:
        assert await manager.sessions.of_user(session, user) == []


async def test_an_account_deleted_during_a_change_is_not_found(
    client, manager, make_user, login, monkeypatch
):
    user = await make_user("ada@example.com")
    headers = login(await make_user("root@example.com", is_superuser=True))
    require = manager.require

    async def then_gone(session, user_id):
        found = await require(session, user_id)
        await manager.delete(session, found)
        return found

    monkeypatch.setattr(manager, "require", then_gone)

    answer = await client.patch(f"/users/{user.id}", headers=headers, json={"is_active": False})

    assert answer.status_code == 404


async def test_a_password_reset_during_a_login_ends_its_session(
    client, manager, make_user, begin_session, stored
):
    """Checklist 21: the session belongs to the password that was entered, not to a newer one."""
    user = await make_user("ada@example.com")
    link = f"/users/password-reset/{manager.reset_token(user)}"
    cookie = {"Cookie": f"__Host-session={(await begin_session(user, kind='cookie')).token}"}
    resets = []

    async def reset(user):
        task = asyncio.create_task(client.post(link, json={"password": "a brand new password"}))
        resets.append(task)
        await asyncio.sleep(0.3)

    manager.on_after_login = reset

    login = await client.post("/users/login/cookie", headers=cookie | OURS, json=ADA)
    await resets[0]

    assert login.status_code == 200
    assert (await stored(user)).password_version == 1
    new = {"Cookie": login.headers["set-cookie"].partition(";")[0]}
    assert (await client.get("/users/me", headers=new)).status_code == 401


@pytest.fixture
def late(manager, monkeypatch):
    """`late("update_profile", act)`: `act()` runs and is committed before that method of the manager runs."""

    def arrange(name, act):
        method = getattr(manager, name)

        async def act_first(db, *arguments, **options):
            await db.commit()
            await act()
            return await method(db, *arguments, **options)

        monkeypatch.setattr(manager, name, act_first)

    return arrange


async def test_a_reset_stops_a_deletion_that_was_requested_before_it(
    client, make_user, login, manager, late, stored
):
    """Checklist 21: the owner evicts a thief who is about to delete the account."""
    user = await make_user("ada@example.com")
    thief, link = login(user), f"/users/password-reset/{manager.reset_token(user)}"
    late("request_delete", lambda: client.post(link, json={"password": "quiet harbour stone"}))

    answer = await client.delete("/users/me", headers=thief)

    assert answer.status_code == 401
    assert await stored(user) is not None


async def test_a_deletion_ends_a_profile_update_that_was_requested_before_it(client, make_user, login, late):
    user = await make_user("ada@example.com")
    here, elsewhere = login(user), login(user)
    late("update_profile", lambda: client.delete("/users/me", headers=elsewhere))

    answer = await client.patch("/users/me", headers=here, json={"language": "en"})

    assert answer.status_code == 401

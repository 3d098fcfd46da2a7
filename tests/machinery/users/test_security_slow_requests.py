"""The client decides when a body arrives. Changes made meanwhile take effect, and nobody has to wait."""

import asyncio
import json

import pytest

ADA = {"email": "ada@example.com", "password": "correct horse battery"}


@pytest.fixture
def slowly(app):
    """`await slowly("POST", "/users/logout", headers, body, meanwhile)`: the status of a request whose guards
    have run before `meanwhile()` and whose body arrives after it."""

    async def send(method, path, headers, body, meanwhile):
        status = []

        async def receive():
            await meanwhile()
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def keep(message):
            if message["type"] == "http.response.start":
                status.append(message["status"])

        sent = headers | {"content-type": "application/json"}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
            "client": ("203.0.113.9", 50000),
            "server": ("test", 80),
            "scheme": "http",
        }
        await app(scope, receive, keep)
        return status[0]

    return send


async def test_a_slow_request_with_a_dead_login_holds_no_lock(client, make_user, login, slowly):
    """Otherwise, on SQLite, the request would hold the write lock, and nobody could log in."""
    headers = login(await make_user("ada@example.com"))
    await client.post("/users/logout", headers=headers)
    others = []

    async def somebody_logs_in():
        async with asyncio.timeout(5):
            others.append((await client.post("/users/login", json=ADA)).status_code)

    status = await slowly("POST", "/users/logout", headers, {}, somebody_logs_in)

    assert status == 204
    assert others == [200]


async def test_a_wrong_password_with_a_dead_login_is_audited(client, manager, make_user, login, events):
    """Checklist 39."""
    user = await make_user(pending_email="new@example.com")
    headers = login(user)
    await client.post("/users/logout", headers=headers)
    token = manager.email_change_token(user, "new@example.com")

    answer = await client.post(f"/users/email-change/{token}", headers=headers, json={"password": "wrong"})

    assert answer.status_code == 400
    assert [(each.event, each.outcome) for each in await events()][1:] == [("email_change", "failure")]


async def test_an_email_change_of_a_deleted_account_is_refused(client, make_user, login, slowly):
    user = await make_user()
    admin, headers = login(await make_user("root@example.com", is_superuser=True)), login(user)

    async def delete():
        await client.delete(f"/users/{user.id}", headers=admin)

    status = await slowly("POST", "/users/me/email", headers, {"new_email": "new@example.com"}, delete)

    assert status == 401


async def test_an_email_change_after_a_reset_is_refused(client, manager, make_user, login, slowly, stored):
    """Checklist 21."""
    user = await make_user()
    headers = login(user)

    async def reset():
        token = manager.reset_token(user)
        await client.post(f"/users/password-reset/{token}", json={"password": "a brand new password"})

    status = await slowly("POST", "/users/me/email", headers, {"new_email": "new@example.com"}, reset)

    assert status == 401
    assert (await stored(user)).pending_email is None


async def test_a_superuser_whose_account_is_deleted_gets_no_server_error(client, make_user, login, slowly):
    user = await make_user("eve@example.com", is_superuser=True)
    admin, headers = login(await make_user("root@example.com", is_superuser=True)), login(user)

    async def delete():
        await client.delete(f"/users/{user.id}", headers=admin)

    status = await slowly("PATCH", f"/users/{user.id}", headers, {"is_verified": True}, delete)

    assert status == 401


@pytest.mark.parametrize("taken", [{"is_superuser": False}, {"is_active": False}], ids=str)
async def test_a_superuser_demoted_during_the_request_grants_no_rights(
    client, make_user, login, slowly, stored, taken
):
    """Checklist 20 and 36: otherwise a request kept open would restore revoked rights."""
    eve, accomplice = await make_user("eve@example.com", is_superuser=True), await make_user()
    admin, headers = login(await make_user("root@example.com", is_superuser=True)), login(eve)

    async def take_away():
        await client.patch(f"/users/{eve.id}", headers=admin, json=taken)

    status = await slowly("PATCH", f"/users/{accomplice.id}", headers, {"is_superuser": True}, take_away)

    assert status in (401, 403)
    assert not (await stored(accomplice)).is_superuser


@pytest.mark.parametrize("taken", [{"is_superuser": False}, {"is_active": False}], ids=str)
async def test_a_superuser_demoted_during_the_request_invites_nobody(
    client, make_user, login, slowly, outbox, taken
):
    """Checklist 20 and 36."""
    eve = await make_user("eve@example.com", is_superuser=True)
    admin, headers = login(await make_user("root@example.com", is_superuser=True)), login(eve)

    async def take_away():
        await client.patch(f"/users/{eve.id}", headers=admin, json=taken)

    status = await slowly("POST", "/users/invitations", headers, {"email": "ada@example.com"}, take_away)

    assert status in (401, 403)
    assert await outbox() == []


async def test_an_email_change_by_an_ended_session_is_refused(client, make_user, login, slowly, stored):
    """Checklist 19."""
    user = await make_user()
    headers = login(user)

    async def log_out():
        await client.post("/users/logout", headers=headers)

    status = await slowly("POST", "/users/me/email", headers, {"new_email": "new@example.com"}, log_out)

    assert status == 401
    assert (await stored(user)).pending_email is None


async def test_an_email_change_cannot_be_finished_by_an_ended_session(
    client, manager, make_user, login, slowly, stored
):
    """Checklist 19: a thief must not take over the account after the owner has ended the session."""
    user = await make_user(pending_email="thief@example.com")
    headers, owner = login(user), login(user)
    body = {"token": manager.email_change_token(user, "thief@example.com")}

    async def end_other_sessions():
        await client.delete("/users/me/sessions", headers=owner)

    status = await slowly("POST", "/users/email-change", headers, body, end_other_sessions)

    assert status == 401
    assert (await stored(user)).email == user.email

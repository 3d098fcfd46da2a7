"""POST /users/me/password: the owner enters the current password and sets a new one."""

from datetime import UTC, datetime, timedelta

import pytest

OLD, NEW = "correct horse battery", "a brand new password"
BODY = {"current_password": OLD, "new_password": NEW}
KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def change_password(client):
    """`await change_password(visit)` sends what a front end would send, optionally with a different body."""

    async def send(visit, body=BODY, **headers):
        return await client.post("/users/me/password", json=body, headers=visit.headers | headers)

    return send


@pytest.fixture
def log_in(client):
    """`await log_in("password")` tries to log Ada in and returns the status."""

    async def send(password):
        answer = await client.post("/users/login", json={"email": "ada@example.com", "password": password})
        return answer.status_code

    return send


# Effects


@KINDS
async def test_the_new_password_replaces_the_old_one(make_user, visit, change_password, log_in, kind):
    here = await visit(await make_user(), kind)

    answer = await change_password(here)

    assert answer.status_code == 200
    assert await log_in(OLD) == 401
    assert await log_in(NEW) == 200


async def test_a_client_with_tokens_gets_new_ones_that_work(client, make_user, visit, change_password):
    user = await make_user()

    answer = (await change_password(await visit(user))).json()

    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    me = await client.get("/users/me", headers=headers)
    refreshed = await client.post("/users/token/refresh", json={"refresh_token": answer["refresh_token"]})
    assert (answer["id"], answer["token_type"], answer["expires_in"]) == (user.id, "bearer", 900)
    assert (me.status_code, refreshed.status_code) == (200, 200)


async def test_a_browser_gets_a_new_cookie_that_works_and_no_tokens(
    client, make_user, visit, change_password
):
    user = await make_user()

    answer = await change_password(await visit(user, "cookie"))

    cookie = answer.headers["set-cookie"].partition(";")[0]
    me = await client.get("/users/me", headers={"Cookie": cookie})
    assert cookie.startswith("__Host-session=")
    assert answer.json() == me.json()
    assert me.json()["id"] == user.id


@KINDS
async def test_the_previous_credentials_of_this_session_stop_working(
    client, make_user, visit, change_password, kind
):
    """Checklist 16 and 21."""
    here = await visit(await make_user(), kind)

    await change_password(here)

    assert (await client.get("/users/me", headers=here.headers)).status_code == 401


async def test_the_previous_refresh_token_stops_working(client, make_user, visit, change_password):
    here = await visit(await make_user())

    await change_password(here)

    answer = await client.post("/users/token/refresh", json={"refresh_token": here.issued.token})
    assert answer.status_code == 401


@KINDS
async def test_other_users_sessions_continue(client, make_user, visit, change_password, kind):
    eve = await visit(await make_user("eve@example.com"), kind)

    await change_password(await visit(await make_user("ada@example.com")))

    assert (await client.get("/users/me", headers=eve.headers)).status_code == 200


async def test_the_lifetime_of_the_session_is_not_extended(
    client, make_user, visit, change_password, set_clock
):
    """Checklist 18: the session's absolute limit stays the same."""
    set_clock(NOON)
    here = await visit(await make_user())
    set_clock(NOON + timedelta(days=1))

    answer = await change_password(here)

    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    (session,) = (await client.get("/users/me/sessions", headers=headers)).json()
    assert session["is_current"]
    assert session["created_at"] == "2030-05-01T12:00:00Z"
    assert session["expires_at"] == "2030-07-30T12:00:00Z"
    assert session["authenticated_at"] == "2030-05-02T12:00:00Z"


# Refusals


@pytest.mark.parametrize("wrong", ["", "wrong", NEW, OLD + " ", OLD.upper()])
async def test_a_wrong_current_password_changes_nothing(
    make_user, visit, change_password, stored, client, wrong
):
    user = await make_user()
    here = await visit(user)

    answer = await change_password(here, BODY | {"current_password": wrong})

    now = await stored(user)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["current_password"]
    assert (now.hashed_password, now.password_version) == (user.hashed_password, 0)
    assert (await client.get("/users/me", headers=here.headers)).status_code == 200


@pytest.mark.parametrize("refused", ["", "short", "x" * 129], ids=len)
async def test_a_refused_new_password_changes_nothing_and_is_not_hashed(
    make_user, visit, change_password, stored, hash_calls, refused
):
    user = await make_user()

    answer = await change_password(await visit(user), BODY | {"new_password": refused})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["new_password"]
    assert (await stored(user)).hashed_password == user.hashed_password
    assert hash_calls == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"new_password": NEW},
        {"current_password": OLD},
        BODY | {"current_password": None},
        BODY | {"new_password": 7},
        BODY | {"new_password": "x" * 1025},
    ],
    ids=str,
)
async def test_a_malformed_body_is_refused(make_user, visit, change_password, body):
    answer = await change_password(await visit(await make_user()), body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_login_is_required(client):
    answer = await client.post("/users/me/password", content=b"not even JSON")

    assert answer.status_code == 401


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
async def test_another_site_cannot_use_the_cookie(make_user, visit, change_password, stored, headers):
    """Checklist 35."""
    user = await make_user()

    answer = await change_password(await visit(user, "cookie"), **headers)

    assert answer.status_code == 403
    assert (await stored(user)).hashed_password == user.hashed_password


# Concurrent requests


@KINDS
async def test_only_one_of_four_concurrent_changes_succeeds(
    make_user, visit, change_password, at_once, stored, outbox, kind
):
    user = await make_user()
    here = await visit(user, kind)

    statuses = await at_once(4, lambda: change_password(here))

    assert statuses[0] == 200
    assert set(statuses[1:]) <= {400, 401}
    assert (await stored(user)).password_version == 1
    assert len(await outbox()) == 1


async def test_only_one_of_two_sessions_changes_the_password(
    make_user, visit, change_password, at_once, stored
):
    user = await make_user()
    visits = iter([await visit(user), await visit(user, "cookie")])

    statuses = await at_once(2, lambda: change_password(next(visits)))

    assert statuses[0] == 200
    assert statuses[1] in (400, 401)
    assert (await stored(user)).password_version == 1


@pytest.mark.parametrize(
    "columns", [{"is_active": False}, {"password_version": 1}, {"email": "new@example.com"}], ids=str
)
async def test_a_concurrently_changed_account_keeps_its_password(
    make_user, visit, change_password, meanwhile, change, stored, outbox, columns
):
    user = await make_user()
    here = await visit(user)
    meanwhile(lambda: change(user, **columns))

    answer = await change_password(here)

    assert answer.status_code in (400, 401)
    assert (await stored(user)).hashed_password == user.hashed_password
    assert await outbox() == []


async def test_a_concurrently_ended_session_sets_no_password(
    client, make_user, visit, change_password, meanwhile, stored, outbox
):
    user = await make_user()
    here = await visit(user)

    async def log_out():
        await client.post("/users/logout", headers=here.headers)

    meanwhile(log_out)

    answer = await change_password(here)

    assert answer.status_code == 401
    assert (await stored(user)).hashed_password == user.hashed_password
    assert await outbox() == []


async def test_a_concurrently_deleted_account_stays_deleted(
    client, manager, db, make_user, visit, change_password, meanwhile, accounts
):
    user = await make_user()
    here = await visit(user)

    async def delete():
        async with db.session() as session:
            await manager.delete(session, await manager.get_by_id(session, user.id))

    meanwhile(delete)

    answer = await change_password(here)

    assert answer.status_code in (400, 401)
    assert await accounts() == []


# Your own tests go below; template updates never touch them.

"""GET /users/me: the access token's user, read from the database each time."""

import pytest


async def test_the_response_has_the_public_account(client, make_user, login):
    user = await make_user("ada@example.com", is_superuser=True)

    answer = await client.get("/users/me", headers=login(user))

    assert answer.status_code == 200
    expected = {
        "id": user.id,
        "email": "ada@example.com",
        "is_active": True,
        "is_verified": False,
        "is_superuser": True,
    }
    assert answer.json() == answer.json() | expected
    assert not {"hashed_password", "password_version", "pending_email"} & set(answer.json())


async def test_each_user_sees_their_own_account(client, make_user, login):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")

    answers = [await client.get("/users/me", headers=login(user)) for user in (ada, eve)]

    assert [answer.json()["email"] for answer in answers] == ["ada@example.com", "eve@example.com"]


async def test_head_matches_get_without_a_body(client, make_user, login):
    answer = await client.head("/users/me", headers=login(await make_user()))

    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_name_of_the_scheme_is_case_insensitive(client, make_user, login):
    """RFC 9110, section 11.1."""
    token = login(await make_user())["Authorization"].removeprefix("Bearer ")

    answer = await client.get("/users/me", headers={"Authorization": f"bearer {token}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer x"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": b"Bearer \xff\xfe"},
        {"Authorization": "Basic YWRhOnBhc3N3b3Jk"},
        {"Cookie": "access_token=x"},
    ],
    ids=str,
)
async def test_an_invalid_token_is_refused(client, headers):
    answer = await client.get("/users/me", headers=headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_token_in_the_url_is_ignored(client, make_user, login):
    """ASVS 14.2.1: URLs end up in logs."""
    token = login(await make_user())["Authorization"].removeprefix("Bearer ")

    assert (await client.get("/users/me", params={"access_token": token})).status_code == 401


async def test_an_expired_token_is_refused(client, make_user, begin_session, expired_tokens):
    user = await make_user()
    session = await begin_session(user)
    token = expired_tokens.issue_access(user.id, session_id=session.session.id)

    answer = await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})

    assert answer.status_code == 401


async def test_disabling_the_account_invalidates_its_token(client, make_user, login, change):
    """Checklist 20; ASVS 7.4.2."""
    user = await make_user()
    headers = login(user)
    await change(user, is_active=False)

    assert (await client.get("/users/me", headers=headers)).status_code == 401


async def test_deleting_the_account_invalidates_its_token(client, make_user, login, manager, db):
    """Checklist 20; ASVS 7.4.2."""
    user = await make_user()
    headers = login(user)
    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, user.id))

    assert (await client.get("/users/me", headers=headers)).status_code == 401


async def test_a_password_reset_invalidates_the_token(client, make_user, login, manager):
    """Checklist 21; ASVS 7.4.3: an access token does not outlive the password."""
    user = await make_user()
    headers = login(user)

    await client.post(
        f"/users/password-reset/{manager.reset_token(user)}", json={"password": "a brand new password"}
    )

    assert (await client.get("/users/me", headers=headers)).status_code == 401


@pytest.mark.parametrize("changes", [{"email": "new@example.com"}, {"password": "a brand new password"}])
async def test_a_change_of_address_or_password_invalidates_the_token(
    client, make_user, login, manager, db, changes
):
    """Checklist 21, ASVS 7.4.3."""
    user = await make_user()
    headers = login(user)
    async with db.session() as session:
        await manager.update(session, await manager.get_by_id(session, user.id), **changes)

    assert (await client.get("/users/me", headers=headers)).status_code == 401


async def test_a_role_change_takes_effect_at_once(client, make_user, login, change):
    """Checklist 36: roles are read from the database, not from the token."""
    user = await make_user(is_superuser=True)
    headers = login(user)
    await change(user, is_superuser=False)

    assert (await client.get("/users/me", headers=headers)).json()["is_superuser"] is False


# Your own tests go below; template updates never touch them.

"""POST /users/login."""

import jwt
import pytest
from hawkapi_auth import needs_rehash

OLD_HASH = "$argon2id$v=19$m=8,t=1,p=1$dygR7TrHAO1PcC25GVSTYw$D+oW6hIw4UjktkGH6H9rSAU150JO9FUbQ6tSVGKJ0Tg"
"""A hash of the same password, created with weak parameters."""
ADA = {"email": "ada@example.com", "password": "correct horse battery"}


async def test_logging_in_returns_the_account_and_a_token(client, make_user):
    """The response contains the account as well as the token."""
    user = await make_user("ada@example.com", is_verified=True)

    answer = await client.post("/users/login", json=ADA)

    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("access_token")
    assert body.pop("refresh_token")
    expected = {
        "id": user.id,
        "email": "ada@example.com",
        "is_active": True,
        "is_verified": True,
        "is_superuser": False,
        "token_type": "bearer",
        "expires_in": 900,
    }
    assert body == body | expected


async def test_the_token_authenticates_the_next_request(client, make_user):
    await make_user("ada@example.com")
    token = (await client.post("/users/login", json=ADA)).json()["access_token"]

    answer = await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})

    assert answer.json()["email"] == "ada@example.com"


async def test_an_unverified_account_may_log_in(client, make_user):
    await make_user("ada@example.com", is_verified=False)

    assert (await client.post("/users/login", json=ADA)).status_code == 200


async def test_any_spelling_of_the_address_logs_in(client, make_user):
    await make_user("ada@example.com")

    answer = await client.post("/users/login", json=ADA | {"email": " ADA@Example.com"})

    assert answer.status_code == 200


@pytest.mark.parametrize("password", ["", "x", "correct horse batterY", "correct horse battery ", "x" * 1024])
async def test_a_wrong_password_is_refused(client, make_user, password):
    await make_user("ada@example.com")

    answer = await client.post("/users/login", json=ADA | {"password": password})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("email", ["eve@example.com", "x", "", "a@b@c", "a@x\r\nBcc: b@x", "ä@example.com"])
async def test_an_address_without_an_account_is_refused(client, email):
    answer = await client.post("/users/login", json=ADA | {"email": email})

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "ada@example.com"},
        {"password": "correct horse battery"},
        {"email": 1, "password": "correct horse battery"},
        {"email": "ada@example.com", "password": None},
        {"email": "ada@example.com", "password": "x" * 1025},
        {"email": "x" * 321, "password": "correct horse battery"},
        {"email": "ada\0@example.com", "password": "correct horse battery"},
    ],
)
async def test_an_invalid_body_is_refused_without_hashing(client, hash_calls, body):
    """Otherwise, a password of any length would be hashed."""
    answer = await client.post("/users/login", json=body)

    assert answer.status_code == 400
    assert hash_calls == []


async def test_the_tokens_lifetime_follows_the_setting(other_client, make_user):
    await make_user("ada@example.com")
    client = await other_client(access_ttl=60)

    body = (await client.post("/users/login", json=ADA)).json()

    claims = jwt.decode(body["access_token"], options={"verify_signature": False})
    assert body["expires_in"] == 60
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.usefixtures("real_hashing")
async def test_a_hash_with_old_parameters_is_renewed(client, make_user, change, stored):
    user = await make_user("ada@example.com")
    await change(user, hashed_password=OLD_HASH)

    answer = await client.post("/users/login", json=ADA)

    renewed = (await stored(user)).hashed_password
    assert answer.status_code == 200
    assert not needs_rehash(renewed)
    assert (await client.post("/users/login", json=ADA)).status_code == 200


async def test_renewing_the_hash_keeps_tokens_valid(client, make_user, change, stored):
    user = await make_user("ada@example.com")
    await change(user, hashed_password=OLD_HASH)
    await client.post("/users/login", json=ADA)

    assert (await stored(user)).password_version == 0


async def test_logging_in_sends_no_mail(client, make_user, outbox):
    await make_user("ada@example.com")

    await client.post("/users/login", json=ADA)

    assert await outbox() == []


# Your own tests go below; template updates never touch them.

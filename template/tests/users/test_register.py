"""POST /users/register."""

import pytest

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

JSON = {"Content-Type": "application/json"}


async def test_a_new_account_is_active_and_unverified(client):
    answer = await client.post("/users/register", json=ADA)

    account = answer.json()
    assert answer.status_code == 201
    assert account.pop("id")
    expected = {
        "email": "ada@example.com",
        "is_active": True,
        "is_verified": False,
        "is_superuser": False,
    }
    assert account == account | expected


async def test_the_account_and_its_mail_are_committed_before_the_response(client, accounts, outbox):
    """The response is not sent before the commit."""
    answer = await client.post("/users/register", json=ADA)

    (account,) = await accounts()
    (mail,) = await outbox()
    assert account.id == answer.json()["id"]
    assert mail.to == ["ada@example.com"]


async def test_addresses_are_normalized(client, accounts):
    await client.post("/users/register", json=ADA | {"email": "  Ada@EXAMPLE.com "})

    assert [account.email for account in await accounts()] == ["ada@example.com"]


async def test_a_taken_address_is_a_conflict(client, make_user, accounts, outbox):
    first = await make_user("ada@example.com")

    answer = await client.post("/users/register", json=ADA | {"password": "another long password"})

    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert [account.hashed_password for account in await accounts()] == [first.hashed_password]
    assert await outbox() == []


async def test_another_spelling_of_a_taken_address_is_a_conflict(client, make_user):
    await make_user("ada@example.com")

    answer = await client.post("/users/register", json=ADA | {"email": "ADA@Example.Com"})

    assert answer.status_code == 409


@pytest.mark.parametrize(
    "email",
    [
        "",
        "x",
        "a@b@c",
        "@example.com",
        "ada@",
        "ada@example",
        "ada@example..com",
        "ada @example.com",
        "ada@exam ple.com",
        "ada@example.com\r\nBcc: evil@example.com",
        "a@x\nBcc:evil@example.com",
        "Ada <ada@example.com>",
        "ada@example.com,eve@example.com",
        "äda@example.com",
        "ada@[127.0.0.1]",
        "a" * 243 + "@example.com",
        "ada@" + "example." * 40 + "com",
    ],
)
async def test_an_invalid_address_is_refused(client, accounts, outbox, email):
    """ASVS 2.2.1: addresses that cannot receive e-mail are not stored."""
    answer = await client.post("/users/register", json=ADA | {"email": email})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["email"]
    assert await accounts() == []
    assert await outbox() == []


@pytest.mark.parametrize(
    "body",
    [
        rb'{"email": "ada\u0000@example.com", "password": "correct horse battery"}',
        rb'{"email": "ada\ud800@example.com", "password": "correct horse battery"}',
        b'{"email": "ada\xff@example.com", "password": "correct horse battery"}',
        rb'{"email": "ada@example.com", "password": "correct horse \u0000battery"}',
        rb'{"email": "ada@example.com", "password": "correct horse \udfff battery"}',
        b'{"email": "ada@example.com"',
        b"",
        b"null",
        b"[]",
        b'"ada@example.com"',
        b"[" * 100_000,
        b'{"email": ' * 5_000,
    ],
    ids=str,
)
async def test_an_unreadable_body_is_refused(client, accounts, body):
    """The response is never a 500 and contains no parser messages."""
    answer = await client.post("/users/register", content=body, headers=JSON)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert "byte" not in answer.text
    assert await accounts() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"password": "correct horse battery"}, "email"),
        ({"email": "ada@example.com"}, "password"),
        ({"email": None, "password": "correct horse battery"}, "email"),
        ({"email": ["ada@example.com"], "password": "correct horse battery"}, "email"),
        ({"email": "ada@example.com", "password": 123456789012}, "password"),
        ({"email": "ada@example.com", "password": {}}, "password"),
    ],
)
async def test_missing_and_mistyped_fields_are_named(client, body, field):
    answer = await client.post("/users/register", json=body)

    assert answer.status_code == 400
    assert field in answer.text


async def test_an_oversized_body_is_refused_before_it_is_read(client, hash_calls):
    """The response is 413, and nothing is hashed."""
    answer = await client.post("/users/register", json=ADA | {"password": "x" * 9_000_000})

    assert answer.status_code == 413
    assert hash_calls == []


async def test_a_body_that_is_not_json_is_refused(client):
    answer = await client.post("/users/register", data=ADA)

    assert answer.status_code == 415


async def test_submitted_values_are_not_echoed(client):
    answer = await client.post("/users/register", json={"email": "<script>@x", "password": "sesame" * 50})

    assert "script" not in answer.text
    assert "sesame" not in answer.text


# Your own tests go below; template updates never touch them.

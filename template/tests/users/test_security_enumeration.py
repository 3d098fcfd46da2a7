"""Nobody learns from an answer which addresses have an account: equal answers for equal work.

Work is counted (hashes, mails rendered, rows written, statements sent), never timed: a clock in a test is
either blind or fails for no reason. Checklist 13 and 14; ASVS 6.3.8; CWE-204, CWE-208.
"""

import pytest

PASSWORD = {"password": "correct horse battery"}
ASKING = pytest.mark.parametrize("path", ["/users/verify/request", "/users/password-reset/request"])
SILENT = pytest.mark.parametrize(
    ("path", "account"),
    [
        ("/users/verify/request", {"is_verified": True}),
        ("/users/verify/request", {"is_active": False}),
        ("/users/password-reset/request", {"is_active": False}),
    ],
)


def visible(answer):
    """All that a client sees of an answer."""
    return answer.status_code, answer.content, dict(answer.headers)


# Asking for a link


@ASKING
async def test_known_and_unknown_get_the_same_answer(client, make_user, path):
    await make_user("ada@example.com")

    known = await client.post(path, json={"email": "ada@example.com"})
    unknown = await client.post(path, json={"email": "eve@example.com"})
    no_address = await client.post(path, json={"email": "no address"})

    assert visible(known) == visible(unknown) == visible(no_address)


@SILENT
async def test_accounts_that_get_no_mail_get_the_same_answer(client, make_user, path, account):
    await make_user("ada@example.com")
    await make_user("silent@example.com", **account)

    known = await client.post(path, json={"email": "ada@example.com"})
    silent = await client.post(path, json={"email": "silent@example.com"})

    assert visible(known) == visible(silent)


@ASKING
async def test_known_and_unknown_render_and_store_alike(client, make_user, rendered, outbox_rows, path):
    """Field notes, defect 6: an unknown address is answered no sooner."""
    await make_user("ada@example.com")
    await client.post(path, json={"email": "ada@example.com"})
    known = (len(rendered), await outbox_rows())

    await client.post(path, json={"email": "eve@example.com"})

    assert known == (2, 1)
    assert (len(rendered), await outbox_rows()) == (4, 2)


@SILENT
async def test_accounts_that_get_no_mail_render_and_store_alike(
    client, make_user, rendered, outbox_rows, path, account
):
    await make_user("silent@example.com", **account)

    await client.post(path, json={"email": "silent@example.com"})

    assert (len(rendered), await outbox_rows()) == (2, 1)


@ASKING
async def test_known_and_unknown_send_the_same_statements(client, make_user, statements, path):
    await make_user("ada@example.com")
    statements.clear()
    await client.post(path, json={"email": "ada@example.com"})
    known = list(statements)
    statements.clear()

    await client.post(path, json={"email": "eve@example.com"})

    assert statements == known


@ASKING
async def test_nobody_gets_a_mail_for_an_unknown_address(client, outbox, path):
    await client.post(path, json={"email": "eve@example.com"})

    assert await outbox() == []


@ASKING
async def test_asking_hashes_nothing(client, make_user, hash_calls, path):
    await make_user("ada@example.com")

    await client.post(path, json={"email": "ada@example.com"})
    await client.post(path, json={"email": "eve@example.com"})

    assert hash_calls == []


# Logging in


async def test_unknown_wrong_and_disabled_get_the_same_answer(client, make_user):
    await make_user("ada@example.com")
    await make_user("disabled@example.com", is_active=False)

    unknown = await client.post("/users/login", json=PASSWORD | {"email": "eve@example.com"})
    wrong = await client.post("/users/login", json={"email": "ada@example.com", "password": "wrong"})
    disabled = await client.post("/users/login", json=PASSWORD | {"email": "disabled@example.com"})

    assert visible(unknown) == visible(wrong) == visible(disabled)


@pytest.mark.parametrize("email", ["ada@example.com", "disabled@example.com", "eve@example.com", "x", ""])
async def test_each_failed_login_verifies_exactly_one_hash(client, make_user, hash_calls, email):
    await make_user("ada@example.com")
    await make_user("disabled@example.com", is_active=False)

    await client.post("/users/login", json={"email": email, "password": "wrong"})

    assert hash_calls == ["verify_password"]


async def test_a_login_verifies_no_more_than_that(client, make_user, hash_calls):
    await make_user("ada@example.com")

    await client.post("/users/login", json=PASSWORD | {"email": "ada@example.com"})

    assert hash_calls == ["verify_password"]


# Registering


@pytest.mark.parametrize("email", ["ada@example.com", "eve@example.com"])
async def test_a_taken_and_a_free_address_hash_once(client, make_user, hash_calls, email):
    """Field notes, defect 8."""
    await make_user("ada@example.com")

    await client.post("/users/register", json=PASSWORD | {"email": email})

    assert hash_calls == ["hash"]


# Links


async def test_a_link_of_nobody_and_a_used_one_get_the_same_answer(client, manager, make_user):
    token = manager.verify_token(await make_user())
    await client.post(f"/users/verify/{token}")

    used = await client.post(f"/users/verify/{token}")
    nobody = await client.post(f"/users/verify/{manager.tokens.issue_verify('nobody')}")
    nonsense = await client.post("/users/verify/x")

    assert visible(used) == visible(nobody) == visible(nonsense)

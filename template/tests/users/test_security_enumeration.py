"""No response reveals which addresses have an account: the response and the work are the same.

Work is counted (hashes, e-mails rendered, rows written, statements sent), never timed: timing tests miss
differences or are flaky. Checklist 13 and 14; ASVS 6.3.8; CWE-204, CWE-208.
"""

import pytest
from hawkapi_mail import InMemoryBackend

from app.mail import build_worker

PASSWORD = {"password": "correct horse battery"}
ASKING = pytest.mark.parametrize("path", ["/users/verify/request", "/users/password-reset/request"])
LOGINS = pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
SILENT = pytest.mark.parametrize(
    ("path", "account"),
    [
        ("/users/verify/request", {"is_verified": True}),
        ("/users/verify/request", {"is_active": False}),
        ("/users/password-reset/request", {"is_active": False}),
    ],
)


def visible(answer):
    """Everything in a response that a client can see."""
    # The request id is random.
    return answer.status_code, answer.content, dict(answer.headers) | {"x-request-id": ""}


# Requesting a link


@ASKING
async def test_known_and_unknown_get_the_same_response(client, make_user, path):
    """Checklist 13: the status, body, headers and cookies are the same, for a reset and for a resent link."""
    await make_user("ada@example.com")

    known = await client.post(path, json={"email": "ada@example.com"})
    unknown = await client.post(path, json={"email": "eve@example.com"})
    no_address = await client.post(path, json={"email": "no address"})

    assert visible(known) == visible(unknown) == visible(no_address)


@SILENT
async def test_accounts_that_get_no_mail_get_the_same_response(client, make_user, path, account):
    """Checklist 13."""
    await make_user("ada@example.com")
    await make_user("silent@example.com", **account)

    known = await client.post(path, json={"email": "ada@example.com"})
    silent = await client.post(path, json={"email": "silent@example.com"})

    assert visible(known) == visible(silent)


@ASKING
async def test_known_and_unknown_do_the_same_work(client, make_user, rendered, outbox_rows, path):
    """Checklist 13 and 14: the response for an unknown address is not faster."""
    await make_user("ada@example.com")
    await client.post(path, json={"email": "ada@example.com"})
    known = (len(rendered), await outbox_rows())

    await client.post(path, json={"email": "eve@example.com"})

    assert known == (2, 1)
    assert (len(rendered), await outbox_rows()) == (4, 2)


@SILENT
async def test_accounts_that_get_no_mail_do_the_same_work(
    client, make_user, rendered, outbox_rows, path, account
):
    """Checklist 13."""
    await make_user("silent@example.com", **account)

    await client.post(path, json={"email": "silent@example.com"})

    assert (len(rendered), await outbox_rows()) == (2, 1)


@ASKING
async def test_known_and_unknown_send_the_same_statements(client, make_user, statements, path):
    """Checklist 13."""
    await make_user("ada@example.com")
    statements.clear()
    await client.post(path, json={"email": "ada@example.com"})
    known = list(statements)
    statements.clear()

    await client.post(path, json={"email": "eve@example.com"})

    assert statements == known


@ASKING
async def test_an_unknown_address_sends_no_mail(client, outbox, path):
    await client.post(path, json={"email": "eve@example.com"})

    assert await outbox() == []


@ASKING
async def test_a_request_hashes_nothing(client, make_user, hash_calls, path):
    """Checklist 14."""
    await make_user("ada@example.com")

    await client.post(path, json={"email": "ada@example.com"})
    await client.post(path, json={"email": "eve@example.com"})

    assert hash_calls == []


# Logging in


@LOGINS
async def test_unknown_wrong_and_disabled_get_the_same_response(client, make_user, path):
    """Checklist 13: failed logins do not reveal who has an account."""
    await make_user("ada@example.com")
    await make_user("disabled@example.com", is_active=False)

    client.headers.update(OWN_PAGE)
    unknown = await client.post(path, json=PASSWORD | {"email": "eve@example.com"})
    wrong = await client.post(path, json={"email": "ada@example.com", "password": "wrong"})
    disabled = await client.post(path, json=PASSWORD | {"email": "disabled@example.com"})

    assert unknown.status_code == 401
    assert visible(unknown) == visible(wrong) == visible(disabled)


@LOGINS
@pytest.mark.parametrize("email", ["ada@example.com", "disabled@example.com", "eve@example.com", "x", ""])
async def test_each_failed_login_verifies_exactly_one_hash(client, make_user, hash_calls, email, path):
    """Checklist 14: known, disabled and unknown addresses all take one hash."""
    await make_user("ada@example.com")
    await make_user("disabled@example.com", is_active=False)

    await client.post(path, json={"email": email, "password": "wrong"}, headers=OWN_PAGE)

    assert hash_calls == ["verify_password"]


async def test_a_successful_login_verifies_one_hash(client, make_user, hash_calls):
    """Checklist 14."""
    await make_user("ada@example.com")

    await client.post("/users/login", json=PASSWORD | {"email": "ada@example.com"})

    assert hash_calls == ["verify_password"]


# Registering


@pytest.mark.parametrize("email", ["ada@example.com", "eve@example.com"])
async def test_a_taken_and_a_free_address_hash_once(client, make_user, hash_calls, email):
    """Checklist 14: without the hash, the response for a taken address would be faster."""
    await make_user("ada@example.com")

    await client.post("/users/register", json=PASSWORD | {"email": email})

    assert hash_calls == ["hash"]


# Changing the address


async def test_a_taken_and_a_free_new_address_get_the_same_response(client, make_user, login):
    """Checklist 13: changing an address does not reveal who has an account."""
    await make_user("taken@example.com")
    headers = login(await make_user("ada@example.com"))

    taken = await client.post("/users/me/email", json={"new_email": "taken@example.com"}, headers=headers)
    free = await client.post("/users/me/email", json={"new_email": "free@example.com"}, headers=headers)

    assert taken.status_code == 202
    assert visible(taken) == visible(free)


# Links


async def test_an_unknown_and_a_used_link_get_the_same_response(client, manager, make_user):
    """Checklist 13: e-mailed links do not reveal who has an account."""
    token = manager.verify_token(await make_user())
    await client.post(f"/users/verify/{token}")

    used = await client.post(f"/users/verify/{token}")
    nobody = await client.post(f"/users/verify/{manager.tokens.issue_verify('nobody')}")
    nonsense = await client.post("/users/verify/x")

    assert visible(used) == visible(nobody) == visible(nonsense)


# E-mail


async def test_no_mail_is_sent_before_the_response(client, db, settings, make_user, login, monkeypatch):
    """Checklist 14: e-mails are sent from the outbox. Otherwise, the response time would reveal who gets
    one."""
    sent = []

    async def send(self, message):
        sent.append(message.to)

    monkeypatch.setattr(InMemoryBackend, "send", send)
    ada = {"email": "ada@example.com"}
    headers = login(await make_user(**ada))

    await client.post("/users/verify/request", json=ada)
    await client.post("/users/password-reset/request", json=ada)
    await client.post("/users/register", json=PASSWORD | {"email": "eve@example.com"})
    await client.post("/users/me/email", json={"new_email": "new@example.com"}, headers=headers)
    meanwhile = list(sent)
    await build_worker(db, settings).run_once()

    assert meanwhile == []
    assert len(sent) == 5


# Your own tests go below; template updates never touch them.

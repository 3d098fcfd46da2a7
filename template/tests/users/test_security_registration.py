"""Registration does not reveal accounts, and owners can take over accounts created with their address.

Checklist 13, 14 and 29; ASVS 6.3.8; CWE-204.
"""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, event

from app.limits import Rate
from app.users.emails import NOTICES
from app.users.rate_limits import LIMITS
from tests.users.conftest import runs_out_first

ADA = {"email": "ada@example.com", "password": "a password of the owner"}
ROW = LIMITS["wrong_password"]
PER_STRANGER = runs_out_first(ROW.ip, ROW.account, ROW.ip_and_account).count
ATTACK = {"email": "ada@example.com", "password": "a password of the attacker"}


@pytest.fixture
async def private(other_client):
    """A client of an application with REGISTRATION=private."""
    return await other_client(registration="private")


def visible(answer):
    """Everything in a response that a client can see, with the cookie's value reduced to its length."""
    cookie = answer.headers["set-cookie"]
    headers = dict(answer.headers) | {"set-cookie": "", "x-request-id": ""}
    return answer.status_code, answer.content, headers, len(cookie), cookie.partition(";")[2]


# REGISTRATION=private


async def test_a_new_and_a_taken_address_get_the_same_response(private, make_user):
    """Checklist 13."""
    await make_user("ada@example.com")

    taken = await private.post("/users/register", json=ADA)
    new = await private.post("/users/register", json=ADA | {"email": "eve@example.com"})

    assert (taken.status_code, new.status_code) == (202, 202)
    assert visible(taken) == visible(new)


async def test_the_owner_of_a_taken_address_is_notified(private, make_user, outbox):
    """Checklist 13."""
    await make_user("ada@example.com", is_verified=True)

    await private.post("/users/register", json=ADA)

    (mail,) = await outbox()
    assert mail.all_recipients() == ["ada@example.com"]
    assert NOTICES["already_registered"].sentence in mail.text_body
    assert "://" not in mail.text_body


async def test_a_new_address_gets_its_link(private, outbox):
    await private.post("/users/register", json=ADA)

    (mail,) = await outbox()
    assert "/users/verify/" in mail.text_body


@pytest.mark.parametrize("email", ["ada@example.com", "eve@example.com"])
@pytest.mark.parametrize("is_verified", [False, True])
async def test_a_new_and_a_taken_address_do_the_same_work(
    private, make_user, hash_calls, rendered, outbox_rows, email, is_verified
):
    """Checklist 14: either address takes one hash and one e-mail. The test counts hashes and e-mails,
    because timing tests miss differences or are flaky.
    """
    await make_user("ada@example.com", is_verified=is_verified)

    await private.post("/users/register", json=ADA | {"email": email})

    assert hash_calls == ["hash"]
    assert (len(rendered), await outbox_rows()) == (2, 1)


async def test_a_taken_address_keeps_its_password(private, client, make_user):
    await make_user("ada@example.com")

    await private.post("/users/register", json=ATTACK)

    attack = await client.post("/users/login", json=ATTACK)
    owner = await client.post("/users/login", json=ADA | {"password": "correct horse battery"})
    assert (attack.status_code, owner.status_code) == (401, 200)


async def test_a_disabled_account_gets_no_mail_and_is_not_revealed(private, make_user, outbox, outbox_rows):
    """Checklist 13."""
    await make_user("ada@example.com", is_active=False)

    disabled = await private.post("/users/register", json=ADA)
    new = await private.post("/users/register", json=ADA | {"email": "eve@example.com"})

    assert visible(disabled) == visible(new)
    assert [mail.all_recipients() for mail in await outbox()] == [["eve@example.com"]]
    assert await outbox_rows() == 2


async def test_an_owner_is_not_flooded_by_registrations(private, make_user, outbox):
    """Checklist 12: the response stays the same."""
    await make_user("ada@example.com")
    most = Rate.parse(LIMITS["register"].mailbox).count

    answers = [await private.post("/users/register", json=ADA) for _ in range(most + 2)]

    assert {answer.status_code for answer in answers} == {202}
    assert len(await outbox()) == most


@pytest.mark.parametrize("email", ["ada@example.com", "eve@example.com"])
async def test_a_weak_password_gets_the_same_refusal(private, make_user, email):
    """Checklist 13."""
    await make_user("ada@example.com")

    answer = await private.post("/users/register", json={"email": email, "password": "short"})

    assert answer.status_code == 400
    assert "at least 12 characters" in answer.json()["detail"]


async def test_concurrent_registrations_create_one_account(private, accounts, at_once):
    """Checklist 13: the losers of the race learn nothing."""

    statuses = await at_once(6, lambda: private.post("/users/register", json=ADA))

    assert statuses == [202] * 6
    assert len(await accounts()) == 1


async def test_registering_a_taken_address_does_not_make_the_browser_known(
    private, client, manager, make_user, stored, browser_of_answer
):
    """Checklist 29: otherwise, an owner who tries to register would confirm someone else's password."""
    user = await make_user("ada@example.com")

    answer = await private.post("/users/register", json=ADA)

    cookie = browser_of_answer(answer)["Cookie"].partition("=")[2]
    assert manager.device_cookies.is_ours(cookie)
    assert not manager.is_known_browser(cookie, user)


@pytest.fixture
def all_statements():
    """The first word of each SQL statement that any application has sent so far."""
    seen = []

    def note(connection, cursor, statement, *rest):
        seen.append(statement.split()[0])

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


WAYS_TO_LOG_IN = ["/users/login", "/users/login/cookie"]


@pytest.fixture
def as_stranger(private, browser_of_answer):
    """`await as_stranger("ada@example.com", path)` registers, logs in and tries too many wrong passwords."""

    async def explore(email, path):
        own = {"email": email, "password": "a password of the attacker"}
        registered = await private.post("/users/register", json=own)
        headers = browser_of_answer(registered) | {"Origin": "http://test"}
        private.cookies.clear()
        first = await private.post(path, json=own, headers=headers)
        wrong = own | {"password": "a wrong password"}
        rest = [await private.post(path, json=wrong, headers=headers) for _ in range(PER_STRANGER + 3)]
        return [visible(registered), *((each.status_code, each.content) for each in (first, *rest))]

    return explore


@pytest.mark.parametrize("path", WAYS_TO_LOG_IN)
async def test_login_does_not_reveal_whether_the_address_was_new(
    as_stranger, app, make_user, set_clock, path
):
    """Checklist 13: neither a login nor the separate limit for known browsers reveals whether an address
    was new."""
    set_clock(datetime(2030, 5, 1, 12, tzinfo=UTC))
    await make_user("ada@example.com", is_verified=True)

    taken = await as_stranger("ada@example.com", path)
    await app.state.limiter.clear()
    new = await as_stranger("eve@example.com", path)

    assert new == taken
    assert [status for status, *_ in new] == [202, *[401] * PER_STRANGER, *[429] * 4]


async def test_an_unverified_account_does_the_work_of_a_wrong_password(private, hash_calls, all_statements):
    """Checklist 14: either login takes one hash and the same statements."""
    await private.post("/users/register", json=ADA)
    hash_calls.clear()
    all_statements.clear()

    await private.post("/users/login", json=ADA)
    unverified = [each for each in all_statements if each != "BEGIN"]
    all_statements.clear()
    await private.post("/users/login", json=ADA | {"password": "a wrong password"})
    wrong = [each for each in all_statements if each != "BEGIN"]

    assert hash_calls == ["verify_password", "verify_password"]
    assert unverified == wrong


async def test_verifying_with_the_password_allows_login(private, mailed_token):
    await private.post("/users/register", json=ADA)
    before = await private.post("/users/login", json=ADA)

    await private.post("/users/verify", json={"token": await mailed_token(), "password": ADA["password"]})

    assert before.status_code == 401
    assert "not verified yet" in before.json()["detail"]
    assert (await private.post("/users/login", json=ADA)).status_code == 200


async def test_a_reset_verifies_the_address_it_was_mailed_to(private, mailed_token, accounts):
    await private.post("/users/register", json=ADA)
    await private.post("/users/password-reset/request", json={"email": ADA["email"]})

    await private.post(
        "/users/password-reset", json={"token": await mailed_token(), "password": "another good password"}
    )

    [user] = await accounts()
    login = await private.post("/users/login", json=ADA | {"password": "another good password"})
    assert (user.is_verified, login.status_code) == (True, 200)


async def test_registering_again_mails_the_verification_link_again(private, outbox):
    await private.post("/users/register", json=ADA)

    await private.post("/users/register", json=ADA)

    assert ["/users/verify/" in mail.text_body for mail in await outbox()] == [True, True]


# LOGIN_REQUIRES_VERIFICATION=true


@pytest.fixture
async def verified_only(other_client):
    """A client of an application with REGISTRATION=open and LOGIN_REQUIRES_VERIFICATION=true."""
    return await other_client(registration="open", login_requires_verification=True)


async def test_required_verification_blocks_login(verified_only, mailed_token):
    await verified_only.post("/users/register", json=ADA)
    before = await verified_only.post("/users/login", json=ADA)
    wrong = await verified_only.post("/users/login", json=ADA | {"password": "a wrong password"})

    link = {"token": await mailed_token(), "password": ADA["password"]}
    await verified_only.post("/users/verify", json=link)

    assert (before.status_code, before.json()) == (401, wrong.json())
    assert "not verified yet" in before.json()["detail"]
    assert (await verified_only.post("/users/login", json=ADA)).status_code == 200


async def test_a_reset_satisfies_required_verification(verified_only, mailed_token, accounts):
    await verified_only.post("/users/register", json=ADA)
    await verified_only.post("/users/password-reset/request", json={"email": ADA["email"]})
    new = {"token": await mailed_token(), "password": "another good password"}

    await verified_only.post("/users/password-reset", json=new)

    [user] = await accounts()
    assert user.is_verified


async def test_optional_verification_does_not_block_login(client):
    await client.post("/users/register", json=ADA)

    assert (await client.post("/users/login", json=ADA)).status_code == 200


# REGISTRATION=closed


async def test_closed_registration_is_refused(other_client, accounts, hash_calls):
    client = await other_client(registration="closed")

    answer = await client.post("/users/register", json=ADA)

    assert answer.status_code == 403
    assert (
        answer.json()["detail"]
        == "Registration is by invitation only. Ask an administrator for an invitation."
    )
    assert await accounts() == []
    assert hash_calls == []


# An account that someone else created


@pytest.fixture
async def attacked(client, mailed_token):
    """Someone created an account with Ada's address and is logged in. Ada was sent the verification link."""
    await client.post("/users/register", json=ATTACK)
    link = await mailed_token()
    tokens = (await client.post("/users/login", json=ATTACK)).json()
    client.cookies.clear()
    return link, {"Authorization": f"Bearer {tokens['access_token']}"}, tokens["refresh_token"]


@pytest.mark.parametrize("way", ["path", "body", "form"])
async def test_verifying_an_account_created_by_someone_else_takes_it_over(client, attacked, status_of, way):
    """Checklist 29: the attacker's password and sessions stop working."""
    link, session, refresh = attacked
    requests = {
        "path": lambda: client.post(f"/users/verify/{link}"),
        "body": lambda: client.post("/users/verify", json={"token": link}),
        "form": lambda: client.post(f"/users/verify/{link}", data={"password": ""}),
    }

    answer = await requests[way]()

    assert answer.status_code == 200
    assert await status_of(session) == 401
    assert (await client.post("/users/token/refresh", json={"refresh_token": refresh})).status_code == 401
    assert (await client.post("/users/login", json=ATTACK)).status_code == 401


async def test_verifying_an_account_created_by_someone_else_mails_a_password_link(
    client, attacked, mailed_token
):
    """Checklist 29."""
    await client.post(f"/users/verify/{attacked[0]}")

    reset = await client.post(f"/users/password-reset/{await mailed_token()}", json=ADA)

    assert reset.json()["is_verified"] is True
    assert (await client.post("/users/login", json=ADA)).status_code == 200


async def test_a_reset_takes_over_an_account_created_by_someone_else(
    client, attacked, status_of, mailed_token
):
    """Checklist 29: owners reset the password when they find that their address is taken."""
    await client.post("/users/password-reset/request", json={"email": "ada@example.com"})

    await client.post(f"/users/password-reset/{await mailed_token()}", json=ADA)

    assert await status_of(attacked[1]) == 401
    assert (await client.post("/users/login", json=ATTACK)).status_code == 401
    assert (await client.post(f"/users/verify/{attacked[0]}")).status_code == 400


async def test_registering_again_does_not_confirm_the_existing_password(
    private, client, attacked, status_of, browser_of_answer
):
    """Checklist 29: the owner tries to register and opens the link from the attacker's registration."""
    own = browser_of_answer(await private.post("/users/register", json=ADA))

    await client.post(f"/users/verify/{attacked[0]}", headers=own)

    assert await status_of(attacked[1]) == 401
    assert (await client.post("/users/login", json=ATTACK)).status_code == 401


async def test_the_page_asks_another_browser_for_the_password(client, attacked):
    """Checklist 29."""
    page = await client.get(f"/users/verify/{attacked[0]}")

    assert 'type="password"' in page.text
    assert "created in another browser" in page.text


# The creator keeps the account


@pytest.fixture
async def registered(client, mailed_token, browser_of_answer):
    """Ada has registered. Returns her link and her browser's cookie."""
    answer = await client.post("/users/register", json=ADA)
    client.cookies.clear()
    return await mailed_token(), browser_of_answer(answer)


async def test_the_browser_that_registered_verifies_with_a_button(client, registered):
    link, browser = registered

    page = await client.get(f"/users/verify/{link}", headers=browser)
    answer = await client.post(f"/users/verify/{link}", headers=browser)

    assert 'type="password"' not in page.text
    assert answer.json()["is_verified"] is True
    assert (await client.post("/users/login", json=ADA)).status_code == 200


async def test_another_browser_keeps_the_password_by_entering_it(client, registered):
    answer = await client.post(f"/users/verify/{registered[0]}", json={"password": ADA["password"]})

    assert answer.json()["is_verified"] is True
    assert (await client.post("/users/login", json=ADA)).status_code == 200


async def test_a_logged_in_owner_keeps_the_password_and_the_session(client, registered, status_of):
    access = (await client.post("/users/login", json=ADA)).json()["access_token"]
    session = {"Authorization": f"Bearer {access}"}
    client.cookies.clear()

    await client.post(f"/users/verify/{registered[0]}", headers=session)

    assert await status_of(session) == 200
    assert (await client.post("/users/login", json=ADA)).status_code == 200


async def test_a_wrong_password_keeps_the_link_valid(client, registered, accounts):
    refused = await client.post(f"/users/verify/{registered[0]}", json={"password": "another password"})
    form = await client.post(f"/users/verify/{registered[0]}", data={"password": "another password"})
    [user] = await accounts()

    assert (refused.status_code, form.status_code, user.is_verified) == (400, 400, False)
    assert (refused.json()["code"], refused.json()["errors"][0]["field"]) == ("wrong_password", "password")
    assert 'role="alert"' in form.text
    assert (await client.post(f"/users/verify/{registered[0]}", json=ADA)).status_code == 200


# An account that someone else created for an invited address


@pytest.mark.parametrize("way", ["path", "body", "form"])
async def test_an_invitation_does_not_verify_an_account_created_otherwise(client, manager, db, accounts, way):
    """Checklist 29: the link neither verifies that account nor changes its password."""
    async with db.session() as session:
        _, token = await manager.invitations.make(session, "ada@example.com", invited_by="cli")
    await client.post("/users/register", json=ATTACK)
    [before] = await accounts()
    requests = {
        "path": lambda: client.post(f"/users/invitation/{token}", json=ADA),
        "body": lambda: client.post("/users/invitation", json=ADA | {"token": token}),
        "form": lambda: client.post(f"/users/invitation/{token}", data=ADA),
    }

    answer = await requests[way]()

    [after] = await accounts()
    assert answer.status_code == 409
    assert (after.id, after.is_verified, after.is_superuser) == (before.id, False, False)
    assert (after.hashed_password, after.password_version) == (before.hashed_password, 0)


# Your own tests go below; template updates never touch them.

"""An account that must set a new password: the right password counts as wrong until an e-mailed link sets
another.

ASVS 6.4.2, 7.4.3, 8.2.1.
"""

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from app.users import User
from app.users.emails import RESET_REQUIRED

EMAIL, PASSWORD, NEW = "ada@example.com", "correct horse battery", "a brand new password"
RIGHT, WRONG = {"email": EMAIL, "password": PASSWORD}, {"email": EMAIL, "password": "not the right one"}
OWN_PAGE = {"Sec-Fetch-Site": "same-origin"}
LOGINS = pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])


@pytest.fixture
def require(admin):
    """`await require(user)`: a superuser requires a password reset for *user*. `value=False` lifts the
    requirement.
    """

    async def patch(user, *, value=True):
        return await admin.patch(f"/users/{user.id}", json={"must_reset_password": value})

    return patch


def visible(answer):
    """Everything in a response that a client can see, except the request id."""
    return answer.status_code, answer.content, dict(answer.headers) | {"x-request-id": ""}


# What the requirement ends


async def test_every_session_and_older_link_stops_working(
    client, make_user, logins, manager, change, stored, require
):
    """Checklist 21; ASVS 7.4.3."""
    user = await make_user(pending_email="new@example.com")
    try_all = await logins(user)
    links = [
        ("verify", manager.verify_token(user), {}),
        ("password-reset", manager.reset_token(user), {"password": NEW}),
        ("email-change", manager.email_change_token(user, "new@example.com"), {}),
    ]

    await require(user)

    answers = [await client.post(f"/users/{path}/{token}", json=body) for path, token, body in links]
    assert await try_all() == [401, 401, 401]
    assert [answer.status_code for answer in answers] == [400, 400, 400]


@LOGINS
async def test_the_right_password_gets_the_response_of_a_wrong_one(client, make_user, require, path):
    """Checklist 13."""
    await require(await make_user())

    right = await client.post(path, json=RIGHT, headers=OWN_PAGE)
    wrong = await client.post(path, json=WRONG, headers=OWN_PAGE)
    unknown = await client.post(path, json=RIGHT | {"email": "eve@example.com"}, headers=OWN_PAGE)

    assert right.status_code == 401
    assert visible(right) == visible(wrong) == visible(unknown)


@LOGINS
async def test_the_right_password_does_the_work_of_a_wrong_one(
    client, make_user, require, hash_calls, statements, path
):
    """Checklist 14; CWE-208."""
    await require(await make_user())
    hash_calls.clear()
    statements.clear()

    await client.post(path, json=RIGHT, headers=OWN_PAGE)
    right = list(statements)
    statements.clear()
    await client.post(path, json=WRONG, headers=OWN_PAGE)

    assert hash_calls == ["verify_password"] * 2
    assert statements == right


async def test_the_right_password_counts_as_a_wrong_one(client, make_user, require):
    """Checklist 9."""
    await require(await make_user())

    answers = [await client.post("/users/login", json=RIGHT) for _ in range(12)]

    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429


async def test_the_right_password_is_audited_as_a_failed_login(client, make_user, require, events):
    """Checklist 39."""
    user = await make_user()
    await require(user)

    await client.post("/users/login", json=RIGHT)

    event = (await events())[-1]
    assert (event.event, event.outcome, event.user_id) == ("login", "failure", user.id)


async def confirms_the_password(it, password):
    return await it.client.post("/users/me/confirm", json={"password": password}, headers=it.headers)


async def changes_the_password(it, password):
    body = {"current_password": password, "new_password": NEW}
    return await it.client.post("/users/me/password", json=body, headers=it.headers)


async def verifies_the_address(it, password):
    return await it.client.post(
        f"/users/verify/{it.manager.verify_token(it.user)}", json={"password": password}
    )


async def moves_to_another_address(it, password):
    token = it.manager.email_change_token(it.user, "new@example.com")
    return await it.client.post(f"/users/email-change/{token}", json={"password": password})


@pytest.mark.parametrize(
    "use", [confirms_the_password, changes_the_password, verifies_the_address, moves_to_another_address]
)
async def test_the_right_password_is_wrong_on_every_route(client, manager, make_user, visit, stored, use):
    """Checklist 6. This applies even with a session that should not exist."""
    user = await make_user(must_reset_password=True, pending_email="new@example.com")
    headers = (await visit(user)).headers
    it = SimpleNamespace(client=client, manager=manager, user=user, headers=headers)

    right, wrong = await use(it, PASSWORD), await use(it, "not the right one")

    now = await stored(user)
    assert right.status_code == 400
    assert visible(right) == visible(wrong)
    assert (now.email, now.is_verified, now.hashed_password) == (EMAIL, False, user.hashed_password)


@LOGINS
async def test_a_login_is_refused_if_the_reset_is_required_meanwhile(
    client, make_user, meanwhile, require, path
):
    """Checklist 21; CWE-367."""
    user = await make_user()
    meanwhile(lambda: require(user))

    answer = await client.post(path, json=RIGHT, headers=OWN_PAGE)

    assert answer.status_code == 401


async def test_a_login_does_not_cancel_a_deletion(client, make_user, require, stored):
    user = await make_user(delete_after=datetime(2999, 1, 1, tzinfo=UTC))
    await require(user)

    await client.post("/users/login", json=RIGHT)

    assert (await stored(user)).delete_after is not None


# How the owner regains access


async def test_the_owner_gets_a_link_that_sets_a_new_password(
    client, make_user, require, outbox, mailed_token, stored
):
    user = await make_user()
    await require(user)

    [mail] = await outbox()
    reset = await client.post(f"/users/password-reset/{await mailed_token()}", json={"password": NEW})
    login = await client.post("/users/login", json=RIGHT | {"password": NEW})

    assert mail.all_recipients() == [EMAIL]
    assert (reset.status_code, login.status_code) == (200, 200)
    assert (await stored(user)).must_reset_password is False


async def test_the_mail_explains_why(make_user, require, outbox):
    await require(await make_user())

    [mail] = await outbox()
    assert RESET_REQUIRED in mail.text_body
    assert RESET_REQUIRED in mail.html_body
    assert "ignore this e-mail" not in mail.text_body + mail.html_body
    assert re.search(r"Set a new password\n\n.*\n\nOpen this link", mail.text_body)


async def test_an_ordinary_mail_does_not_mention_the_requirement(client, make_user, outbox):
    await make_user()

    await client.post("/users/password-reset/request", json={"email": EMAIL})

    [mail] = await outbox()
    assert "administrator" not in mail.text_body + mail.html_body
    assert "ignore this e-mail" in mail.text_body
    assert mail.text_body.startswith("Set a new password\n\nOpen this link")


async def test_a_requested_link_lifts_the_requirement_too(client, make_user, require, mailed_token):
    await require(await make_user())
    await client.post("/users/password-reset/request", json={"email": EMAIL})

    await client.post(f"/users/password-reset/{await mailed_token()}", json={"password": NEW})

    assert (await client.post("/users/login", json=RIGHT | {"password": NEW})).status_code == 200


async def test_a_refused_password_keeps_the_requirement_and_the_link(
    client, make_user, require, mailed_token, stored
):
    """Checklist 28."""
    user = await make_user()
    await require(user)
    token = await mailed_token()

    refused = await client.post(f"/users/password-reset/{token}", json={"password": "short"})

    assert refused.status_code == 400
    assert (await stored(user)).must_reset_password is True
    assert (await client.post(f"/users/password-reset/{token}", json={"password": NEW})).status_code == 200


async def test_requesting_a_link_does_not_reveal_the_requirement(client, make_user, require, statements):
    """Checklist 13 and 14."""
    await require(await make_user())
    answers, costs = [], []

    for email in (EMAIL, "eve@example.com"):
        statements.clear()
        answers.append(visible(await client.post("/users/password-reset/request", json={"email": email})))
        costs.append(list(statements))

    assert answers[0] == answers[1]
    assert costs[0] == costs[1]


# What lifts the requirement and what does not


async def test_a_superuser_can_lift_the_requirement(client, make_user, require):
    user = await make_user()
    await require(user)

    answer = await require(user, value=False)

    assert answer.json()["must_reset_password"] is False
    assert (await client.post("/users/login", json=RIGHT)).status_code == 200


@pytest.mark.parametrize(
    "values",
    [
        {"is_active": False},
        {"is_verified": True},
        {"is_superuser": True},
        {"email": "new@example.com"},
        {"password": NEW},
    ],
    ids=str,
)
async def test_no_other_change_lifts_the_requirement(make_user, require, db, manager, stored, values):
    user = await make_user()
    await require(user)

    async with db.session() as session:
        await manager.update(session, await session.get_one(User, user.id), **values)

    assert (await stored(user)).must_reset_password is True


async def test_verifying_the_address_does_not_lift_the_requirement(
    client, make_user, require, manager, stored
):
    user = await make_user()
    await require(user)

    await client.post(f"/users/verify/{manager.verify_token(await stored(user))}")

    now = await stored(user)
    assert (now.is_verified, now.must_reset_password) == (True, True)


# Requiring a reset


async def test_the_requirement_is_shown_to_superusers_and_can_be_filtered(admin, make_user, require):
    user = await make_user()
    await make_user("eve@example.com")

    answer = await require(user)
    found = await admin.get("/users?must_reset_password=true")

    assert (answer.status_code, answer.json()["must_reset_password"]) == (200, True)
    assert [each["email"] for each in found.json()["items"]] == [EMAIL]


async def test_a_reset_can_be_required_of_the_last_active_superuser(
    client, admin, root, require, mailed_token
):
    """The e-mailed link requires no other superuser, so nobody is locked out permanently."""
    given = await require(root)
    locked_out = await admin.get("/users")
    await client.post(f"/users/password-reset/{await mailed_token()}", json={"password": NEW})
    login = await client.post("/users/login", json={"email": root.email, "password": NEW})

    assert (given.status_code, locked_out.status_code, login.status_code) == (200, 401, 200)
    assert login.json()["is_superuser"] is True


async def test_requiring_a_reset_is_audited_and_calls_the_hook(make_user, root, require, manager, events):
    """Checklist 39."""
    user, seen = await make_user(), []

    async def hook(user, changed):
        seen.append((user.id, changed))

    manager.on_after_update = hook

    await require(user)

    [event] = await events()
    assert (event.event, event.user_id, event.actor) == ("update", user.id, root.id)
    assert '"must_reset_password":true' in event.details
    assert seen == [(user.id, {"must_reset_password"})]


async def test_requiring_a_reset_twice_sends_one_mail(make_user, require, outbox):
    user = await make_user()

    await require(user)
    await require(user)

    assert len(await outbox()) == 1


async def test_a_disabled_account_gets_no_mail_and_keeps_the_requirement(
    client, admin, make_user, require, outbox
):
    user = await make_user(is_active=False)

    await require(user)
    await admin.patch(f"/users/{user.id}", json={"is_active": True})

    assert await outbox() == []
    assert (await client.post("/users/login", json=RIGHT)).status_code == 401


async def test_an_error_in_the_mail_undoes_everything(make_user, require, manager, stored):
    user = await make_user()

    async def fail(user, token):
        raise RuntimeError

    manager.on_after_forgot_password = fail

    answer = await require(user)

    now = await stored(user)
    assert answer.status_code == 500
    assert (now.must_reset_password, now.password_version) == (False, 0)

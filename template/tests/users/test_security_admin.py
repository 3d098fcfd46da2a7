"""Administration: only superusers can use it, and they can neither see nor set a password."""

import asyncio
import re
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec
import pytest
from hawkapi_mail import EmailMessage
from pydantic import SecretStr

from app import clock
from app.mail import enqueue
from app.mail.outbox import DEAD
from app.main import create_app
from app.settings import Settings
from app.users import LastSuperuser, User
from app.users.dependencies import recent_login, still_superuser, superuser
from app.users.models import TEMPLATE_COLUMNS
from app.users.schemas import UserUpdate

PASSWORD = "correct horse battery"
NOBODY = "00000000-0000-0000-0000-000000000000"


def application():
    settings = Settings(_env_file=None, environment="test", secret_key=SecretStr("0123456789abcdef" * 4))
    app = create_app(settings)
    app.state.users.hasher.close()
    return app


APP = application()


def operations_of_administration():
    """The method and path of every operation tagged `administration`, so that new operations are covered."""
    return [
        (method.upper(), path)
        for path, item in APP.openapi()["paths"].items()
        for method, operation in item.items()
        if "administration" in operation["tags"]
    ]


OF_THE_TEMPLATE = {
    ("GET", "/users"),
    ("GET", "/users/{user_id}"),
    ("PATCH", "/users/{user_id}"),
    ("DELETE", "/users/{user_id}"),
    ("GET", "/users/{user_id}/sessions"),
    ("DELETE", "/users/{user_id}/sessions"),
    ("POST", "/users/{user_id}/password-reset"),
    ("GET", "/users/audit"),
    ("GET", "/users/invitations"),
    ("POST", "/users/invitations"),
    ("DELETE", "/users/invitations/{invitation_id}"),
    ("GET", "/users/mails"),
    ("POST", "/users/mails/{mail_id}/retry"),
    ("DELETE", "/users/mails/{mail_id}"),
    ("GET", "/users/bounced-mailboxes"),
    ("POST", "/users/bounced-mailboxes/clear"),
}
"""Operations that accept these tests' requests. Your own operations may reject the body or the ids."""


def is_own(method, path):
    return (method, path) not in OF_THE_TEMPLATE


def url(path, **ids):
    """*path* with its parameters filled in from *ids*; the others get nonexistent ids."""
    unknown = {"user_id": NOBODY, "invitation_id": NOBODY}
    return re.sub(r"{(\w+)}", lambda found: str((unknown | ids).get(found[1], 1)), path)


EVERY_OPERATION = pytest.mark.parametrize(("method", "path"), operations_of_administration())
OF_ONE_ACCOUNT = pytest.mark.parametrize(
    ("method", "path"), [each for each in operations_of_administration() if "{user_id}" in each[1]]
)
EVERY_CHANGE = pytest.mark.parametrize(
    ("method", "path"), [each for each in operations_of_administration() if each[0] != "GET"]
)
CHANGES_BY_SUPERUSERS = [
    each for each in APP.endpoints if superuser in each.dependencies() and "GET" not in each.route.methods
]
"""Every unsafe route that only superusers may use, including your own."""


def name_of(endpoint):
    return f"{min(endpoint.route.methods)} {endpoint.route.path}"


@pytest.fixture
async def dead_mail(db):
    """An e-mail that was set aside."""
    async with db.session() as session:
        mail = enqueue(
            session, EmailMessage.build(subject="Reset", to="ada@example.com", text="a secret link")
        )
        mail.status = DEAD
    return mail


@pytest.fixture
async def bounced_mailbox(db):
    """Marks the mailbox eve@example.com as bounced if the application has the `mail_webhooks` feature."""
    with suppress(ImportError):
        from app.mail_webhooks.bounces import BOUNCE, Event, mark

        async with db.session() as session:
            await mark(session, [Event("eve@example.com", BOUNCE, clock.now())])


# Checklist 38: administration is for superusers only


@EVERY_OPERATION
async def test_administration_requires_a_login(client, make_user, method, path):
    """Checklist 38: the guard runs first, and the body is not even read."""
    user = await make_user()

    answer = await client.request(method, url(path, user_id=user.id), content=b"not even JSON")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@EVERY_OPERATION
async def test_an_ordinary_user_is_refused(client, make_user, login, method, path):
    """Checklist 38; ASVS 8.2.1. Users are refused even for their own accounts."""
    user = await make_user(is_verified=True)

    answer = await client.request(
        method, url(path, user_id=user.id), headers=login(user), content=b"not even JSON"
    )

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


@OF_ONE_ACCOUNT
async def test_an_ordinary_user_cannot_tell_which_accounts_exist(client, make_user, login, method, path):
    """Checklist 38."""
    user, other = await make_user("ada@example.com"), await make_user("eve@example.com")
    headers = login(user)

    answers = [
        await client.request(method, url(path, user_id=each), headers=headers) for each in (other.id, NOBODY)
    ]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].content == answers[1].content


@EVERY_OPERATION
async def test_a_demoted_superuser_is_refused_at_once(admin, root, change, method, path):
    """Checklist 36: roles are read from the database."""
    await change(root, is_superuser=False)

    assert (await admin.request(method, url(path, user_id=root.id))).status_code == 403


@EVERY_OPERATION
async def test_a_disabled_superuser_is_logged_out(admin, root, change, method, path):
    """Checklist 20; ASVS 7.4.2."""
    await change(root, is_active=False)

    assert (await admin.request(method, url(path, user_id=root.id))).status_code == 401


@OF_ONE_ACCOUNT
async def test_an_unknown_account_is_not_found(admin, method, path):
    answer = await admin.request(method, url(path, user_id=NOBODY), json={})

    assert answer.status_code == 404 or (is_own(method, path) and answer.status_code in (400, 415))
    assert answer.headers["content-type"] == "application/problem+json"


@EVERY_CHANGE
@pytest.mark.usefixtures("bounced_mailbox")
@pytest.mark.parametrize(("late", "is_refused"), [(timedelta(microseconds=-1), False), (timedelta(0), True)])
async def test_changing_an_account_requires_a_recent_login(
    admin, manager, db, make_user, dead_mail, events, set_clock, method, path, late, is_refused
):
    """Checklist 24: superusers also need a recent login, even to send invitations or password resets."""
    user = await make_user()
    async with db.session() as session:
        invitation, _ = await manager.invitations.make(session, "bob@example.com", invited_by="cli")
    begun = (await admin.get("/users/me/sessions")).json()[0]["authenticated_at"]
    set_clock(datetime.fromisoformat(begun) + timedelta(minutes=10) + late)

    answer = await admin.request(
        method,
        url(path, user_id=user.id, invitation_id=invitation.id, mail_id=dead_mail.id),
        json={"is_active": False, "email": "eve@example.com"},
    )

    recorded = await events()
    assert (answer.status_code == 403) is is_refused
    assert ("max_age" in answer.headers.get("www-authenticate", "")) is is_refused
    assert not (recorded and is_refused)
    assert recorded or is_refused or is_own(method, path)


@EVERY_CHANGE
async def test_an_old_login_is_refused_before_the_body_is_read(admin, root, set_clock, method, path):
    """Checklist 24."""
    begun = (await admin.get("/users/me/sessions")).json()[0]["authenticated_at"]
    set_clock(datetime.fromisoformat(begun) + timedelta(minutes=10))

    answer = await admin.request(method, url(path, user_id=root.id), content=b"not even JSON")

    assert answer.status_code == 403


@pytest.mark.parametrize("endpoint", CHANGES_BY_SUPERUSERS, ids=name_of)
def test_every_unsafe_superuser_route_requires_a_recent_login(endpoint):
    """Checklist 24. Put `recent: RecentLogin` after `admin: Superuser` in the handler's signature."""
    assert recent_login in endpoint.dependencies()


@pytest.mark.parametrize("endpoint", [each for each in CHANGES_BY_SUPERUSERS if each.body], ids=name_of)
def test_every_unsafe_superuser_route_checks_again_after_reading_its_body(endpoint):
    """Checklist 36. Put `still: StillSuperuser` after the body in the handler's signature."""
    names = [name for name, _ in endpoint.steps]
    last = [name for name, step in endpoint.steps if getattr(step, "callable", None) is still_superuser]

    assert len(last) == 1
    assert names.index(last[0]) > names.index(endpoint.body.name)


# Checklist 38: no privilege escalation

MORE = {
    "id": NOBODY,
    "is_superuser": True,
    "is_verified": True,
    "is_active": True,
    "password_version": 7,
    "must_reset_password": True,
    "failed_logins": 7,
    "hashed_password": "x",
    "created_at": "2000-01-01T00:00:00Z",
    "delete_after": "2000-01-01T00:00:00Z",
    "pending_email": "eve@example.com",
}


@pytest.mark.parametrize(
    "more", [{name: value} for name, value in MORE.items()] + [MORE], ids=lambda more: str(list(more))
)
async def test_registration_ignores_privilege_fields(client, accounts, more):
    """Checklist 38; ASVS 8.2.3 (mass assignment, CWE-915)."""
    answer = await client.post(
        "/users/register", json={"email": "ada@example.com", "password": PASSWORD} | more
    )

    (user,) = await accounts()
    assert answer.status_code == 201
    assert user.id == answer.json()["id"] != NOBODY
    assert (user.is_superuser, user.is_verified, user.is_active) == (False, False, True)
    assert (user.password_version, user.delete_after, user.pending_email) == (0, None, None)
    assert (user.must_reset_password, user.failed_logins) == (False, 0)
    assert user.created_at.year > 2000
    assert user.hashed_password.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/users/me/confirm", {"password": PASSWORD}, 204),
        ("/users/me/email", {"new_email": "new@example.com"}, 202),
        ("/users/me/password", {"current_password": PASSWORD, "new_password": "a brand new password"}, 200),
        ("/users/login", {"email": "ada@example.com", "password": PASSWORD}, 200),
        ("/users/verify/request", {"email": "ada@example.com"}, 202),
        ("/users/logout", {"refresh_token": "x"}, 204),
        ("/users/password-reset/request", {"email": "ada@example.com"}, 202),
    ],
)
async def test_owners_cannot_raise_their_own_privileges(client, make_user, login, stored, path, body, status):
    """Checklist 38; ASVS 8.2.3 (mass assignment, CWE-915)."""
    user = await make_user("ada@example.com")

    answer = await client.post(path, json=MORE | body, headers=login(user))

    now = await stored(user)
    assert answer.status_code == status
    assert (now.is_superuser, now.is_verified, now.created_at) == (False, False, user.created_at)
    assert now.delete_after is None


async def test_a_password_reset_ignores_privilege_fields(client, manager, make_user, stored):
    """Checklist 38; ASVS 8.2.3 (mass assignment, CWE-915)."""
    user = await make_user()

    answer = await client.post(
        f"/users/password-reset/{manager.reset_token(user)}", json=MORE | {"password": "a brand new password"}
    )

    now = await stored(user)
    assert answer.status_code == 200
    assert (now.is_superuser, now.is_verified, now.password_version) == (False, False, 1)


@pytest.mark.parametrize("place", ["in the path", "in the body"])
async def test_accepting_an_invitation_ignores_privilege_fields(client, manager, db, accounts, place):
    """Checklist 38; ASVS 8.2.3 (mass assignment, CWE-915). The address comes from the invitation."""
    async with db.session() as session:
        _, token = await manager.invitations.make(session, "ada@example.com", invited_by="cli")
    body = MORE | {"password": "a brand new password", "email": "eve@example.com"}
    path = {"in the path": f"/users/invitation/{token}", "in the body": "/users/invitation"}[place]

    answer = await client.post(path, json=body | {"token": token})

    (user,) = await accounts()
    assert answer.status_code == 201
    assert user.email == "ada@example.com"
    assert user.id != NOBODY
    assert (user.is_superuser, user.is_verified, user.is_active) == (False, True, True)
    assert (user.password_version, user.delete_after, user.pending_email) == (0, None, None)
    assert (user.must_reset_password, user.failed_logins) == (False, 0)


@pytest.mark.parametrize("place", ["in the path", "in the body"])
async def test_other_links_ignore_privilege_fields(client, email_link, make_user, visit, stored, place):
    """Checklist 38; ASVS 8.2.3 (mass assignment, CWE-915)."""
    user = await make_user()
    path, _, token = (await email_link(user)).rpartition("/")
    path = {"in the path": f"{path}/{token}", "in the body": path}[place]

    answer = await client.post(path, json=MORE | {"token": token}, headers=(await visit(user)).headers)

    now = await stored(user)
    assert answer.status_code == 200
    assert (now.id, now.email, now.is_superuser) == (user.id, "new@example.com", False)
    assert (now.password_version, now.delete_after) == (1, None)


# Checklist 23: what superusers can and cannot do


@pytest.mark.parametrize(
    "body",
    [
        {"password": "a brand new password"},
        {"new_password": "a brand new password"},
        {"hashed_password": "x"},
        {"password_version": 7},
        {"email": "eve@example.com"},
        {"pending_email": "eve@example.com"},
        {"id": NOBODY},
        {"delete_after": "2000-01-01T00:00:00Z"},
        {"created_at": "2000-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_superusers_can_set_only_the_flags(admin, make_user, stored, body):
    """Checklist 23 and 38; ASVS 6.4.6."""
    user = await make_user("ada@example.com")

    answer = await admin.patch(f"/users/{user.id}", json=body | {"is_verified": True})

    now = await stored(user)
    assert answer.status_code == 200
    assert (now.id, now.email, now.pending_email) == (user.id, "ada@example.com", None)
    assert (now.hashed_password, now.password_version) == (user.hashed_password, 0)
    assert (now.delete_after, now.created_at) == (None, user.created_at)
    assert now.is_verified


def test_superusers_can_change_only_the_flags_and_your_own_columns():
    """Checklist 23 and 38 (CWE-915). Your own fields must default to UNSET; otherwise, every request that
    omits one would overwrite its column."""
    flags = {"is_active", "is_verified", "is_superuser", "must_reset_password"}
    omitted = msgspec.structs.asdict(UserUpdate())

    assert omitted.keys() - flags <= set(User.__mapper__.columns.keys()) - TEMPLATE_COLUMNS
    assert [name for name in omitted.keys() - flags if omitted[name] is not msgspec.UNSET] == []


@EVERY_OPERATION
@pytest.mark.usefixtures("bounced_mailbox")
async def test_no_response_to_a_superuser_has_a_secret(
    admin, make_user, begin_session, dead_mail, method, path
):
    """Checklist 23 and 39; ASVS 6.4.6."""
    user = await make_user("ada@example.com")
    begun = await begin_session(user)
    invitation = (await admin.post("/users/invitations", json={"email": "bob@example.com"})).json()["id"]

    answer = await admin.request(
        method,
        url(path, user_id=user.id, invitation_id=invitation, mail_id=dead_mail.id),
        json={"is_verified": True, "email": "eve@example.com"},
    )

    shown = answer.text + str(answer.headers)
    secrets = [
        user.hashed_password,
        begun.token,
        begun.session.secret_hash,
        "argon2",
        "password_version",
        "secret",
    ]
    assert answer.is_success or is_own(method, path)
    assert [secret for secret in secrets if secret in shown] == []


async def test_a_superuser_does_not_see_the_reset_link(admin, make_user, mailed_token):
    """Checklist 23; ASVS 6.4.6."""
    user = await make_user()

    sent = await admin.post(f"/users/{user.id}/password-reset")
    log = await admin.get("/users/audit")

    assert sent.json() == {"status": "ok"}
    assert await mailed_token() not in sent.text + str(sent.headers) + log.text


async def test_a_reset_link_is_sent_to_the_owner(admin, client, make_user, outbox, mailed_token):
    """Checklist 23; ASVS 6.4.6."""
    user = await make_user("ada@example.com")

    answer = await admin.post(f"/users/{user.id}/password-reset")
    used = await client.post(
        f"/users/password-reset/{await mailed_token()}", json={"password": "a brand new password"}
    )

    assert (answer.status_code, used.status_code) == (202, 200)
    assert (await outbox())[0].to == ["ada@example.com"]


async def test_every_session_of_an_account_can_be_ended(admin, make_user, logins):
    """Checklist 23; ASVS 7.4.5."""
    user, other = await make_user("ada@example.com"), await make_user("eve@example.com")
    hers, others = await logins(user), await logins(other)

    answer = await admin.delete(f"/users/{user.id}/sessions")

    assert (answer.status_code, answer.content) == (204, b"")
    assert await hers() == [401, 401, 401]
    assert await others() == [200, 200, 200]


async def test_every_session_of_every_account_can_be_ended(manager, db, make_user, logins):
    """Checklist 23; ASVS 7.4.5. The command is `app users end-sessions --everybody`."""
    hers, his = (
        await logins(await make_user("ada@example.com")),
        await logins(await make_user("bob@example.com")),
    )

    async with db.session() as session:
        ended = await manager.sessions.revoke_all(session)

    assert ended == 4
    assert await hers() == await his() == [401, 401, 401]


# Checklist 23: the last superuser. test_last_superuser.py tests each way of removing the last one.


async def test_the_last_superuser_keeps_the_role(admin, root, make_user, stored):
    """Checklist 23: otherwise, administration would require access to the server."""
    await make_user("disabled@example.com", is_superuser=True, is_active=False)

    answers = [
        await admin.patch(f"/users/{root.id}", json={"is_superuser": False}),
        await admin.patch(f"/users/{root.id}", json={"is_active": False}),
        await admin.delete(f"/users/{root.id}"),
        await admin.delete("/users/me"),
    ]

    now = await stored(root)
    assert [answer.status_code for answer in answers] == [409] * 4
    assert (now.is_superuser, now.is_active) == (True, True)


@pytest.fixture
def side_by_side(manager, monkeypatch):
    """Lets both requests find another superuser before either continues.

    If one request has to wait for the other, both continue after half a second, so that the test does not
    fail on a slow machine.
    """
    look, looked, both = manager.require_another_superuser, [], asyncio.Event()

    async def look_and_wait(session, user):
        await look(session, user)
        looked.append(user)
        if len(looked) == 2:
            both.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(both.wait(), 0.5)

    monkeypatch.setattr(manager, "require_another_superuser", look_and_wait)


@pytest.mark.usefixtures("side_by_side")
async def test_two_superusers_cannot_both_demote_each_other(manager, db, make_user, accounts):
    """Checklist 23; CWE-367: one change waits for the other and then fails."""
    users = [await make_user(email, is_superuser=True) for email in ("ada@example.com", "bob@example.com")]

    async def demote(user):
        async with db.session() as session:
            await manager.update(session, await manager.require(session, user.id), is_superuser=False)

    outcomes = await asyncio.gather(*map(demote, users), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome] == [LastSuperuser]
    assert sorted(user.is_superuser for user in await accounts()) == [False, True]


# Your own tests go below; template updates never touch them.

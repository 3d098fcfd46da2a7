"""The hooks from hawkapi-users: when they run, with which arguments, and what they write. For the other
hooks, see test_account_hooks.py.
"""

import pytest

from app.database import services_of, session_of
from app.users import User, hooks
from app.users.manager import HOOKS

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
NEW = {"password": "a brand new password"}


@pytest.fixture
def record(manager):
    """`calls = record("on_after_login")` records the arguments of every call to that hook."""

    def replace(name):
        calls = []

        async def hook(*arguments):
            calls.append(arguments)

        setattr(manager, name, hook)
        return calls

    return replace


# When they run and with which arguments


async def test_the_hook_runs_after_a_registration(client, record):
    calls = record("on_after_register")

    answer = await client.post("/users/register", json=ADA)

    ((user,),) = calls
    assert (user.id, user.email) == (answer.json()["id"], "ada@example.com")


async def test_the_hook_runs_after_a_login(client, make_user, record):
    user = await make_user()
    calls = record("on_after_login")

    await client.post("/users/login", json=ADA)

    assert [called.id for (called,) in calls] == [user.id]


@pytest.mark.parametrize(
    ("hook", "request_path", "use_path", "body"),
    [
        ("on_after_request_verify", "/users/verify/request", "/users/verify/", {}),
        ("on_after_forgot_password", "/users/password-reset/request", "/users/password-reset/", NEW),
    ],
)
async def test_the_hook_gets_a_working_token_after_a_request(
    client, make_user, record, hook, request_path, use_path, body
):
    user = await make_user("ada@example.com")
    calls = record(hook)

    await client.post(request_path, json={"email": "ada@example.com"})

    ((called, token),) = calls
    assert called.id == user.id
    assert (await client.post(use_path + token, json=body)).status_code == 200


async def test_the_hook_runs_after_a_verification(client, manager, make_user, record):
    user = await make_user()
    calls = record("on_after_verify")

    await client.post(f"/users/verify/{manager.verify_token(user)}")

    assert [(called.id, called.is_verified) for (called,) in calls] == [(user.id, True)]


async def test_the_hook_runs_after_a_reset(client, manager, make_user, record):
    user = await make_user()
    calls = record("on_after_reset_password")

    await client.post(f"/users/password-reset/{manager.reset_token(user)}", json=NEW)

    assert [(called.id, called.password_version) for (called,) in calls] == [(user.id, 1)]


async def test_no_hook_runs_for_refused_requests(client, make_user, record):
    await make_user("ada@example.com")
    hooks_called = [record(name) for name in ("on_after_register", "on_after_login", "on_after_verify")]

    await client.post("/users/register", json=ADA)
    await client.post("/users/login", json=ADA | {"password": "wrong"})
    await client.post("/users/verify/x")

    assert hooks_called == [[], [], []]


async def test_a_manager_without_hooks_works(client, manager, outbox):
    manager.on_after_register = manager.on_after_login = None
    manager.on_after_forgot_password = manager.on_after_request_verify = None

    answers = [
        await client.post("/users/register", json=ADA),
        await client.post("/users/login", json=ADA),
        await client.post("/users/verify/request", json={"email": "ada@example.com"}),
        await client.post("/users/password-reset/request", json={"email": "ada@example.com"}),
    ]

    assert [answer.status_code for answer in answers] == [201, 200, 202, 202]
    assert await outbox() == []


async def test_a_missing_hook_does_nothing(monkeypatch, other_client, outbox):
    monkeypatch.delattr(hooks, "on_after_register")
    client = await other_client()

    answer = await client.post("/users/register", json=ADA)

    assert answer.status_code == 201
    assert await outbox() == []


async def test_an_account_created_as_verified_gets_no_verification_mail(manager, db, outbox):
    async with db.session() as session:
        await manager.create(session, **ADA, is_verified=True)

    assert await outbox() == []


# What they write


async def test_a_hook_writes_in_the_same_transaction(client, manager, accounts):
    async def hook(user):
        session_of(user).add(User(email="companion@example.com", hashed_password="x"))

    manager.on_after_register = hook

    await client.post("/users/register", json=ADA)

    assert [user.email for user in await accounts()] == ["ada@example.com", "companion@example.com"]


async def test_a_hook_finds_the_services_of_its_application(app, client, manager):
    seen = []

    async def hook(user):
        seen.append(services_of(user))

    manager.on_after_register = hook

    await client.post("/users/register", json=ADA)

    assert seen == [app.state]


# Names


def test_every_hook_in_the_file_is_called():
    """A hook with a misspelled name would silently do nothing."""
    defined = {name for name in vars(hooks) if name.startswith("on_")}

    assert defined <= set(HOOKS)


# Your own tests go below; template updates never touch them.

"""E-mails in the outbox belong to an account, are deleted with it and are part of its export."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hawkapi_mail import EmailMessage
from sqlalchemy import NullPool, delete, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from app.mail import OutboxMessage
from app.users import User

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def rows(db):
    """`await rows()`: the outbox, oldest first, including dummy e-mails."""

    async def read():
        async with db.session(commit=False) as session:
            return list(await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))

    return read


@pytest.fixture
def write(app, db):
    """`await write(user, status="dead")`: an e-mail that belongs to *user*."""

    async def send(user, subject="Hello", **columns):
        async with db.session() as session:
            mailer = app.state.mail.for_session(session, user_id=user.id)
            await mailer.send(EmailMessage.build(subject=subject, to=user.email, text="https://x/t0ken"))
            await session.flush()
            for row in await session.scalars(select(OutboxMessage).where(OutboxMessage.subject == subject)):
                row.status = columns.get("status", row.status)

    return send


# The owner of an e-mail


async def asks_for_verification(client, user, headers):
    await client.post("/users/verify/request", json={"email": user.email})


async def asks_for_a_reset(client, user, headers):
    await client.post("/users/password-reset/request", json={"email": user.email})


async def ends_other_sessions_by_a_new_password(client, user, headers):
    body = {"current_password": ADA["password"], "new_password": "a brand new password"}
    await client.post("/users/me/password", json=body, headers=headers)


@pytest.mark.parametrize(
    ("happens", "subject", "good_for"),
    [
        (asks_for_verification, "Confirm your e-mail address for HawkAPI app", timedelta(seconds=100)),
        (asks_for_a_reset, "Set a new password for HawkAPI app", timedelta(seconds=200)),
        (ends_other_sessions_by_a_new_password, "HawkAPI app: Your password was changed", None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_mail_belongs_to_its_account_and_expires_with_its_link(
    other_client, make_user, visit, set_clock, rows, happens, subject, good_for
):
    set_clock(NOON)
    client = await other_client(verify_ttl=100, reset_ttl=200)
    user = await make_user()

    await happens(client, user, (await visit(user)).headers)

    (row,) = await rows()
    assert (row.user_id, row.subject) == (user.id, subject)
    assert row.expires_at == (good_for and NOON + good_for)


async def test_the_mail_to_a_new_address_expires_and_belongs_to_no_account(
    other_client, make_user, visit, set_clock, rows
):
    """The mailbox does not belong to the account yet. The notice goes to the current address."""
    set_clock(NOON)
    client = await other_client(email_change_ttl=300)
    user = await make_user()

    await client.post(
        "/users/me/email", json={"new_email": "new@example.com"}, headers=(await visit(user)).headers
    )

    link, notice = await rows()
    assert (link.user_id, link.expires_at) == (None, NOON + timedelta(seconds=300))
    assert (notice.user_id, notice.expires_at) == (user.id, None)


async def test_an_invitation_expires(db, manager, set_clock, rows):
    set_clock(NOON)
    async with db.session() as session:
        await manager.invite(session, email="new@example.com", invited_by="cli")

    (row,) = await rows()
    assert (row.user_id, row.expires_at) == (None, NOON + timedelta(days=7))


@pytest.mark.parametrize("ask", [asks_for_verification, asks_for_a_reset])
async def test_a_dummy_mail_looks_like_the_mail_to_a_known_address(client, make_user, set_clock, rows, ask):
    """Checklist 14: only `user_id` and the content differ."""
    set_clock(NOON)
    known = await make_user()

    await asks_for_a_reset(client, known, {})
    await ask(client, User(email="eve@example.com"), {})

    mail, decoy = await rows()
    columns = ("status", "attempts", "last_error", "subject", "expires_at", "created_at", "next_attempt_at")
    assert [getattr(decoy, name) for name in columns] == [getattr(mail, name) for name in columns]
    assert abs(len(decoy.message) - len(mail.message)) < 40


# Deleting the account


async def by_its_owner(it):
    await it.client.delete("/users/me", headers=(await it.visit(it.user)).headers)


async def by_the_manager(it):
    async with it.db.session() as session:
        await it.manager.delete(session, await it.manager.get_by_id(session, it.user.id))


async def by_sql(it):
    async with it.db.session() as session:
        await session.execute(delete(User).where(User.id == it.user.id))


@pytest.mark.parametrize(
    ("deleted", "left"),
    [
        (by_its_owner, ["HawkAPI app: Your account was deleted"]),
        (by_the_manager, ["HawkAPI app: Your account was deleted"]),
        (by_sql, []),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("status", ["pending", "dead"])
async def test_deleting_an_account_deletes_its_mails(
    client, manager, db, make_user, visit, write, rows, status, deleted, left
):
    """Only the notice about the deletion remains."""
    user = await make_user()
    await write(user, status=status)

    await deleted(SimpleNamespace(client=client, manager=manager, db=db, visit=visit, user=user))

    assert [row.subject for row in await rows()] == left


async def test_deleting_an_account_keeps_other_accounts_mails(client, make_user, visit, write, rows):
    await write(await make_user("eve@example.com"), "for Eve")
    user = await make_user()

    await client.delete("/users/me", headers=(await visit(user)).headers)

    assert [row.subject for row in await rows()] == ["for Eve", "HawkAPI app: Your account was deleted"]


@pytest.fixture
def try_to_delete(database_url):
    """`await try_to_delete(user)`: another connection deletes the account, unless it is locked."""
    at_once = {"timeout": 0.1} if "sqlite" in database_url else {"server_settings": {"lock_timeout": "100"}}
    engine = create_async_engine(database_url, poolclass=NullPool, connect_args=at_once)

    async def attempt(user):
        with suppress(DBAPIError):
            async with engine.begin() as connection:
                await connection.execute(delete(User).where(User.id == user.id))

    return attempt


@pytest.mark.parametrize("path", ["/users/verify/request", "/users/password-reset/request"])
async def test_an_account_is_not_deleted_while_a_mail_to_it_is_written(
    client, manager, make_user, try_to_delete, stored, outbox, path
):
    """Otherwise the e-mail would reference a missing account and the response would be 500."""
    user = await make_user()

    async def hook(user, token):
        await try_to_delete(user)
        await write_mail(user, token)

    write_mail = manager.on_after_forgot_password
    manager.on_after_forgot_password = manager.on_after_request_verify = hook

    answer = await client.post(path, json={"email": "ada@example.com"})

    assert answer.status_code == 202
    assert await stored(user) is not None
    assert len(await outbox()) == 1


async def test_an_account_is_not_deleted_while_a_superuser_sends_a_reset(
    admin, manager, make_user, try_to_delete, stored
):
    user = await make_user()

    async def hook(user, token):
        await try_to_delete(user)

    manager.on_after_forgot_password = hook

    answer = await admin.post(f"/users/{user.id}/password-reset")

    assert answer.status_code == 202
    assert await stored(user) is not None


async def test_an_account_is_locked_before_its_session_is_ended_for_a_replay(
    client, manager, make_user, visit, try_to_delete, set_clock, stored
):
    """The rows are locked in the same order as in a deletion. The reverse order would deadlock."""
    set_clock(NOON)
    user = await make_user()
    body = {"refresh_token": (await visit(user)).issued.token}
    await client.post("/users/token/refresh", json=body)
    set_clock(NOON + timedelta(seconds=30))
    revoke = manager.sessions.revoke

    async def hook(session, row):
        await try_to_delete(user)
        return await revoke(session, row)

    manager.sessions.revoke = hook
    answer = await client.post("/users/token/refresh", json=body)
    manager.sessions.revoke = revoke

    assert answer.status_code == 401
    assert await stored(user) is not None


# The export


@pytest.mark.parametrize("status", ["pending", "dead"])
async def test_the_export_shows_the_mails_of_an_account_without_their_content(
    client, make_user, visit, write, status
):
    """Checklist 39: the export contains no links."""
    user = await make_user()
    await write(user, status=status)
    await write(await make_user("eve@example.com"), "for Eve")

    answer = await client.get("/users/me/export", headers=(await visit(user)).headers)

    (mail,) = answer.json()["related_records"]["mail_outbox"]
    assert (mail["subject"], mail["status"], mail["user_id"]) == ("Hello", status, user.id)
    assert "message" not in mail
    assert "t0ken" not in answer.text

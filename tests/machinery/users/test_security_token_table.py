"""Every event against every kind of token: which tokens the event invalidates and which it does not.

Advisory 36 (CVE-2026-28268: a reset deleted the wrong kind of token, and a cleanup was inverted).
"""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from app.mail import OutboxMessage, lease
from app.mail.outbox import set_aside
from app.users import UserInvitation, UserSession, record
from app.users.audit import AuditEvent

EMAIL, PASSWORD, NEW = "ada@example.com", "correct horse battery", "a brand new password"
ADA = {"email": EMAIL, "password": PASSWORD}
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
HOUR, DAY, INSTANT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)

BEARER, COOKIE = {"access", "refresh"}, {"cookie"}
SESSIONS = BEARER | COOKIE
LINKS = {"verify", "reset", "email change"}
INVITATION = {"invitation"}
OF_THE_ACCOUNT = SESSIONS | LINKS
EVERYTHING = OF_THE_ACCOUNT | INVITATION


# The events. `it.headers` belong to another of the owner's sessions.


async def nothing(it):
    return 200


async def logs_in_elsewhere(it):
    return (await it.client.post("/users/login", json=ADA)).status_code


async def gives_a_wrong_password(it):
    return (await it.client.post("/users/login", json=ADA | {"password": "wrong"})).status_code


async def asks_for_links(it):
    await it.client.post("/users/verify/request", json={"email": EMAIL})
    return (await it.client.post("/users/password-reset/request", json={"email": EMAIL})).status_code


async def logs_that_other_session_out(it):
    return (await it.client.post("/users/logout", headers=it.headers)).status_code


async def ends_all_other_sessions(it):
    return (await it.client.delete("/users/me/sessions", headers=it.headers)).status_code


async def changes_the_password(it):
    body = {"current_password": PASSWORD, "new_password": NEW}
    return (await it.client.post("/users/me/password", json=body, headers=it.headers)).status_code


async def resets_the_password(it):
    path = f"/users/password-reset/{it.manager.reset_token(it.user)}"
    return (await it.client.post(path, json={"password": NEW})).status_code


async def moves_to_the_new_address(it):
    path = f"/users/email-change/{it.manager.email_change_token(it.user, 'new@example.com')}"
    return (await it.client.post(path, headers=it.headers)).status_code


async def asks_for_another_address(it):
    body = {"new_email": "other@example.com"}
    return (await it.client.post("/users/me/email", json=body, headers=it.headers)).status_code


async def verifies_the_address(it):
    path = f"/users/verify/{it.manager.verify_token(it.user)}"
    return (await it.client.post(path, headers=it.headers)).status_code


async def is_verified_by_a_stranger(it):
    return (await it.client.post(f"/users/verify/{it.manager.verify_token(it.user)}")).status_code


async def deletes_the_account(it):
    return (await it.client.delete("/users/me", headers=it.headers)).status_code


async def deletes_the_account_with_a_grace(it):
    it.manager.deletion_grace = 7 * DAY
    return (await it.client.delete("/users/me", headers=it.headers)).status_code


def administration(**flags):
    async def changes_flags(it):
        return (await it.admin.patch(f"/users/{it.user.id}", json=flags)).status_code

    changes_flags.__name__ = str(flags)
    return changes_flags


async def is_disabled_and_enabled_again(it):
    await it.admin.patch(f"/users/{it.user.id}", json={"is_active": False})
    return (await it.admin.patch(f"/users/{it.user.id}", json={"is_active": True})).status_code


async def has_sessions_ended_by_a_superuser(it):
    return (await it.admin.delete(f"/users/{it.user.id}/sessions")).status_code


async def is_deleted_by_a_superuser(it):
    return (await it.admin.delete(f"/users/{it.user.id}")).status_code


async def has_the_guest_invited_again(it):
    return (await it.admin.post("/users/invitations", json={"email": "guest@example.com"})).status_code


async def has_the_invitation_withdrawn(it):
    [invitation] = (await it.admin.get("/users/invitations")).json()
    return (await it.admin.delete(f"/users/invitations/{invitation['id']}")).status_code


@pytest.mark.parametrize(
    ("happens", "status", "dead"),
    [
        (nothing, 200, set()),
        (logs_in_elsewhere, 200, set()),
        (gives_a_wrong_password, 401, set()),
        (asks_for_links, 202, set()),
        (logs_that_other_session_out, 204, set()),
        (ends_all_other_sessions, 204, SESSIONS),
        (changes_the_password, 200, OF_THE_ACCOUNT),
        (resets_the_password, 200, OF_THE_ACCOUNT),
        (moves_to_the_new_address, 200, OF_THE_ACCOUNT),
        (asks_for_another_address, 202, {"email change"}),
        (verifies_the_address, 200, {"verify"}),
        (is_verified_by_a_stranger, 200, OF_THE_ACCOUNT),
        (deletes_the_account, 204, OF_THE_ACCOUNT),
        (deletes_the_account_with_a_grace, 204, OF_THE_ACCOUNT),
        (administration(is_active=False), 200, OF_THE_ACCOUNT),
        (is_disabled_and_enabled_again, 200, OF_THE_ACCOUNT),
        (administration(is_verified=True), 200, {"verify"}),
        (administration(is_superuser=True), 200, set()),
        (administration(must_reset_password=True), 200, OF_THE_ACCOUNT),
        (has_sessions_ended_by_a_superuser, 204, SESSIONS),
        (is_deleted_by_a_superuser, 204, OF_THE_ACCOUNT),
        (has_the_guest_invited_again, 201, INVITATION),
        (has_the_invitation_withdrawn, 204, INVITATION),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_each_event_invalidates_only_these_tokens(
    client, admin, manager, make_user, visit, every_token, happens, status, dead
):
    """Checklist 21 and 27. Advisory 36."""
    user = await make_user(EMAIL)
    good = await every_token(user)
    headers = (await visit(user)).headers
    it = SimpleNamespace(client=client, admin=admin, manager=manager, user=user, headers=headers)

    answer = await happens(it)

    assert answer == status
    assert await good() == EVERYTHING - dead


async def test_events_of_other_accounts_invalidate_nothing(
    client, admin, manager, make_user, visit, every_token
):
    """Advisory 36."""
    good = await every_token(await make_user(EMAIL))
    other = await make_user("eve@example.com")
    it = SimpleNamespace(
        client=client, admin=admin, manager=manager, user=other, headers=(await visit(other)).headers
    )

    await changes_the_password(it)
    await resets_the_password(it)
    await is_deleted_by_a_superuser(it)

    assert await good() == EVERYTHING


async def test_revoking_a_verification_invalidates_its_link(admin, make_user, every_token, change):
    """Advisory 36."""
    user = await make_user(EMAIL)
    good = await every_token(user)
    await change(user, is_verified=True)

    await admin.patch(f"/users/{user.id}", json={"is_verified": False})

    assert await good() == INVITATION


# The tasks: rows are deleted exactly when they expire


@pytest.fixture
def everything_that_expires(app, db, manager, make_user, begin_session, set_clock):
    """Written at noon: sessions of three lengths, an invitation, e-mails with and without links, an event."""

    async def write():
        set_clock(NOON)
        user = await make_user(EMAIL)
        await begin_session(user, kind="cookie", remember=False)
        await begin_session(user)
        async with db.session() as session:
            await manager.invitations.make(session, "guest@example.com", invited_by="cli")
            record(session, "login", user.id)
            await app.state.users.notify(await session.get_one(type(user), user.id), "new_sign_in")
            await manager.request_password_reset(session, email=EMAIL)
        async with db.session() as session:
            for row in await lease(session, HOUR, limit=2):
                await set_aside(session, row, "refused")

    return write


@pytest.fixture
def left(db):
    """`await left()`: the numbers of sessions, invitations, events, e-mails, and e-mails with content."""

    async def count():
        whole = select(func.count()).select_from(OutboxMessage).where(OutboxMessage.message != "")
        async with db.session(commit=False) as session:
            rows = [
                await session.scalar(select(func.count()).select_from(model))
                for model in (UserSession, UserInvitation, AuditEvent, OutboxMessage)
            ]
            return *rows, await session.scalar(whole)

    return count


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (timedelta(0), (2, 1, 2, 2, 2)),
        (HOUR - INSTANT, (2, 1, 2, 2, 2)),
        (HOUR, (2, 1, 2, 2, 1)),
        (DAY - INSTANT, (2, 1, 2, 2, 1)),
        (DAY, (1, 1, 2, 2, 1)),
        (7 * DAY - INSTANT, (1, 1, 2, 2, 1)),
        (7 * DAY, (1, 0, 2, 2, 1)),
        (14 * DAY - INSTANT, (1, 0, 2, 2, 1)),
        (14 * DAY, (0, 0, 2, 2, 1)),
        (30 * DAY, (0, 0, 2, 2, 1)),
        (30 * DAY + INSTANT, (0, 0, 2, 0, 0)),
        (365 * DAY, (0, 0, 2, 0, 0)),
        (365 * DAY + INSTANT, (0, 0, 0, 0, 0)),
    ],
    ids=str,
)
async def test_each_task_deletes_only_expired_rows(
    everything_that_expires, set_clock, do_task, left, age, expected
):
    """Advisory 36: rows exist until just before they expire, and are deleted when they do."""
    await everything_that_expires()
    set_clock(NOON + age)

    await do_task("clean")
    await do_task("clean the outbox")
    await do_task("delete due accounts")

    assert await left() == expected


async def test_rows_that_the_tasks_keep_still_work(make_user, every_token, set_clock, do_task):
    """Advisory 36. Within half an hour, nothing has expired yet."""
    set_clock(NOON)
    good = await every_token(await make_user(EMAIL))
    set_clock(NOON + HOUR / 2)

    await do_task("clean")
    await do_task("clean the outbox")
    await do_task("delete due accounts")

    assert await good() == EVERYTHING

"""`app db seed`: the data that it adds, on both databases."""

from datetime import datetime

from sqlalchemy import func, select

from app import clock
from app.cli import sample_data
from app.mail import OutboxMessage
from app.users import User, UserSession
from app.users.audit import AuditEvent
from app.users.invitations import UserInvitation


async def test_the_sample_data_shows_every_kind_of_account(db, manager) -> None:
    async with db.session() as session:
        await sample_data._add(session, manager)

    async with db.session(commit=False) as session:
        users = list(await session.scalars(select(User)))
        counts = [
            await session.scalar(select(func.count()).select_from(table))
            for table in (UserSession, AuditEvent, UserInvitation, OutboxMessage)
        ]
    assert len(users) == 51
    assert [user.email for user in users if user.is_superuser] == ["admin@example.com"]
    for name in ("is_active", "is_verified", "must_reset_password"):
        assert {getattr(user, name) for user in users} == {True, False}
    assert any(user.failed_logins for user in users)
    assert any(user.pending_email for user in users)
    assert any(user.delete_after for user in users)
    assert len({user.created_at.date() for user in users}) > 25
    assert counts[0] > 50
    assert counts[1] > 100
    assert counts[2:] == [2, 1]


async def test_sample_users_can_log_in_and_see_their_sessions(db, manager, client) -> None:
    async with db.session() as session:
        await sample_data._add(session, manager)

    body = {"email": "grace.hopper@example.com", "password": sample_data.PASSWORD}
    logged_in = await client.post("/users/login", json=body)
    headers = {"Authorization": f"Bearer {logged_in.json()['access_token']}"}
    sessions = (await client.get("/users/me/sessions", headers=headers)).json()

    assert logged_in.status_code == 200
    assert len(sessions["items"] if isinstance(sessions, dict) else sessions) > 1


async def test_sample_data_sends_no_mail(db, manager, outbox) -> None:
    async with db.session() as session:
        await sample_data._add(session, manager)

    assert await outbox() == []


async def test_only_expected_times_lie_in_the_future(db, manager) -> None:
    async with db.session() as session:
        await sample_data._add(session, manager)

    async with db.session(commit=False) as session:
        latest: list[datetime] = [
            await session.scalar(select(func.max(column)))
            for column in (AuditEvent.at, UserSession.created_at, UserSession.last_seen_at, User.created_at)
        ]
    assert max(latest) <= clock.now()

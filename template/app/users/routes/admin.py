"""Administration for superusers, who never see or set a password. The rules are in the manager."""

from datetime import datetime
from typing import Annotated

from hawkapi import Depends
from hawkapi.routing.router import Router
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.users.audit import events_of
from app.users.dependencies import CurrentSession, RecentLogin, StillSuperuser, Superuser, Users
from app.users.manager import UserManager
from app.users.models import User
from app.users.routes.errors import (
    ACCOUNT_DISABLED,
    ACCOUNT_IN_USE,
    EMAIL_TAKEN,
    INVALID_EMAIL,
    LAST_SUPERUSER,
    UNKNOWN_ACCOUNT,
)
from app.users.schemas import (
    Accepted,
    EmailRequest,
    EventPage,
    EventQuery,
    ManagedUser,
    PublicInvitation,
    PublicSession,
    UserPage,
    UserQuery,
    UserUpdate,
    given_own,
    managed,
    public_event,
    public_invitation,
    public_session,
)
from app.web import query, responds
from app.web.cursors import from_cursor, to_cursor

# Your own imports go below; template updates never touch them.
# isort: split

router = Router(tags=["administration"])


@router.get("", status_code=200)
async def list_users(
    admin: Superuser, page: Annotated[UserQuery, Depends(query(UserQuery))], users: Users, db: Db
) -> UserPage:
    """List accounts, newest first"""
    return await find_users(page, users, db)


async def find_users(page: UserQuery, users: UserManager, db: AsyncSession) -> UserPage:
    """One page of the account list."""
    found = await _search(page, users, db, before=from_cursor(page.cursor) if page.cursor else None)
    shown = found[: page.limit]
    following = _cursor_of(shown[-1]) if len(found) > page.limit else None
    return UserPage([managed(user) for user in shown], following)


async def previous_cursor(page: UserQuery, users: UserManager, db: AsyncSession) -> str | None:
    """The cursor that requests the page preceding *page*. None if *page* is the first or second page."""
    if not page.cursor:
        return None
    newer = await _search(page, users, db, since=from_cursor(page.cursor))
    # `page.cursor` marks the last account on the previous page. That page's own cursor is `limit` accounts
    # further up the list.
    return _cursor_of(newer[-1]) if len(newer) > page.limit else None


async def _search(
    page: UserQuery,
    users: UserManager,
    db: AsyncSession,
    *,
    before: tuple[datetime, str] | None = None,
    since: tuple[datetime, str] | None = None,
) -> list[User]:
    return await users.search(
        db,
        text=page.search,
        before=before,
        since=since,
        limit=page.limit + 1,
        is_active=page.is_active,
        is_verified=page.is_verified,
        is_superuser=page.is_superuser,
        must_reset_password=page.must_reset_password,
    )


@router.get("/audit", status_code=200)
async def list_events(
    admin: Superuser, page: Annotated[EventQuery, Depends(query(EventQuery))], db: Db
) -> EventPage:
    """List audit events, newest first

    Lists events for one account or for all accounts, including deleted ones.
    """
    return await find_events(page, db)


async def find_events(page: EventQuery, db: AsyncSession) -> EventPage:
    """One page of the audit log."""
    found = await events_of(db, page.user_id, before=page.before, limit=page.limit + 1)
    shown = found[: page.limit]
    following = shown[-1].id if len(found) > page.limit else None
    return EventPage([public_event(row) for row in shown], following)


@router.post("/invitations", status_code=201)
@responds(INVALID_EMAIL, EMAIL_TAKEN)
async def invite(
    admin: Superuser,
    recent: RecentLogin,
    body: EmailRequest,
    still: StillSuperuser,
    users: Users,
    db: Db,
) -> PublicInvitation:
    """Invite a person to create an account

    The e-mailed link works only once and expires after INVITATION_TTL seconds. Any earlier link stops
    working.
    """
    return public_invitation(await users.invite(db, email=body.email, invited_by=admin.id))


@router.get("/invitations", status_code=200)
async def list_invitations(admin: Superuser, users: Users, db: Db) -> list[PublicInvitation]:
    """List unused invitations, newest first"""
    return [public_invitation(row) for row in await users.invitations.open(db)]


@router.delete("/invitations/{invitation_id}", status_code=204)
@responds({404: "The invitation does not exist."})
async def withdraw_invitation(
    admin: Superuser, recent: RecentLogin, invitation_id: str, users: Users, db: Db
) -> None:
    """Withdraw an invitation

    Its link stops working.
    """
    await users.withdraw_invitation(db, invitation_id)


@router.get("/{user_id}", status_code=200)
@responds(UNKNOWN_ACCOUNT)
async def read_user(admin: Superuser, user_id: str, users: Users, db: Db) -> ManagedUser:
    """Get an account"""
    return managed(await users.require(db, user_id))


@router.patch("/{user_id}", status_code=200)
@responds(UNKNOWN_ACCOUNT, LAST_SUPERUSER)
async def change_user(
    admin: Superuser,
    recent: RecentLogin,
    user_id: str,
    body: UserUpdate,
    still: StillSuperuser,
    users: Users,
    db: Db,
) -> ManagedUser:
    """Update an account

    Disabling the account, unverifying its e-mail address or setting `must_reset_password` ends all of the
    account's sessions.
    """
    user = await users.require(db, user_id)
    changed = await users.update(
        db,
        user,
        is_active=body.is_active,
        is_verified=body.is_verified,
        is_superuser=body.is_superuser,
        must_reset_password=body.must_reset_password,
        own=given_own(body),
    )
    return managed(changed)


@router.delete("/{user_id}", status_code=204)
@responds(UNKNOWN_ACCOUNT, LAST_SUPERUSER, ACCOUNT_IN_USE)
async def delete_user(admin: Superuser, recent: RecentLogin, user_id: str, users: Users, db: Db) -> None:
    """Delete an account permanently

    The account is deleted immediately, without a grace period.
    """
    await users.delete(db, await users.require(db, user_id))


@router.get("/{user_id}/sessions", status_code=200)
@responds(UNKNOWN_ACCOUNT)
async def list_sessions_of(
    admin: Superuser, current: CurrentSession, user_id: str, users: Users, db: Db
) -> list[PublicSession]:
    """List an account's sessions

    Only the 100 most recently used sessions are listed.
    """
    user = await users.require(db, user_id)
    found = await users.sessions.listed(db, user, current=current)
    return [public_session(row, current) for row in found]


@router.delete("/{user_id}/sessions", status_code=204)
@responds(UNKNOWN_ACCOUNT)
async def end_sessions_of(admin: Superuser, recent: RecentLogin, user_id: str, users: Users, db: Db) -> None:
    """End all of an account's sessions"""
    await users.end_sessions(db, await users.require(db, user_id))


@router.post("/{user_id}/password-reset", status_code=202)
@responds(UNKNOWN_ACCOUNT, ACCOUNT_DISABLED)
async def send_password_reset(
    admin: Superuser, recent: RecentLogin, user_id: str, users: Users, db: Db
) -> Accepted:
    """E-mail an account's owner a link to set a new password"""
    user = await users.require(db, user_id)
    await users.send_password_reset(db, user)
    return Accepted()


def _cursor_of(user: User) -> str:
    return to_cursor(user.created_at, user.id)


# Your own routes go below; template updates never touch them.

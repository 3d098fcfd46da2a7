"""Administration, for superusers. Nobody here sees or sets a password. No rule here: the manager has them."""

import base64
from datetime import UTC, datetime
from typing import Annotated

from hawkapi import Depends
from hawkapi.routing.router import Router

from app.database import Db
from app.users.audit import events_of
from app.users.dependencies import CurrentSession, RecentLogin, StillSuperuser, Superuser, Users
from app.users.models import User
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
    managed,
    public_event,
    public_invitation,
    public_session,
)
from app.web import Problem, invalid, query, responds

# Your own imports go below; template updates never touch them.
# isort: split

router = Router(tags=["administration"])

_UNKNOWN = {404: "There is no such account."}
_LAST = {409: "It would take away the last active superuser, or what other data needs."}


@router.get("", status_code=200)
async def list_users(
    admin: Superuser, page: Annotated[UserQuery, Depends(query(UserQuery))], users: Users, db: Db
) -> UserPage:
    """Accounts, newest first"""
    found = await users.search(
        db,
        text=page.search,
        before=_from_cursor(page.cursor) if page.cursor else None,
        limit=page.limit + 1,
        is_active=page.is_active,
        is_verified=page.is_verified,
        is_superuser=page.is_superuser,
        must_reset_password=page.must_reset_password,
    )
    shown = found[: page.limit]
    following = _to_cursor(shown[-1]) if len(found) > page.limit else None
    return UserPage([managed(user) for user in shown], following)


@router.get("/audit", status_code=200)
async def list_events(
    admin: Superuser, page: Annotated[EventQuery, Depends(query(EventQuery))], db: Db
) -> EventPage:
    """The audit log, newest first, of all accounts or of one, which may be deleted already"""
    found = await events_of(db, page.user_id, before=page.before, limit=page.limit + 1)
    shown = found[: page.limit]
    following = shown[-1].id if len(found) > page.limit else None
    return EventPage([public_event(row) for row in shown], following)


@router.post("/invitations", status_code=201)
@responds({409: "The address has an account already."})
async def invite(
    admin: Superuser,
    recent: RecentLogin,
    body: EmailRequest,
    still: StillSuperuser,
    users: Users,
    db: Db,
) -> PublicInvitation:
    """Invite somebody to make an account

    The link is mailed, works once and for INVITATION_TTL seconds; one that was mailed before works no more.
    """
    return public_invitation(await users.invite(db, email=body.email, invited_by=admin.id))


@router.get("/invitations", status_code=200)
async def list_invitations(admin: Superuser, users: Users, db: Db) -> list[PublicInvitation]:
    """Invitations that nobody has used yet, newest first"""
    return [public_invitation(row) for row in await users.invitations.open(db)]


@router.delete("/invitations/{invitation_id}", status_code=204)
@responds({404: "There is no such invitation."})
async def withdraw_invitation(
    admin: Superuser, recent: RecentLogin, invitation_id: str, users: Users, db: Db
) -> None:
    """Withdraw an invitation: its link works no more"""
    await users.withdraw_invitation(db, invitation_id)


@router.get("/{user_id}", status_code=200)
@responds(_UNKNOWN)
async def read_user(admin: Superuser, user_id: str, users: Users, db: Db) -> ManagedUser:
    """Read an account"""
    return managed(await users.require(db, user_id))


@router.patch("/{user_id}", status_code=200)
@responds(_UNKNOWN | _LAST)
async def change_user(
    admin: Superuser,
    recent: RecentLogin,
    user_id: str,
    body: UserUpdate,
    still: StillSuperuser,
    users: Users,
    db: Db,
) -> ManagedUser:
    """Change what an account may do

    Disabling it, taking back that its address is verified, and `must_reset_password` end every session of it.
    """
    user = await users.require(db, user_id)
    changed = await users.update(
        db,
        user,
        is_active=body.is_active,
        is_verified=body.is_verified,
        is_superuser=body.is_superuser,
        must_reset_password=body.must_reset_password,
    )
    return managed(changed)


@router.delete("/{user_id}", status_code=204)
@responds(_UNKNOWN | _LAST)
async def delete_user(admin: Superuser, recent: RecentLogin, user_id: str, users: Users, db: Db) -> None:
    """Delete an account, at once and for good"""
    await users.delete(db, await users.require(db, user_id))


@router.get("/{user_id}/sessions", status_code=200)
@responds(_UNKNOWN)
async def list_sessions_of(
    admin: Superuser, current: CurrentSession, user_id: str, users: Users, db: Db
) -> list[PublicSession]:
    """Where an account is logged in"""
    user = await users.require(db, user_id)
    return [public_session(row, current) for row in await users.sessions.of_user(db, user)]


@router.delete("/{user_id}/sessions", status_code=204)
@responds(_UNKNOWN)
async def end_sessions_of(admin: Superuser, recent: RecentLogin, user_id: str, users: Users, db: Db) -> None:
    """End every session of an account"""
    await users.end_sessions(db, await users.require(db, user_id))


@router.post("/{user_id}/password-reset", status_code=202)
@responds(_UNKNOWN | {409: "The account is disabled."})
async def send_password_reset(
    admin: Superuser, recent: RecentLogin, user_id: str, users: Users, db: Db
) -> Accepted:
    """Send an account the link that sets a new password"""
    user = await users.require(db, user_id)
    if not user.is_active:
        raise Problem(409, "The account is disabled; it gets no mail.")
    await users.send_password_reset(db, user)
    return Accepted()


def _to_cursor(user: User) -> str:
    return base64.urlsafe_b64encode(f"{user.created_at.isoformat()} {user.id}".encode()).decode()


def _from_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        moment, _, user_id = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(" ")
        created_at = datetime.fromisoformat(moment)
        if created_at.tzinfo != UTC or "\0" in user_id:
            raise ValueError("not as `_to_cursor` writes it")
    except ValueError:
        raise invalid("cursor", "This is not the `next` of a page.") from None
    return created_at, user_id


# Your own routes go below; template updates never touch them.

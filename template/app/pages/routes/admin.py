"""Administration for superusers: find and manage accounts.

The pages show the same fields as the JSON routes in `app/users/routes/admin.py`. Superusers never see or set
a password.
"""

from typing import Annotated, Any

import msgspec
from hawkapi import Depends, Request
from hawkapi.responses.response import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.pages.events import name_of
from app.pages.forms import REFUSALS, AccountChangeForm, problem_of
from app.pages.navigation import (
    Administrator,
    RecentAdministrator,
    first_page,
    next_page,
    previous_page,
    redirect,
)
from app.pages.routing import PageRouter
from app.users import Users
from app.users.dependencies import Login, StillSuperuser
from app.users.manager import UserManager
from app.users.routes.admin import find_events, find_users, previous_cursor
from app.users.schemas import (
    EventQuery,
    ManagedUser,
    UserQuery,
    UserUpdate,
    given,
    managed,
    public_session,
)
from app.users.sessions import LISTED
from app.web import FromForm, Problem, query
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()

_RECENT_EVENTS = 10
"""The maximum number of audit events on an account's page. The audit log shows the rest."""

_CHANGES = {
    "disabled": UserUpdate(is_active=False),
    "enabled": UserUpdate(is_active=True),
    "promoted": UserUpdate(is_superuser=True),
    "demoted": UserUpdate(is_superuser=False),
    "verified": UserUpdate(is_verified=True),
    "unverified": UserUpdate(is_verified=False),
    "reset_required": UserUpdate(must_reset_password=True),
    "reset_waived": UserUpdate(must_reset_password=False),
}
"""The changes that the buttons on an account's page make. Each has a message, such as `account_disabled`."""


@router.get("/admin")
async def users_page(
    admin: Administrator,
    request: Request,
    filters: Annotated[UserQuery, Depends(query(UserQuery, from_form=True))],
    users: Users,
    db: Db,
) -> Response:
    """The list of accounts, newest first."""
    page = await find_users(filters, users, db)
    return html_page(
        request,
        "admin/users.html",
        accounts=page.items,
        filters=filters,
        first_page=first_page(request, "cursor"),
        next_page=next_page(request, cursor=page.next),
        previous_page=previous_page(request, cursor=await previous_cursor(filters, users, db)),
    )


@router.get("/admin/users/{user_id}")
async def user_page(admin: Administrator, request: Request, user_id: str, users: Users, db: Db) -> Response:
    """One account with its sessions and latest events."""
    return await _show(admin, request, user_id, users, db)


@router.post("/admin/users/{user_id}")
async def change_user(
    admin: RecentAdministrator,
    request: Request,
    user_id: str,
    form: Annotated[AccountChangeForm, FromForm()],
    still: StillSuperuser,
    users: Users,
    db: Db,
) -> Response:
    if form.change not in _CHANGES:
        raise Problem(400, "Unknown change.")
    try:
        user = await users.require(db, user_id)
        await users.update(db, user, **given(_CHANGES[form.change]))
    except REFUSALS as error:
        return await _show(admin, request, user_id, users, db, error)
    return redirect(request, f"/admin/users/{user.id}", message=f"account_{form.change}")


@router.action("/admin/users/{user_id}/password-reset", page="/admin/users/{user_id}")
async def send_password_reset(
    admin: RecentAdministrator, request: Request, user_id: str, users: Users, db: Db
) -> Response:
    """E-mail the owner a link to set a new password. The page does not show the link."""
    user = await users.require(db, user_id)
    try:
        await users.send_password_reset(db, user)
    except REFUSALS as error:
        return await _show(admin, request, user_id, users, db, error)
    return redirect(request, f"/admin/users/{user.id}", message="account_reset_sent")


@router.action("/admin/users/{user_id}/sessions", page="/admin/users/{user_id}")
async def end_sessions(
    admin: RecentAdministrator, request: Request, user_id: str, users: Users, db: Db
) -> Response:
    user = await users.require(db, user_id)
    await users.end_sessions(db, user)
    return redirect(request, f"/admin/users/{user.id}", message="account_sessions_ended")


@router.action("/admin/users/{user_id}/sessions/{session_id}", page="/admin/users/{user_id}")
async def end_session(
    admin: RecentAdministrator, request: Request, user_id: str, session_id: str, users: Users, db: Db
) -> Response:
    user = await users.require(db, user_id)
    try:
        await users.end_session(db, user, session_id)
    except REFUSALS as error:
        return await _show(admin, request, user_id, users, db, error)
    return redirect(request, f"/admin/users/{user.id}", message="account_session_ended")


@router.get("/admin/users/{user_id}/delete")
async def deletion_page(
    admin: RecentAdministrator, request: Request, user_id: str, users: Users, db: Db
) -> Response:
    """Ask for confirmation before the account is deleted."""
    return html_page(request, "admin/delete_user.html", account=managed(await users.require(db, user_id)))


@router.post("/admin/users/{user_id}/delete")
async def delete_user(
    admin: RecentAdministrator, request: Request, user_id: str, users: Users, db: Db
) -> Response:
    user = await users.require(db, user_id)
    try:
        await users.delete(db, user)
    except REFUSALS as error:
        return await _show(admin, request, user_id, users, db, error)
    return redirect(request, "/admin", message="account_removed")


async def _show(
    admin: Login,
    request: Request,
    user_id: str,
    users: UserManager,
    db: AsyncSession,
    error: Exception | None = None,
) -> Response:
    """An account's page. With *error*, the page shows why nothing was changed, and the status is 409."""
    user = await users.require(db, user_id)
    sessions = await users.sessions.listed(db, user, current=admin.session)
    events = await find_events(EventQuery(user_id=user.id, limit=_RECENT_EVENTS), db)
    account = managed(user)
    return html_page(
        request,
        "admin/user.html",
        status=200 if error is None else 409,
        problem="" if error is None else problem_of(error)[1],
        account=account,
        own_fields=_own_fields(account),
        sessions=[public_session(each, admin.session) for each in sessions],
        has_more_sessions=len(sessions) >= LISTED,
        events=[(event, name_of(event)) for event in events.items],
        has_more_events=events.next is not None,
        emails=await users.emails_by_id(db, [event.actor for event in events.items]),
    )


_SHOWN = frozenset(
    {
        "id",
        "email",
        "is_active",
        "is_verified",
        "is_superuser",
        "must_reset_password",
        "created_at",
        "updated_at",
        "delete_after",
    }
)
"""Fields that `admin/user.html` shows itself."""


def _own_fields(account: ManagedUser) -> dict[str, Any]:
    """The fields that you added to `PublicUser` and `ManagedUser`."""
    return {name: value for name, value in msgspec.structs.asdict(account).items() if name not in _SHOWN}

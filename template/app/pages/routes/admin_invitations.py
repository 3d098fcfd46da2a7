"""Pages for superusers: list invitations, invite people and withdraw invitations."""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.pages.forms import REFUSALS, EmailForm, show_again
from app.pages.navigation import Administrator, RecentAdministrator, redirect
from app.pages.routing import PageRouter
from app.users import Users
from app.users.dependencies import StillSuperuser
from app.users.manager import UserManager
from app.users.schemas import PublicInvitation, public_invitation
from app.web import FromForm
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/admin/invitations")
async def invitations_page(admin: Administrator, request: Request, users: Users, db: Db) -> Response:
    """Invitations that have not been used yet, newest first, and a form to invite someone."""
    invitations, emails = await _open_invitations(users, db)
    return html_page(
        request, "admin/invitations.html", email="", errors={}, invitations=invitations, emails=emails
    )


@router.post("/admin/invitations")
async def invite(
    admin: RecentAdministrator,
    request: Request,
    form: Annotated[EmailForm, FromForm()],
    still: StillSuperuser,
    users: Users,
    db: Db,
) -> Response:
    try:
        await users.invite(db, email=form.email, invited_by=admin.user.id)
    except REFUSALS as error:
        invitations, emails = await _open_invitations(users, db)
        return show_again(
            request, "admin/invitations.html", form, error, invitations=invitations, emails=emails
        )
    return redirect(request, "/admin/invitations", message="invited")


@router.action("/admin/invitations/{invitation_id}/withdraw", page="/admin/invitations")
async def withdraw_invitation(
    admin: RecentAdministrator, request: Request, invitation_id: str, users: Users, db: Db
) -> Response:
    await users.withdraw_invitation(db, invitation_id)
    return redirect(request, "/admin/invitations", message="invitation_withdrawn")


async def _open_invitations(
    users: UserManager, db: AsyncSession
) -> tuple[list[PublicInvitation], dict[str, str]]:
    """The open invitations, and the e-mail addresses of the people who sent them, keyed by account id."""
    invitations = [public_invitation(row) for row in await users.invitations.open(db)]
    return invitations, await users.emails_by_id(db, [each.invited_by for each in invitations])

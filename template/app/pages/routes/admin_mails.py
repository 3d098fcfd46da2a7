"""Pages for superusers: inspect, resend or delete e-mails that could not be sent.

The pages never show the text of an e-mail, which may contain a link that gives access to the account.
"""

from typing import Annotated

import msgspec
from hawkapi import Depends, Request
from hawkapi.responses.response import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.mail import outbox
from app.pages.navigation import (
    Administrator,
    RecentAdministrator,
    first_page,
    next_page,
    previous_page,
    redirect,
)
from app.pages.routing import PageRouter
from app.users import Users, dead_mails
from app.users.exceptions import NoSuchMail
from app.users.schemas import MailId, dead_mail
from app.web import query
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()

_PAGE = 50


class MailQuery(msgspec.Struct):
    """The query parameters of the list."""

    before: MailId | None = None


@router.get("/admin/mails")
async def mails_page(
    admin: Administrator,
    request: Request,
    page: Annotated[MailQuery, Depends(query(MailQuery, from_form=True))],
    users: Users,
    db: Db,
) -> Response:
    """E-mails that were set aside, newest first."""
    rows = await outbox.dead_messages(db, before=page.before, limit=_PAGE + 1)
    mails = [dead_mail(row) for row in rows[:_PAGE]]
    following = mails[-1].id if len(rows) > _PAGE else None
    return html_page(
        request,
        "admin/mails.html",
        mails=mails,
        emails=await users.emails_by_id(db, [mail.user_id for mail in mails if mail.user_id]),
        first_page=first_page(request, "before"),
        next_page=next_page(request, before=following),
        previous_page=previous_page(request, before=await _start_of_previous(page.before, db)),
    )


async def _start_of_previous(before: int | None, db: AsyncSession) -> int | None:
    """The `before` cursor that requests the previous page. None if this or the previous page is the first."""
    if before is None:
        return None
    newer = await outbox.dead_messages(db, since=before, limit=_PAGE + 1)
    return newer[-1].id if len(newer) > _PAGE else None


@router.get("/admin/mails/{message_id}")
async def mail_page(
    admin: Administrator, request: Request, message_id: MailId, users: Users, db: Db
) -> Response:
    """One e-mail, with the reason why it could not be sent."""
    row = await outbox.dead_message(db, message_id)
    if row is None:
        raise NoSuchMail
    mail = dead_mail(row)
    emails = await users.emails_by_id(db, [mail.user_id] if mail.user_id else [])
    return html_page(request, "admin/mail.html", mail=mail, emails=emails)


@router.action("/admin/mails/{message_id}/retry", page="/admin/mails/{message_id}")
async def send_again(admin: RecentAdministrator, request: Request, message_id: MailId, db: Db) -> Response:
    await dead_mails.send_again(db, message_id)
    return redirect(request, "/admin/mails", message="mail_retried")


@router.action("/admin/mails/{message_id}/drop", page="/admin/mails/{message_id}")
async def drop(admin: RecentAdministrator, request: Request, message_id: MailId, db: Db) -> Response:
    await dead_mails.drop(db, message_id)
    return redirect(request, "/admin/mails", message="mail_dropped")

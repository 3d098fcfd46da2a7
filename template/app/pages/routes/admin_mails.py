"""E-mails that could not be sent, for superusers: inspect, send again or delete them.

The pages never show the text of an e-mail, which may contain a link that logs someone in as its owner.
"""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from hawkapi import Depends, Request
from hawkapi.responses.response import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.mail import OutboxMessage, outbox
from app.pages.navigation import (
    Administrator,
    RecentAdministrator,
    first_page,
    next_page,
    previous_page,
    redirect,
)
from app.pages.routing import PageRouter
from app.users import Users, record
from app.web import Problem, query
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()

_PAGE = 50

MessageId = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class MailQuery(msgspec.Struct):
    """The query parameters of the list."""

    before: MessageId | None = None


class DeadMail(msgspec.Struct):
    """The fields of an e-mail that the pages show. Never add its content."""

    id: int
    subject: str
    user_id: str | None
    attempts: int
    last_error: str
    created_at: datetime
    set_aside_at: datetime
    can_be_sent: bool


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
    mails = [_view(row) for row in rows[:_PAGE]]
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
    """The value of `before` for the previous page. None if this page or the previous one is the first one."""
    if before is None:
        return None
    newer = await outbox.dead_messages(db, since=before, limit=_PAGE + 1)
    return newer[-1].id if len(newer) > _PAGE else None


@router.get("/admin/mails/{message_id}")
async def mail_page(
    admin: Administrator, request: Request, message_id: MessageId, users: Users, db: Db
) -> Response:
    """One e-mail, with the reason why it could not be sent."""
    row = await outbox.dead_message(db, message_id)
    if row is None:
        raise _no_such_mail()
    mail = _view(row)
    emails = await users.emails_by_id(db, [mail.user_id] if mail.user_id else [])
    return html_page(request, "admin/mail.html", mail=mail, emails=emails)


@router.action("/admin/mails/{message_id}/retry", page="/admin/mails/{message_id}")
async def send_again(
    admin: RecentAdministrator, request: Request, message_id: MessageId, users: Users, db: Db
) -> Response:
    row = await outbox.dead_message(db, message_id)
    if row is None:
        raise _no_such_mail()
    if not await outbox.retry(db, message_id):
        raise Problem(409, "The e-mail cannot be sent again, because the link in it has expired.")
    record(db, "mail_retried", row.user_id, details={"mail": message_id})
    return redirect(request, "/admin/mails", message="mail_retried")


@router.action("/admin/mails/{message_id}/drop", page="/admin/mails/{message_id}")
async def drop(
    admin: RecentAdministrator, request: Request, message_id: MessageId, users: Users, db: Db
) -> Response:
    row = await outbox.dead_message(db, message_id)
    if row is None or not await outbox.drop(db, message_id):
        raise _no_such_mail()
    record(db, "mail_dropped", row.user_id, details={"mail": message_id})
    return redirect(request, "/admin/mails", message="mail_dropped")


def _no_such_mail() -> Problem:
    return Problem(404, "No e-mail with this number is set aside. It may have been sent in the meantime.")


def _view(row: OutboxMessage) -> DeadMail:
    return DeadMail(
        id=row.id,
        subject=row.subject,
        user_id=row.user_id,
        attempts=row.attempts,
        last_error=row.last_error,
        created_at=_utc(row.created_at),
        set_aside_at=_utc(row.next_attempt_at),
        can_be_sent=outbox.can_be_sent(row),
    )


def _utc(moment: datetime) -> datetime:
    # SQLite returns these columns without a zone.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

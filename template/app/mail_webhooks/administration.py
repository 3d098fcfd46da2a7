"""Routes for superusers: list the mailboxes that no longer receive e-mail, and clear their marks."""

from datetime import datetime
from typing import Annotated

import msgspec
from hawkapi import Depends
from hawkapi.routing.router import Router

from app.database import Db
from app.mail_webhooks.bounces import BouncedMailbox, clear_by_hand, marked
from app.users.dependencies import RecentLogin, StillSuperuser, Superuser
from app.users.schemas import EmailRequest
from app.web import query, responds
from app.web.cursors import from_cursor, to_cursor

router = Router(prefix="/bounced-mailboxes", tags=["administration"])


class PublicMailbox(msgspec.Struct):
    """A mailbox that no longer receives e-mail."""

    email: str
    user_id: Annotated[str | None, msgspec.Meta(description="Null if no account had the address.")]
    reason: Annotated[str, msgspec.Meta(description="`bounce` or `complaint`.")]
    bounced_at: datetime


class MailboxPage(msgspec.Struct):
    items: list[PublicMailbox]
    next: Annotated[str | None, msgspec.Meta(description="The `cursor` of the next page, if there is one.")]


class MailboxQuery(msgspec.Struct):
    """The query parameters of the list."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 50
    cursor: Annotated[
        str, msgspec.Meta(max_length=1500, description="The `next` value from the previous page.")
    ] = ""


@router.get("", status_code=200)
async def list_bounced_mailboxes(
    admin: Superuser, page: Annotated[MailboxQuery, Depends(query(MailboxQuery))], db: Db
) -> MailboxPage:
    """List mailboxes that no longer receive e-mail, newest first"""
    before = from_cursor(page.cursor) if page.cursor else None
    found = await marked(db, before=before, limit=page.limit + 1)
    shown = found[: page.limit]
    following = to_cursor(shown[-1].bounced_at, shown[-1].email) if len(found) > page.limit else None
    return MailboxPage([_public(row) for row in shown], following)


@router.post("/clear", status_code=204)
@responds({404: "The mailbox is not marked."})
async def clear_mailbox(
    admin: Superuser, recent: RecentLogin, body: EmailRequest, still: StillSuperuser, db: Db
) -> None:
    """Resume e-mail to a mailbox"""
    await clear_by_hand(db, body.email)


def _public(row: BouncedMailbox) -> PublicMailbox:
    return PublicMailbox(row.email, row.user_id, row.reason, row.bounced_at)

"""Routes for superusers: list, retry and delete e-mails that were set aside.

Their text is never shown, because it may contain a working link.
"""

from typing import Annotated

from hawkapi import Depends
from hawkapi.routing.router import Router

from app.database import Db
from app.mail import outbox
from app.users import dead_mails
from app.users.dependencies import RecentLogin, Superuser
from app.users.routes.errors import MAIL_EXPIRED, UNKNOWN_MAIL
from app.users.schemas import DeadMailPage, DeadMailQuery, MailId, dead_mail
from app.web import query, responds

router = Router(tags=["administration"])


@router.get("/mails", status_code=200)
async def list_dead_mails(
    admin: Superuser, page: Annotated[DeadMailQuery, Depends(query(DeadMailQuery))], db: Db
) -> DeadMailPage:
    """List e-mails that could not be sent, newest first"""
    found = await outbox.dead_messages(db, before=page.before, limit=page.limit + 1)
    shown = found[: page.limit]
    following = shown[-1].id if len(found) > page.limit else None
    return DeadMailPage([dead_mail(row) for row in shown], following)


@router.post("/mails/{mail_id}/retry", status_code=204)
@responds(UNKNOWN_MAIL, MAIL_EXPIRED)
async def retry_mail(admin: Superuser, recent: RecentLogin, mail_id: MailId, db: Db) -> None:
    """Retry an e-mail that could not be sent"""
    await dead_mails.send_again(db, mail_id)


@router.delete("/mails/{mail_id}", status_code=204)
@responds(UNKNOWN_MAIL)
async def drop_mail(admin: Superuser, recent: RecentLogin, mail_id: MailId, db: Db) -> None:
    """Delete an e-mail that could not be sent"""
    await dead_mails.drop(db, mail_id)

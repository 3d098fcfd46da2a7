"""The development mailbox: in development, the worker keeps the e-mails that it has sent. Template-owned.

Sent e-mails stay in the outbox with the status `sent`, so they survive a restart. `app/pages` shows them at
`/dev/mailbox`. Without `app/pages`, or outside development, no sent e-mails are kept.
"""

from collections.abc import Iterable
from datetime import datetime
from importlib.util import find_spec
from typing import NamedTuple

from hawkapi_mail import EmailMessage
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.keys import CannotDecrypt, KeyRing
from app.mail.outbox import SENT, OutboxMessage
from app.mail.stored import keys_of, opened
from app.settings import Settings

SHOWN = 200
"""The number of e-mails that the mailbox shows, newest first."""


class SentMail(NamedTuple):
    """An e-mail in the mailbox."""

    id: int
    sent_at: datetime
    message: EmailMessage


def mailbox_url(settings: Settings) -> str:
    """The URL of the mailbox, or an empty string if there is no mailbox."""
    if settings.environment != "development" or find_spec("app.pages") is None:
        return ""
    return f"{settings.base_url}/dev/mailbox"


async def keep(db: AsyncSession, ids: Iterable[int]) -> None:
    """Keep the rows of the sent e-mails with these ids."""
    # Clear the account and the expiry: the row must stay when the account is deleted or the link expires.
    values = {"status": SENT, "next_attempt_at": clock.now(), "user_id": None, "expires_at": None}
    statement = update(OutboxMessage).where(OutboxMessage.id.in_(list(ids))).values(**values)
    await db.execute(statement.execution_options(synchronize_session=False))


async def sent_mails(db: AsyncSession) -> list[SentMail]:
    """The e-mails in the mailbox, newest first."""
    newest_first = _sent().order_by(OutboxMessage.next_attempt_at.desc(), OutboxMessage.id.desc())
    keys = keys_of(db)
    found = [_opened(row, keys) for row in await db.scalars(newest_first.limit(SHOWN))]
    return [mail for mail in found if mail is not None]


async def sent_mail(db: AsyncSession, identifier: int) -> SentMail | None:
    """The e-mail with this id in the mailbox, or None."""
    row = (await db.scalars(_sent().where(OutboxMessage.id == identifier))).one_or_none()
    return row and _opened(row, keys_of(db))


async def newest_id(db: AsyncSession) -> int:
    """The id of the most recently sent e-mail, or 0 if there is none. Each new e-mail changes this value."""
    ids = select(OutboxMessage.id).where(OutboxMessage.status == SENT)
    newest_first = ids.order_by(OutboxMessage.next_attempt_at.desc(), OutboxMessage.id.desc())
    return await db.scalar(newest_first.limit(1)) or 0


async def unsent(db: AsyncSession, status: str) -> int:
    """The number of e-mails with this *status*: waiting (`PENDING`) or set aside (`DEAD`)."""
    return await db.scalar(select(func.count()).where(OutboxMessage.status == status)) or 0


async def empty(db: AsyncSession) -> None:
    """Delete every e-mail in the mailbox. Waiting e-mails are kept."""
    await db.execute(delete(OutboxMessage).where(OutboxMessage.status == SENT))


def _sent() -> Select[OutboxMessage]:
    return select(OutboxMessage).where(OutboxMessage.status == SENT)


def _opened(row: OutboxMessage, keys: KeyRing) -> SentMail | None:
    """The e-mail in *row*, or None if it was stored with a different SECRET_KEY, as can happen in
    development."""
    try:
        return SentMail(row.id, row.next_attempt_at, opened(row.message, keys).message)
    except CannotDecrypt:
        return None

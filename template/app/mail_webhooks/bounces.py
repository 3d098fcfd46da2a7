"""Mailboxes that no longer receive e-mail because an e-mail bounced or the owner complained.

A provider reports such mailboxes, or an SMTP server rejects them as unknown. The worker discards e-mails to a
marked mailbox just before sending, so no request reveals which addresses are marked. A mark is cleared when a
link that was e-mailed to the mailbox is used, when a superuser clears it, or with `app mail-webhooks clear`.
The row is then kept, so that an older event cannot mark the mailbox again if it arrives late or twice.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ForeignKey, String, delete, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base
from app.i18n import gettext as _
from app.users import User, normalize_email
from app.users.audit import record

logger = logging.getLogger("app.mail")

BOUNCE = "bounce"
COMPLAINT = "complaint"

KEPT = timedelta(days=365)
"""How long a mark is kept if no account had the address. If an e-mail bounces after that, the mailbox is
marked again."""


class NotMarked(ValueError):
    """The mailbox is not marked."""

    def __init__(self) -> None:
        super().__init__(_("This mailbox is not marked, so it gets e-mail."))


class Event(NamedTuple):
    """A provider's report that e-mail to *email* bounces permanently or that the mailbox owner complained."""

    email: str
    reason: str
    at: datetime


class BouncedMailbox(Base):
    """A mailbox that is or was marked."""

    __tablename__ = "bounced_mailboxes"

    email: Mapped[str] = mapped_column(String(254), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(
        String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    """The account that had the address. The row is deleted with the account and is part of its export."""
    reason: Mapped[str] = mapped_column(String(16))
    bounced_at: Mapped[datetime] = mapped_column(UTCDateTime)
    cleared_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the mark was cleared. The mailbox then receives e-mail again, and older events are ignored."""


async def mark(db: AsyncSession, events: Iterable[Event]) -> None:
    """Mark the mailboxes in *events*. Repeated events have no effect."""
    insert = postgresql.insert if db.get_bind().dialect.name == "postgresql" else sqlite.insert
    # Sorted by address, so that simultaneous requests do not deadlock.
    for event in sorted(each._replace(email=normalize_email(each.email)) for each in events):
        owner = await db.scalar(select(User.id).where(User.email == event.email))
        values = {"user_id": owner, "reason": event.reason, "bounced_at": event.at, "cleared_at": None}
        statement = insert(BouncedMailbox).values(email=event.email, **values)
        statement = statement.on_conflict_do_update(
            index_elements=[BouncedMailbox.email],
            set_=values,
            where=BouncedMailbox.cleared_at < event.at,
        )
        marked = await db.execute(statement.returning(BouncedMailbox.email))
        if marked.scalar_one_or_none() is not None:
            # The log must not contain the address.
            logger.warning("a mailbox no longer receives e-mail (%s)", event.reason, extra={"user_id": owner})


async def mark_missing(db: AsyncSession, addresses: Iterable[str]) -> None:
    """Mark the mailboxes at *addresses*, which an SMTP server has just rejected as unknown."""
    await mark(db, [Event(each, BOUNCE, clock.now()) for each in addresses])


async def marked_among(db: AsyncSession, addresses: Iterable[str]) -> set[str]:
    """Returns the given addresses that are marked."""
    normalized = {each: normalize_email(each) for each in addresses}
    query = select(BouncedMailbox.email)
    query = query.where(
        BouncedMailbox.email.in_(set(normalized.values())), BouncedMailbox.cleared_at.is_(None)
    )
    marked = set(await db.scalars(query))
    return {address for address, email in normalized.items() if email in marked}


async def clear(db: AsyncSession, email: str) -> bool:
    """Clear the mark on *email*, which then receives e-mail again. Returns False if there was no mark."""
    marked = (BouncedMailbox.email == normalize_email(email), BouncedMailbox.cleared_at.is_(None))
    statement = update(BouncedMailbox).where(*marked).values(cleared_at=clock.now())
    cleared = await db.execute(
        statement.returning(BouncedMailbox.email).execution_options(synchronize_session=False)
    )
    return cleared.scalar_one_or_none() is not None


async def clear_by_hand(db: AsyncSession, email: str) -> None:
    """Like `clear`, but also record the change in the audit log.

    For superusers and `app mail-webhooks clear`.

    Raises:
        NotMarked: the mailbox is not marked.
    """
    row = await db.get(BouncedMailbox, normalize_email(email))
    if row is None or not await clear(db, email):
        raise NotMarked
    record(db, "mailbox_cleared", row.user_id)


async def remove_old(db: AsyncSession) -> None:
    """Delete marks that belong to no account and are older than KEPT.

    An account's marks are deleted with the account.
    """
    old = (BouncedMailbox.user_id.is_(None), BouncedMailbox.bounced_at < clock.now() - KEPT)
    await db.execute(delete(BouncedMailbox).where(*old))


async def marked(
    db: AsyncSession, *, before: tuple[datetime, str] | None = None, limit: int | None = None
) -> list[BouncedMailbox]:
    """The marked mailboxes, newest first.

    *before*: the time and address of the last mailbox on the previous page.
    """
    order = (BouncedMailbox.bounced_at, BouncedMailbox.email)
    query = select(BouncedMailbox).where(BouncedMailbox.cleared_at.is_(None))
    if before is not None:
        query = query.where(tuple_(*order) < before)
    return list(await db.scalars(query.order_by(*(each.desc() for each in order)).limit(limit)))

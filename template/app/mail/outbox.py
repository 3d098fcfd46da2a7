"""The outbox: e-mails stored as rows, in the same transaction as the change that triggers them.

Template-owned. An e-mail exists if and only if that change was committed. A worker (`worker.py`) takes rows
with `lease`, which never leases a row to two workers at once, and sends their e-mails. `wakeup.py` wakes the
worker on commit. Delivery is at least once: if a worker is killed after the server accepts the e-mail but
before the row is deleted, another worker sends the e-mail again with the same Message-ID.

An e-mail's content is encrypted (`stored.py`). A row is deleted once its e-mail has been sent, when its
account is deleted, or some time after the e-mail was set aside. The content is deleted when the link in the
e-mail expires. In development, `mailbox.py` keeps sent e-mails.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from hawkapi_mail import EmailMessage
from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    delete,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base
from app.keys import sealed_for
from app.mail.stored import PURPOSE, StoredMail, addressed, keys_of, opened, sealed

PENDING = "pending"
DEAD = "dead"
SENT = "sent"
"""Used only in development, by `mailbox.py`."""

EXPIRED = "the link in the e-mail expired before the e-mail could be sent"
"""The `last_error` of an e-mail that expired."""

_SECRET = {"secret": True}  # nosec B105 - keeps a column out of exports; not a secret itself


def _now() -> datetime:
    return clock.now()


class OutboxMessage(Base):
    """An e-mail that is waiting to be sent, or that was set aside after its last attempt."""

    __tablename__ = "mail_outbox"
    __table_args__ = (Index(None, "status", "next_attempt_at"),)

    # SQLite autoincrements only INTEGER primary keys, not BIGINT.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(
        String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True, default=None
    )
    """The e-mail's account. The row is deleted with the account and is part of its export."""
    subject: Mapped[str] = mapped_column(Text, default="", server_default="")
    """The subject, shown to the owner and the operator. It is kept until the row is deleted, so it must not
    contain a secret."""
    message: Mapped[str] = mapped_column(Text, info=_SECRET | sealed_for(PURPOSE))
    """The whole e-mail, sealed (`stored.py`). Empty after `expires_at`."""
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the link in the e-mail expires. The e-mail is not sent after that."""
    status: Mapped[str] = mapped_column(String(8), default=PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    """The number of attempts started. It increases each time a worker takes the row, so it identifies the
    lease."""
    unfinished: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """The number of attempts that have no result because the worker died or is still sending."""
    next_attempt_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    """When the next attempt is due, or when the e-mail was set aside or sent."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    last_error: Mapped[str] = mapped_column(Text, default="")
    """Why the last attempt failed, for the operator. It contains no tokens and no part of the e-mail."""


def enqueue(
    db: AsyncSession,
    message: EmailMessage,
    *,
    discard: bool = False,
    user_id: str | None = None,
    expires_at: datetime | None = None,
) -> OutboxMessage:
    """Add *message* to the outbox. It is sent after the caller's transaction is committed.

    With *discard*, the worker deletes the row without sending the e-mail. A request for an unknown address
    then does the same work as one for a known address, so its timing does not reveal whether the address is
    known.

    *user_id*: the account that the e-mail belongs to. The caller's transaction must keep the account from
    being deleted. *expires_at*: when the link in the e-mail expires.
    """
    row = OutboxMessage(
        user_id=user_id,
        # PostgreSQL cannot store NUL in text.
        subject=message.subject.replace("\0", ""),
        message=sealed(StoredMail(addressed(message), discard), keys_of(db)),
        expires_at=expires_at,
    )
    db.add(row)
    return row


async def lease(
    db: AsyncSession,
    duration: timedelta,
    *,
    limit: int = 1,
    now: datetime | None = None,
) -> list[OutboxMessage]:
    """Take up to *limit* due rows, most overdue first. No other worker can take them for *duration*.

    A single statement takes the rows, so two workers never get the same row. Commit before you send.
    """
    now = now or _now()
    due = (
        select(OutboxMessage.id)
        .where(OutboxMessage.status == PENDING, OutboxMessage.next_attempt_at <= now)
        .order_by(OutboxMessage.next_attempt_at, OutboxMessage.id)
        .limit(limit)
        # For PostgreSQL. SQLAlchemy omits this for SQLite, which allows only one writer at a time.
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    taken = await db.scalars(
        update(OutboxMessage)
        .where(OutboxMessage.id.in_(select(due.c.id)))
        .values(
            attempts=OutboxMessage.attempts + 1,
            unfinished=OutboxMessage.unfinished + 1,
            next_attempt_at=now + duration,
        )
        .returning(OutboxMessage)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(taken, key=lambda row: row.id)


async def seconds_until_due(db: AsyncSession) -> float | None:
    """Seconds until the next e-mail can be taken, or None if no e-mails are waiting."""
    waiting = select(OutboxMessage.next_attempt_at).where(OutboxMessage.status == PENDING)
    due = await db.scalar(waiting.order_by(OutboxMessage.next_attempt_at).limit(1))
    # SQLite returns this column without a time zone.
    return due and (due.replace(tzinfo=due.tzinfo or UTC) - _now()).total_seconds()


async def renew(db: AsyncSession, row: OutboxMessage, duration: timedelta) -> bool:
    """Extend the lease on *row* to *duration* from now. Returns False if the caller has lost the lease."""
    return await _change(db, row, next_attempt_at=_now() + duration)


async def remove(db: AsyncSession, ids: Iterable[int]) -> None:
    """Delete the rows of e-mails that were sent or discarded."""
    await db.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(list(ids))))


async def put_back(db: AsyncSession, row: OutboxMessage, delay: timedelta, error: str) -> None:
    """Schedule another attempt after *delay*, because this one failed with *error*."""
    await _change(
        db,
        row,
        next_attempt_at=_now() + delay,
        last_error=error,
        unfinished=OutboxMessage.unfinished - 1,
    )


async def set_aside(db: AsyncSession, row: OutboxMessage, error: str) -> None:
    """Stop trying to send the e-mail.

    The row is kept for a while with the status `dead` so that the operator can inspect it.
    """
    content = "" if is_expired(row) else row.message
    await _change(db, row, status=DEAD, next_attempt_at=_now(), last_error=error, message=content)


def is_expired(row: OutboxMessage) -> bool:
    """Whether the link in the e-mail has expired."""
    return row.expires_at is not None and row.expires_at <= _now()


async def blank_expired(db: AsyncSession) -> int:
    """Delete the content of e-mails with expired links, and set aside those that are still pending.

    Returns the number of e-mails that were set aside.
    """
    now = _now()
    expired = (OutboxMessage.expires_at <= now, OutboxMessage.message != "")
    late = update(OutboxMessage).where(*expired, OutboxMessage.status == PENDING)
    late = late.values(status=DEAD, next_attempt_at=now, last_error=EXPIRED).returning(OutboxMessage.id)
    set_aside = await db.execute(late.execution_options(synchronize_session=False))
    number = len(set_aside.all())
    blank = update(OutboxMessage).where(*expired).values(message="")
    await db.execute(blank.execution_options(synchronize_session=False))
    return number


async def pull_back(db: AsyncSession, longest: timedelta) -> int:
    """Make pending e-mails due now if they would wait longer than *longest*. Returns how many were changed.

    An e-mail that your code has postponed keeps its due time if it has not been attempted yet.
    """
    now = _now()
    is_too_late = OutboxMessage.next_attempt_at > now + longest
    was_not_put_off = or_(OutboxMessage.attempts > 0, OutboxMessage.created_at > now + longest)
    late = update(OutboxMessage).where(OutboxMessage.status == PENDING, is_too_late, was_not_put_off)
    pulled_back = await db.execute(
        late.values(next_attempt_at=now)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    return len(pulled_back.all())


async def dead_messages(
    db: AsyncSession, *, before: int | None = None, since: int | None = None, limit: int | None = None
) -> list[OutboxMessage]:
    """E-mails that were set aside, newest first.

    *before*: return only e-mails with lower ids. *since*: return only this e-mail and those with higher ids,
    oldest first.
    """
    query = select(OutboxMessage).where(OutboxMessage.status == DEAD)
    if before is not None:
        query = query.where(OutboxMessage.id < before)
    if since is not None:
        query = query.where(OutboxMessage.id >= since)
    order = OutboxMessage.id.desc() if since is None else OutboxMessage.id
    return list(await db.scalars(query.order_by(order).limit(limit)))


async def dead_ids(db: AsyncSession) -> list[int]:
    """The ids of all e-mails that were set aside, oldest first."""
    query = select(OutboxMessage.id).where(OutboxMessage.status == DEAD)
    return list(await db.scalars(query.order_by(OutboxMessage.id)))


async def dead_message(db: AsyncSession, message_id: int) -> OutboxMessage | None:
    """The e-mail with this id if it was set aside; otherwise, None."""
    query = select(OutboxMessage).where(OutboxMessage.id == message_id, OutboxMessage.status == DEAD)
    return await db.scalar(query)


def can_be_sent(row: OutboxMessage) -> bool:
    """Whether the e-mail still has its content and its link has not expired."""
    return row.message != "" and not is_expired(row)


async def retry(db: AsyncSession, message_id: int) -> bool:
    """Queue a dead e-mail again and reset its attempt count. Returns False if it is gone or has expired."""
    sendable = (
        OutboxMessage.id == message_id,
        OutboxMessage.status == DEAD,
        OutboxMessage.message != "",
        or_(OutboxMessage.expires_at.is_(None), OutboxMessage.expires_at > _now()),
    )
    retried = await db.execute(
        update(OutboxMessage)
        .where(*sendable)
        .values(status=PENDING, attempts=0, unfinished=0, next_attempt_at=_now(), last_error="")
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    return retried.scalar_one_or_none() is not None


async def drop(db: AsyncSession, message_id: int) -> bool:
    """Delete a dead e-mail. Returns False if it does not exist."""
    this_one = delete(OutboxMessage).where(OutboxMessage.id == message_id, OutboxMessage.status == DEAD)
    dropped = await db.execute(
        this_one.returning(OutboxMessage.id).execution_options(synchronize_session=False)
    )
    return dropped.scalar_one_or_none() is not None


async def remove_dead(db: AsyncSession, before: datetime) -> None:
    """Delete e-mails that were set aside (or, in development, sent) earlier than *before*."""
    old = (OutboxMessage.status.in_((DEAD, SENT)), OutboxMessage.next_attempt_at < before)
    await db.execute(delete(OutboxMessage).where(*old))


async def _change(db: AsyncSession, row: OutboxMessage, **values: object) -> bool:
    # If the lease has expired and another worker has the row, `attempts` differs. That worker keeps the row.
    still_ours = (
        OutboxMessage.id == row.id,
        OutboxMessage.attempts == row.attempts,
        OutboxMessage.status == PENDING,
    )
    changed = await db.execute(
        update(OutboxMessage)
        .where(*still_ours)
        .values(**values)
        .returning(OutboxMessage.id)
        .execution_options(synchronize_session=False)
    )
    return changed.scalar_one_or_none() is not None


async def pending_messages(db: AsyncSession) -> list[EmailMessage]:
    """E-mails waiting to be sent, oldest first, excluding those that will be discarded."""
    waiting = select(OutboxMessage.message).where(OutboxMessage.status == PENDING)
    keys = keys_of(db)
    stored = [opened(text, keys) for text in await db.scalars(waiting.order_by(OutboxMessage.id))]
    return [mail.message for mail in stored if not mail.discard]

"""The outbox: mails as rows, written in the transaction of what they are about. Template-owned.

A mail exists if, and only if, its cause was committed. A worker (`worker.py`) takes rows with `lease`,
which gives no row to two of them, and sends them. Delivery is at least once: when a worker is killed
between the server's "accepted" and the deletion of the row, another sends again, with the same Message-ID.

No row is kept longer than it is needed: it goes when the mail was sent, when its account is deleted, and some
time after it was set aside. Its content goes when the link in the mail expires.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from hawkapi_mail import EmailMessage
from sqlalchemy import BigInteger, DateTime, ForeignKey, Index, Integer, String, Text, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base
from app.mail.stored import StoredMail, addressed, from_json, to_json

PENDING = "pending"
DEAD = "dead"

EXPIRED = "the link in the mail expired before it could be sent"
"""The `last_error` of a mail that came too late."""

_SECRET = {"secret": True}  # nosec B105 - the mark that keeps a column out of exports, not a secret


def _now() -> datetime:
    return clock.now()


class OutboxMessage(Base):
    """A mail that waits to be sent, or that was set aside after its last attempt."""

    __tablename__ = "mail_outbox"
    __table_args__ = (Index(None, "status", "next_attempt_at"),)

    # SQLite counts up by itself only in an INTEGER primary key.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    user_id: Mapped[str | None] = mapped_column(
        String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True, default=None
    )
    """The account that the mail belongs to: deleted with it, and part of what its owner may export."""
    subject: Mapped[str] = mapped_column(Text, default="", server_default="")
    """What the mail is about, for its owner and the operator. It stays with the row: put no secret here."""
    message: Mapped[str] = mapped_column(Text, info=_SECRET)
    """The whole mail as JSON, links with their tokens included: never log it. Empty after `expires_at`."""
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the link in the mail expires. From then on the mail is not sent."""
    status: Mapped[str] = mapped_column(String(8), default=PENDING)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    """Attempts begun. Goes up when a worker takes the row, so that a mail which kills it comes to an end."""
    next_attempt_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    """Of a mail that was set aside: when that was."""
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    last_error: Mapped[str] = mapped_column(Text, default="")
    """Why the last attempt failed, for the operator. Holds no token and no part of the mail."""


def enqueue(
    db: AsyncSession,
    message: EmailMessage,
    *,
    discard: bool = False,
    user_id: str | None = None,
    expires_at: datetime | None = None,
) -> None:
    """Add *message* to the outbox; it leaves after the caller's transaction was committed.

    With *discard* the worker throws the row away unsent. That is for answers about an unknown address:
    they do the same work as answers about a known one, so that their time does not tell the two apart.

    *user_id*: the account that the mail belongs to. The caller's transaction keeps it from being deleted.
    *expires_at*: when the link in it expires.
    """
    db.add(
        OutboxMessage(
            user_id=user_id,
            # PostgreSQL stores no NUL in a text.
            subject=message.subject.replace("\0", ""),
            message=to_json(StoredMail(addressed(message), discard)),
            expires_at=expires_at,
        )
    )


async def lease(
    db: AsyncSession,
    duration: timedelta,
    *,
    limit: int = 1,
    now: datetime | None = None,
) -> list[OutboxMessage]:
    """Take up to *limit* due rows, longest due first. Nobody else gets them within *duration*.

    One statement does it, so that no two workers get the same row. Commit before you send.
    """
    now = now or _now()
    due = (
        select(OutboxMessage.id)
        .where(OutboxMessage.status == PENDING, OutboxMessage.next_attempt_at <= now)
        .order_by(OutboxMessage.next_attempt_at, OutboxMessage.id)
        .limit(limit)
        # For PostgreSQL. SQLite has one writer at a time anyway; SQLAlchemy leaves this out there.
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    taken = await db.scalars(
        update(OutboxMessage)
        .where(OutboxMessage.id.in_(select(due.c.id)))
        .values(attempts=OutboxMessage.attempts + 1, next_attempt_at=now + duration)
        .returning(OutboxMessage)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return sorted(taken, key=lambda row: row.id)


async def remove(db: AsyncSession, ids: Iterable[int]) -> None:
    """The mails were sent, or are not to be sent: delete their rows."""
    await db.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(list(ids))))


async def put_back(db: AsyncSession, row: OutboxMessage, delay: timedelta, error: str) -> None:
    """The attempt failed: try again after *delay*."""
    await _change(db, row, next_attempt_at=_now() + delay, last_error=error)


async def set_aside(db: AsyncSession, row: OutboxMessage, error: str) -> None:
    """No further attempt: the row stays for a while, with the status `dead`, for a person to look at."""
    content = "" if is_expired(row) else row.message
    await _change(db, row, status=DEAD, next_attempt_at=_now(), last_error=error, message=content)


def is_expired(row: OutboxMessage) -> bool:
    """Whether the link in the mail has expired."""
    return row.expires_at is not None and row.expires_at <= _now()


async def blank_expired(db: AsyncSession) -> None:
    """Forget the content of mails whose link has expired, and set those aside that still wait."""
    now = _now()
    expired = (OutboxMessage.expires_at <= now, OutboxMessage.message != "")
    waiting = update(OutboxMessage).where(*expired, OutboxMessage.status == PENDING)
    for statement in (
        waiting.values(status=DEAD, next_attempt_at=now, last_error=EXPIRED),
        update(OutboxMessage).where(*expired).values(message=""),
    ):
        await db.execute(statement.execution_options(synchronize_session=False))


async def remove_dead(db: AsyncSession, before: datetime) -> None:
    """Delete what was set aside before that moment."""
    old = (OutboxMessage.status == DEAD, OutboxMessage.next_attempt_at < before)
    await db.execute(delete(OutboxMessage).where(*old))


async def _change(db: AsyncSession, row: OutboxMessage, **values: object) -> None:
    # When the lease has run out and another worker has the row, `attempts` differs: leave it to that one.
    still_ours = (OutboxMessage.id == row.id, OutboxMessage.attempts == row.attempts)
    await db.execute(
        update(OutboxMessage).where(*still_ours).values(**values).execution_options(synchronize_session=False)
    )


async def pending_messages(db: AsyncSession) -> list[EmailMessage]:
    """The mails that wait to be sent, oldest first, without those to be thrown away."""
    waiting = select(OutboxMessage.message).where(OutboxMessage.status == PENDING)
    stored = [from_json(text) for text in await db.scalars(waiting.order_by(OutboxMessage.id))]
    return [mail.message for mail in stored if not mail.discard]

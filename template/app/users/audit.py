"""The audit log: what happened to an account, once, by whom and from where (ASVS 16.2.1, 16.3.1).

`record` is the one function that writes it, in the transaction of the event. Add events of your own freely; a
secret, a token, a password or a mail address has no place here. Rows outlive their account, for
AUDIT_RETENTION_DAYS.

What is refused again and again is written down once in a while, as `limits.py` says: `guessing_blocked` for
each account and each network whose passwords are not looked at, `link_refused` and `cross_site_refused` for
each network.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    Index,
    Integer,
    ScalarSelect,
    String,
    Text,
    delete,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base, actor_of, client_of_session
from app.users.user_agents import browser_of

type Outcome = Literal["success", "failure"]


class AuditEvent(Base):
    """One event. `user_id` is no foreign key: what was done to an account outlives it."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "user_id", "id"), Index(None, "at"))

    # SQLite counts up by itself only in an INTEGER primary key.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    event: Mapped[str] = mapped_column(String(40))
    outcome: Mapped[str] = mapped_column(String(8))
    user_id: Mapped[str | None] = mapped_column(String(36))
    """Whose account; None for an address without one."""
    actor: Mapped[str] = mapped_column(String(36))
    """Who did it: a user's id, `cli` or `worker`; empty for somebody who could not show who they are."""
    method: Mapped[str] = mapped_column(String(16))
    """How the actor showed who they are: password, bearer, cookie, link; empty on the command line."""
    ip_address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(512))
    browser: Mapped[str] = mapped_column(String(80))
    details: Mapped[str] = mapped_column(Text)
    """More about it, as a JSON object."""


def record(
    db: AsyncSession,
    event: str,
    user_id: str | None,
    *,
    outcome: Outcome = "success",
    actor: str | None = None,
    method: str | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    """Write *event* down; it is there if, and only if, the transaction of *db* is committed.

    Where nobody has logged in, it is *actor*; by default the user, or nobody for a failure.
    """
    known = actor_of(db)
    if actor is None:
        actor = (user_id or "") if outcome == "success" else ""
    db.add(
        AuditEvent(
            at=clock.now(),
            event=event,
            outcome=outcome,
            user_id=user_id,
            actor=known.id or actor,
            method=method if method is not None else known.method,
            ip_address=known.client.ip_address,
            user_agent=known.client.user_agent,
            browser=browser_of(known.client.user_agent),
            details=msgspec.json.encode(details or {}).decode(),
        )
    )


def browser_of_session(db: AsyncSession) -> str:
    """The browser that asks for what *db* does."""
    return browser_of(client_of_session(db).user_agent)


async def browsers_of_logins(
    db: AsyncSession, user_id: str, *, and_number: ScalarSelect[int]
) -> tuple[set[str], int]:
    """The browsers that *user_id* has logged in with, as far back as the log goes.

    *and_number*: another question that a login has, answered by the same query.
    """
    logins = (
        AuditEvent.user_id == user_id,
        AuditEvent.event == "login",
        AuditEvent.outcome == "success",
    )
    browsers = select(AuditEvent.browser, literal(0)).where(*logins).distinct()
    rows = (await db.execute(browsers.union_all(select(literal(""), and_number)))).all()
    return {browser for browser, _ in rows if browser}, sum(number for _, number in rows)


async def events_of(
    db: AsyncSession, user_id: str | None = None, *, before: int | None = None, limit: int | None = None
) -> list[AuditEvent]:
    """The newest events first, of one account or of all, from below the id *before*."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(limit)
    if user_id is not None:
        query = query.where(AuditEvent.user_id == user_id)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return list(await db.scalars(query))


async def remove_older_than(db: AsyncSession, moment: datetime) -> None:
    """Forget what happened before *moment*."""
    await db.execute(delete(AuditEvent).where(AuditEvent.at < moment))

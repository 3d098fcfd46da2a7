"""The audit log: what happened to an account, when, by whom and from where (ASVS 16.2.1, 16.3.1).

Only `record` writes to the log, in the event's transaction. You may add your own events. Never log a secret,
a token, a password or an e-mail address. Rows are kept for AUDIT_RETENTION_DAYS, even after their account is
deleted.

Repeated rejections are recorded only as often as `rate_limits.py` allows. The limits for `guessing_blocked`
(recorded when passwords are no longer checked) are per account and per network. The limits for
`link_refused` and `cross_site_refused` are per network.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Index,
    Integer,
    String,
    Text,
    func,
    literal,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base, actor_of, client_of_session
from app.database.batches import delete_batch
from app.users.user_agents import browser_of

LOGINS = 1000
"""How many of an account's latest logins determine its known browsers. Reading every login would take half a
second for an account that a script has been logging in to all year."""

type Outcome = Literal["success", "failure"]


class AuditEvent(Base):
    """One event. `user_id` is not a foreign key, because events outlive their account."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "user_id", "id"), Index(None, "at"))

    # SQLite auto-increments only an INTEGER primary key.
    id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    event: Mapped[str] = mapped_column(String(40))
    outcome: Mapped[str] = mapped_column(String(8))
    user_id: Mapped[str | None] = mapped_column(String(36))
    """The account's id, or None if no account is involved."""
    actor: Mapped[str] = mapped_column(String(36))
    """The actor: a user id, `cli` or `worker`. Empty if the actor was not authenticated."""
    method: Mapped[str] = mapped_column(String(16))
    """How the actor authenticated, such as password, bearer, cookie or link. Empty on the command line."""
    ip_address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(512))
    browser: Mapped[str] = mapped_column(String(80))
    details: Mapped[str] = mapped_column(Text)
    """Details as a JSON object."""


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
    """Record *event*. It is stored if and only if the transaction of *db* is committed.

    *actor*: the actor if nobody is logged in. Defaults to *user_id*, or to an empty string for a failure.
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
    """The browser of the request that *db* belongs to."""
    return browser_of(client_of_session(db).user_agent)


async def browsers_of_logins(
    db: AsyncSession, user_id: str, *, and_numbers: Sequence[ColumnElement[int]]
) -> tuple[set[str], list[int]]:
    """The browsers used for *user_id*'s latest `LOGINS` logins.

    *and_numbers*: counts to fetch in the same query, to avoid further queries on every login.
    """
    logins = (
        AuditEvent.user_id == user_id,
        AuditEvent.event == "login",
        AuditEvent.outcome == "success",
    )
    latest = select(AuditEvent.browser).where(*logins).order_by(AuditEvent.id.desc()).limit(LOGINS)
    browsers = select(latest.subquery().c.browser, literal(-1), literal(0)).distinct()
    counts = [select(literal(""), literal(position), number) for position, number in enumerate(and_numbers)]
    rows = (await db.execute(browsers.union_all(*counts))).all()
    numbers = {position: number for _, position, number in rows}
    return {browser for browser, _, _ in rows if browser}, [numbers[each] for each in range(len(counts))]


async def number_of_failures(db: AsyncSession, user_id: str, event: str, *, since: datetime) -> int:
    """How many times *event* has failed for *user_id* from *since* onward, including in this transaction."""
    await db.flush()
    failures = select(func.count()).where(
        AuditEvent.user_id == user_id,
        AuditEvent.event == event,
        AuditEvent.outcome == "failure",
        AuditEvent.at >= since,
    )
    return await db.scalar(failures) or 0


async def last_login(db: AsyncSession, user_id: str) -> AuditEvent | None:
    """The latest successful login of *user_id* that is still in the log."""
    logins = select(AuditEvent).where(
        AuditEvent.user_id == user_id, AuditEvent.event == "login", AuditEvent.outcome == "success"
    )
    return await db.scalar(logins.order_by(AuditEvent.id.desc()).limit(1))


async def events_of(
    db: AsyncSession,
    user_id: str | None = None,
    *,
    before: int | None = None,
    since: int | None = None,
    limit: int | None = None,
) -> list[AuditEvent]:
    """Events with ids below *before*, newest first, for one account or all accounts.

    With *since*, returns the events from that id onward, oldest first.
    """
    order = AuditEvent.id.desc() if since is None else AuditEvent.id
    query = select(AuditEvent).order_by(order).limit(limit)
    if user_id is not None:
        query = query.where(AuditEvent.user_id == user_id)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    if since is not None:
        query = query.where(AuditEvent.id >= since)
    return list(await db.scalars(query))


async def remove_older_than(db: AsyncSession, moment: datetime) -> int:
    """Delete a batch of events older than *moment*. Returns the number deleted."""
    return await delete_batch(db, AuditEvent, AuditEvent.at < moment, AuditEvent.at)

"""Manage second factors, and use them to finish or confirm a login. This module knows nothing about HTTP.

A login with a correct password gets a ticket. Together, the ticket and an answer for one of the account's
factors start the session. A ticket has no other use. It works once, within five minutes, and only in the
browser that started the login. After five wrong answers, the ticket becomes invalid.

A factor is a class with the methods of `Factor`, added with `factors.add(...)`. You may change the limits
below. Keep these rules: count an answer before checking it, lock the account before its factors, and let a
single conditional statement resolve each race.
"""

import hashlib
import hmac
import secrets
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, Protocol

from sqlalchemy import ColumnElement, delete, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.database import act_as, client_of_session, released
from app.database.batches import delete_batch
from app.i18n import N_
from app.i18n import gettext as _
from app.i18n import gettext as translated
from app.second_factors import recovery_codes
from app.second_factors.models import PendingLogin
from app.users import User, UserManager, UserSession
from app.users.audit import number_of_failures, record
from app.users.exceptions import NoSecondFactor, SessionEnded
from app.users.rate_limits import counted_as_wrong
from app.users.sessions import BEARER, COOKIE, IssuedSession

LASTS = timedelta(minutes=5)
"""How long a login waits for its second factor."""
MAX_TRIES = 5
"""The number of wrong answers after which a ticket becomes invalid and the owner is notified."""
RECOVERY_CODE = "recovery_code"


WRONG_CODE = N_("The code is wrong or was used before.")


class WrongFactor(ValueError):
    """The answer is wrong, was used before, or belongs to a factor that the account does not have."""

    code = "wrong_second_factor"

    def __init__(self, sentence: str = WRONG_CODE) -> None:
        """*sentence*: shown to users, marked with `N_`."""
        super().__init__(translated(sentence))


class LoginExpired(ValueError):
    """No login is waiting for this answer: the ticket is unknown, used, expired or from another browser."""

    code = "login_expired"

    def __init__(self) -> None:
        super().__init__(_("The login has expired. Start again."))


class LastFactor(ValueError):
    """The account must have a second factor (REQUIRE_SECOND_FACTOR), and this is its last one."""

    code = "last_second_factor"

    def __init__(self) -> None:
        super().__init__(_("The account must have a second factor. Add another one first."))


@dataclass(frozen=True)
class Answer:
    """A client's answer for a factor. *method* is the name of the answer's field, such as `code`."""

    method: str
    value: str

    def __repr__(self) -> str:
        return f"Answer({self.method})"


@dataclass(frozen=True)
class Ticket:
    """A pending login's ticket, as sent by the client.

    *key*: the key from the browser's cookie. *kind*: the kind of session to start. Empty allows both."""

    ticket: str
    key: str
    kind: str = ""

    def __repr__(self) -> str:
        return f"Ticket({self.kind})"


@dataclass(frozen=True)
class Asked:
    """The purpose of asking for a factor. A challenge made for one purpose cannot be used for another.

    *by*: either `login` (after the password) or `confirm`. *id*: the pending login's or the session's id.
    """

    by: Literal["login", "confirm"]
    id: str

    def __repr__(self) -> str:
        return f"Asked({self.by})"


class Factor(Protocol):
    """One kind of second factor."""

    name: str
    """The name in the audit log and the list of factors, such as `totp`."""
    method: str
    """The name of the answer's field, such as `code`. It must be unique."""
    refusal: str
    """The message shown if the answer is wrong, marked with `N_`."""

    def number_of(self, user_id: str) -> ColumnElement[int]:
        """The number of factors of this kind that the account has set up, as a subquery."""
        ...

    async def check(self, db: AsyncSession, user: User, answer: str, asked: Asked) -> bool:
        """Whether *answer* is correct. The same answer must not be accepted twice."""
        ...

    async def remove(self, db: AsyncSession, user: User, item: str | None = None) -> bool:
        """Remove this factor from the account, or only the item with the id *item*. Returns False if there
        is nothing to remove."""
        ...


class Factors:
    """The application's second factors, which are available as `UserManager.second_factors`."""

    def __init__(self, users: UserManager) -> None:
        self._users = users
        self._factors: dict[str, Factor] = {}

    def add(self, factor: Factor) -> None:
        """Offer *factor* from now on.

        Raises:
            ValueError: the method is taken by recovery codes, or by a factor that would then no longer be
            asked for.
        """
        if factor.method in (*self._factors, RECOVERY_CODE):
            raise ValueError(f"Two factors have the method {factor.method!r}: {factor.name} needs its own.")
        self._factors[factor.method] = factor

    def of_kind[Kind](self, kind: type[Kind]) -> Kind:
        """The factor whose class is *kind*. Raises LookupError if there is none."""
        for factor in self._factors.values():
            if isinstance(factor, kind):
                return factor
        raise LookupError(f"The application offers no {kind.__name__}.")

    # What an account has

    def number_of(self, user_id: str) -> ColumnElement[int]:
        counts = [factor.number_of(user_id) for factor in self._factors.values()]
        return sum(counts, start=literal(0))

    async def names_of(self, db: AsyncSession, user: User) -> list[str]:
        """The names of the factors that *user* has set up."""
        return [factor.name for factor in await self._set_up(db, user)]

    async def methods_of(self, db: AsyncSession, user: User) -> list[str]:
        found = [factor.method for factor in await self._set_up(db, user)]
        return [*found, RECOVERY_CODE] if found else []

    async def recovery_codes_left(self, db: AsyncSession, user: User) -> int:
        return await db.scalar(select(recovery_codes.number_of(user.id))) or 0

    async def _set_up(self, db: AsyncSession, user: User) -> list[Factor]:
        return [
            factor for factor in self._factors.values() if await db.scalar(select(factor.number_of(user.id)))
        ]

    # Logging in

    async def begin(self, db: AsyncSession, user: User, *, kind: str, remember: bool) -> tuple[str, str]:
        ticket, key = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        db.add(
            PendingLogin(
                ticket_hash=_hash(ticket),
                key_hash=_hash(key),
                user_id=user.id,
                password_version=user.password_version,
                kind=kind,
                remember=remember,
                user_agent=client_of_session(db).user_agent,
                expires_at=clock.now() + LASTS,
            )
        )
        await db.flush()
        return ticket, key

    async def cancel(self, db: AsyncSession, ticket: str) -> None:
        await db.execute(delete(PendingLogin).where(PendingLogin.ticket_hash == _hash(ticket)))

    async def finish_login(
        self, db: AsyncSession, ticket: Ticket, answer: Answer, *, replaces: str | None = None
    ) -> IssuedSession:
        """Start the session that *ticket* is for. *replaces*: a session cookie, which then stops working.

        Raises:
            LoginExpired: no login is waiting for this answer.
            WrongFactor: the answer is wrong. The audit log records it. The fifth wrong answer invalidates the
            ticket. The owner is notified after every five wrong answers in a day (UTC).
            TooManyRequests: too many recent wrong answers. This answer was not checked.
        """
        act_as(db, "")
        async with released(db):
            pending, user = await self._count_try(db, ticket)
        try:
            name = await self._check(db, user, answer, asked_by(pending))
        except WrongFactor:
            record(db, "second_factor", user.id, outcome="failure", method=answer.method)
            if pending.tries >= MAX_TRIES:
                await self._take(db, pending)
            # Count across all logins, because each login gets a new ticket. Count from midnight, because a
            # count in a sliding window can stop growing.
            today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
            if await number_of_failures(db, user.id, "second_factor", since=today) % MAX_TRIES == 0:
                await self._users.send_notice(user, "second_factor_refused")
            await db.commit()
            raise
        if not await self._take(db, pending):
            raise LoginExpired
        try:
            return await self._users.finish_login(
                db,
                user,
                password_version=pending.password_version,
                method=name,
                kind=pending.kind,
                remember=pending.remember,
                replaces=replaces,
            )
        except SessionEnded:
            raise LoginExpired from None

    async def waiting(self, db: AsyncSession, ticket: Ticket) -> tuple[PendingLogin, User]:
        """The login that *ticket* belongs to, and its account. Raises `LoginExpired` if there is none."""
        return await self._of_this_browser(
            db, await db.scalar(select(PendingLogin).where(*_waits(ticket))), ticket
        )

    async def _count_try(self, db: AsyncSession, ticket: Ticket) -> tuple[PendingLogin, User]:
        pending = await db.scalar(
            update(PendingLogin)
            .where(*_waits(ticket))
            .values(tries=PendingLogin.tries + 1)
            .returning(PendingLogin)
            .execution_options(synchronize_session=False)
        )
        return await self._of_this_browser(db, pending, ticket)

    async def _of_this_browser(
        self, db: AsyncSession, pending: PendingLogin | None, ticket: Ticket
    ) -> tuple[PendingLogin, User]:
        if pending is None or not _is_of_this_browser(db, pending, ticket.key):
            raise LoginExpired
        user = await self._users.get_by_id(db, pending.user_id)
        if user is None:
            raise LoginExpired
        return pending, user

    async def _take(self, db: AsyncSession, pending: PendingLogin) -> bool:
        this_one = delete(PendingLogin).where(PendingLogin.ticket_hash == pending.ticket_hash)
        taken = await db.execute(
            this_one.returning(PendingLogin.user_id).execution_options(synchronize_session=False)
        )
        return taken.scalar_one_or_none() is not None

    # Checking an answer

    async def confirm(
        self, db: AsyncSession, user: User, session: UserSession, answer: Answer
    ) -> IssuedSession | None:
        """Check *answer* and mark *session* as recent. If there is a session cookie, it is replaced.

        Raises:
            WrongFactor, TooManyRequests: as in `finish_login`.
        """
        try:
            name = await self._check(db, user, answer, Asked("confirm", session.id))
        except WrongFactor:
            record(db, "confirm", user.id, outcome="failure", method=answer.method)
            await db.commit()
            raise
        return await self._users.mark_as_recent(db, user, session, method=name)

    async def _check(self, db: AsyncSession, user: User, answer: Answer, asked: Asked) -> str:
        """Check *answer*, and use it up. Returns the name of the answer's factor."""
        async with self.counted(user, answer.method):
            await lock(db, user)
            factor = self._factors.get(answer.method)
            if answer.method == RECOVERY_CODE:
                is_right = await recovery_codes.spend(db, user.id, answer.value)
            else:
                is_right = factor is not None and await factor.check(db, user, answer.value, asked)
            if not is_right:
                raise WrongFactor(factor.refusal if factor is not None else WRONG_CODE)
        if answer.method != RECOVERY_CODE:
            return self._factors[answer.method].name
        await self._users.send_notice(user, "recovery_code_used")
        return RECOVERY_CODE

    def counted(self, user: User, method: str) -> AbstractAsyncContextManager[None]:
        """Count an answer as wrong unless the block finishes without an exception.

        Raises:
            TooManyRequests: too many recent wrong answers. This answer must not be checked.
        """
        return counted_as_wrong(self._users.limits, "wrong_factor", account=f"{user.id} {method}")

    # Changing factors

    async def lock(self, db: AsyncSession, user: User, session: UserSession) -> None:
        """Lock the account for a change that its owner makes in *session*.

        The session may have ended since the request began, because a client can take a long time to send the
        request's body.

        Raises:
            SessionEnded: the session has ended.
        """
        await lock(db, user)
        await self._users.sessions.by_id(db, session.id)

    async def added(
        self, db: AsyncSession, user: User, factor: Factor, *, session: UserSession
    ) -> list[str] | None:
        """Finish setting up a factor: end the other sessions and notify the owner.

        Returns recovery codes if the account had none.
        """
        await self._follow_up(db, user, "factor_added", factor.name, except_session=session)
        await self._users.sessions.lift(db, session)
        if await self.recovery_codes_left(db, user):
            return None
        return await recovery_codes.renew(db, user.id)

    async def remove(
        self, db: AsyncSession, user: User, factor: Factor, item: str | None = None, *, session: UserSession
    ) -> None:
        """Remove one of the owner's factors, or only its item with the id *item*. Removing the last factor
        also removes the recovery codes.

        Raises:
            NoSecondFactor: the account does not have this factor.
            LastFactor: the account must have a factor, and this is its last one.
            SessionEnded: as in `lock`.
        """
        await self.lock(db, user, session)
        number_of_this, number = await self._numbers(db, user, factor)
        if number == number_of_this == 1 and self._users.must_have_factor(user):
            raise LastFactor
        if not number_of_this or not await factor.remove(db, user, item):
            raise NoSecondFactor
        if number == 1:
            await recovery_codes.remove(db, user.id)
        await self._follow_up(db, user, "factor_removed", factor.name, except_session=session)

    async def reset(self, db: AsyncSession, user: User) -> list[str]:
        """Remove all factors from an account whose owner has lost them, and end all of its sessions.

        For administrators, who must make sure that the request comes from the owner. Returns the names of the
        removed factors.

        Raises:
            NoSecondFactor: the account has no second factor.
        """
        await lock(db, user)
        removed = await self._set_up(db, user)
        if not removed:
            raise NoSecondFactor
        for factor in removed:
            await factor.remove(db, user)
        await recovery_codes.remove(db, user.id)
        names = [factor.name for factor in removed]
        await self._follow_up(db, user, "factors_reset", ", ".join(names))
        return names

    async def renew_recovery_codes(self, db: AsyncSession, user: User) -> list[str]:
        """Generate new recovery codes. The earlier ones stop working.

        Raises:
            NoSecondFactor: the account has no factor.
        """
        await lock(db, user)
        if not await self._set_up(db, user):
            raise NoSecondFactor
        codes = await recovery_codes.renew(db, user.id)
        record(db, "recovery_codes_renewed", user.id)
        await self._users.send_notice(user, "recovery_codes_renewed")
        return codes

    async def _numbers(self, db: AsyncSession, user: User, factor: Factor) -> tuple[int, int]:
        """How many factors of *factor*'s kind the account has, and how many it has in total."""
        found = await db.execute(select(factor.number_of(user.id), self.number_of(user.id)))
        of_this, of_all = found.one()
        return of_this, of_all

    async def _follow_up(
        self,
        db: AsyncSession,
        user: User,
        event: str,
        names: str,
        *,
        except_session: UserSession | None = None,
    ) -> None:
        record(db, event, user.id, details={"factor": names})
        await self._users.end_sessions(db, user, except_session=except_session)
        await self._users.send_notice(user, event)


async def lock(db: AsyncSession, user: User) -> None:
    """Lock the account before its factors. Deleting an account takes the locks in the same order."""
    this_table = {"of": type(user)}
    await db.get(type(user), user.id, populate_existing=True, with_for_update=this_table)


async def remove_expired(db: AsyncSession) -> int:
    """Delete a batch of expired logins. Returns the number deleted."""
    is_expired = PendingLogin.expires_at <= clock.now()
    return await delete_batch(db, PendingLogin, is_expired, PendingLogin.ticket_hash)


def asked_by(pending: PendingLogin) -> Asked:
    """The purpose of a challenge for *pending*."""
    return Asked("login", pending.ticket_hash)


def _waits(ticket: Ticket) -> tuple[ColumnElement[bool], ...]:
    return (
        PendingLogin.ticket_hash == _hash(ticket.ticket),
        PendingLogin.kind.in_([ticket.kind] if ticket.kind else [BEARER, COOKIE]),
        PendingLogin.tries < MAX_TRIES,
        PendingLogin.expires_at > clock.now(),
    )


def _is_of_this_browser(db: AsyncSession, pending: PendingLogin, key: str) -> bool:
    if pending.kind == COOKIE:
        return hmac.compare_digest(pending.key_hash, _hash(key))
    # A client without cookies has no key.
    return pending.user_agent == client_of_session(db).user_agent


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

"""Request a code by e-mail, and log in with it. This module knows nothing about HTTP.

A request has an id and a key, which only the client receives, and a code, which only the e-mail contains. A
login needs all three, except that a client without cookies can start a bearer session without the key. The
code is valid for ten minutes, works once, and works only in the browser that requested it. Five wrong codes
end the request. A code replaces the password, not the second factor (ASVS 6.3.6).

A new request does not invalidate earlier ones. Otherwise, anyone who knows an address could lock its owner
out by requesting codes repeatedly. An account can have at most three open requests. A fourth invalidates the
oldest, because people look at the most recent e-mail. An invalidated request still counts attempts.
Otherwise, addresses without an account could be recognized, because their requests are never invalidated
early.

You may change the limits below, but ASVS 6.5.5 allows at most ten minutes. Keep these rules: do the same work
with and without an account, count an attempt before checking the code, lock the account before its request,
and let a single conditional statement resolve each race.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.database import act_as, client_of_session
from app.database.batches import delete_batch
from app.email_login.mails import mail_code, mail_nobody
from app.email_login.models import LoginCode
from app.i18n import gettext as _
from app.users import User, UserManager, normalize_email, record
from app.users.exceptions import SessionEnded
from app.users.rate_limits import counted_as_wrong
from app.users.sessions import BEARER, IssuedSession
from app.users.typed_codes import in_groups, letters_of, new_code

LASTS = timedelta(minutes=10)
MAX_TRIES = 5
MAX_OPEN = 3
"""The maximum number of open requests per account. Simultaneous requests may exceed it, up to the
`request_login_code` rate limit.
"""
LENGTH = 8
"""The number of letters in a code. Eight letters provide 34 bits. Within the `wrong_login_code` limit, a year
of guessing has a one-in-a-million chance of success per account."""
METHOD = "email"
"""The name of this login method in the audit log."""


class LoginCodeRefused(ValueError):
    """The code is wrong, used or expired, the request is unknown or from another browser, or the account can
    no longer log in. The client is not told the reason."""

    code = "login_code_refused"

    def __init__(self) -> None:
        super().__init__(_("The code is wrong or has expired."))


@dataclass(frozen=True)
class Answer:
    """The data that a client sends to log in. *key*: the key from the browser's cookie, or empty. *kind*: the
    kind of session to start."""

    request_id: str
    key: str
    code: str
    kind: str

    def __repr__(self) -> str:
        return f"Answer({self.kind})"


class LoginCodes:
    """Login codes for the accounts of *users*."""

    def __init__(self, users: UserManager) -> None:
        self._users = users
        self._keys = users.tokens.keys_for("login-code")

    async def request(self, db: AsyncSession, *, email: str) -> tuple[str, str]:
        """E-mail a code to *email* if its account can log in. Returns the id of the request and the key for
        the browser.

        Every request does the same work, so neither the response nor its timing reveals which addresses have
        an account (CWE-204, CWE-208).
        """
        act_as(db, "")
        user, gets_mail = await self._users.find_for_login_mail(db, email=email, limit="request_login_code")
        owner = user if gets_mail else None
        request_id, key, code = secrets.token_urlsafe(32), secrets.token_urlsafe(32), new_code(LENGTH)
        await self._end_oldest(db, owner)
        db.add(
            LoginCode(
                request_hash=_hash(request_id),
                key_hash=_hash(key),
                code_mac=self._mac("code", request_id, code),
                address_mac=self._mac("address", normalize_email(email)),
                user_id=owner and owner.id,
                password_version=owner.password_version if owner is not None else 0,
                user_agent=client_of_session(db).user_agent,
                expires_at=clock.now() + LASTS,
            )
        )
        if owner is not None:
            await mail_code(owner, in_groups(code), LASTS)
        else:
            await mail_nobody(db, in_groups(code), LASTS)
        record(db, "login_code_request", user and user.id, actor="")
        return request_id, key

    async def log_in(
        self, db: AsyncSession, answer: Answer, *, remember: bool = True, replaces: str | None = None
    ) -> IssuedSession:
        """Start the session that *answer* requests. *replaces*: a session cookie, which then stops working.

        Raises:
            LoginCodeRefused: see the class. If the request is open, the failure is recorded in the audit log.
            The fifth wrong code ends the request, and the owner is notified.
            SecondFactorRequired: as in `UserManager.log_in`.
            TooManyRequests: too many recent wrong codes for the address. This code was not checked.
        """
        act_as(db, "")
        waiting = await self._count_try(db, answer)
        try:
            async with counted_as_wrong(self._users.limits, "wrong_login_code", account=waiting.address_mac):
                if not self._is_right(waiting, answer):
                    await self._tell_of_wrong(db, waiting)
                    raise LoginCodeRefused
                user = await self._take(db, waiting)
            return await self._users.log_in_without_password(
                db,
                user,
                method=METHOD,
                includes_factor=False,
                kind=answer.kind,
                remember=remember,
                replaces=replaces,
            )
        except (LoginCodeRefused, SessionEnded):
            record(db, "login", waiting.user_id, outcome="failure", method=METHOD)
            await db.commit()
            raise LoginCodeRefused from None

    async def _end_oldest(self, db: AsyncSession, owner: User | None) -> None:
        """Make room for one more request. If there is no *owner*, the statement matches no rows."""
        user_id = owner.id if owner is not None else ""
        newest = (
            select(LoginCode.request_hash)
            .where(LoginCode.user_id == user_id)
            .order_by(LoginCode.expires_at.desc())
            .limit(MAX_OPEN - 1)
        )
        await db.execute(
            update(LoginCode)
            .where(LoginCode.user_id == user_id, LoginCode.request_hash.not_in(newest))
            .values(user_id=None)
            .execution_options(synchronize_session=False)
        )

    async def _count_try(self, db: AsyncSession, answer: Answer) -> LoginCode:
        """Count an attempt, and return the open request that *answer* is for. The count is committed no
        matter what happens next. Raises `LoginCodeRefused` if there is no such request."""
        waiting = await db.scalar(
            update(LoginCode)
            .where(
                LoginCode.request_hash == _hash(answer.request_id),
                LoginCode.tries < MAX_TRIES,
                LoginCode.expires_at > clock.now(),
                _is_of_this_browser(db, answer),
            )
            .values(tries=LoginCode.tries + 1)
            .returning(LoginCode)
            .execution_options(synchronize_session=False)
        )
        await db.commit()
        if waiting is None:
            raise LoginCodeRefused
        return waiting

    def _is_right(self, waiting: LoginCode, answer: Answer) -> bool:
        message = _message("code", answer.request_id, letters_of(answer.code))
        return self._keys.has_made(bytes.fromhex(waiting.code_mac), message)

    async def _take(self, db: AsyncSession, waiting: LoginCode) -> User:
        """Use up the code. Returns the account, whose row stays locked. Raises `LoginCodeRefused` if the code
        can no longer be used."""
        user = await self._users.get_by_id(db, waiting.user_id or "")
        if user is None or not await self._users.lock(db, user):
            raise LoginCodeRefused
        if user.password_version != waiting.password_version or not user.is_verified:
            raise LoginCodeRefused
        this_one = delete(LoginCode).where(LoginCode.request_hash == waiting.request_hash)
        taken = await db.execute(
            this_one.returning(LoginCode.user_id).execution_options(synchronize_session=False)
        )
        if taken.scalar_one_or_none() is None:
            raise LoginCodeRefused
        return user

    async def _tell_of_wrong(self, db: AsyncSession, waiting: LoginCode) -> None:
        """If no attempts are left, notify the owner. If there is no account, do the same work."""
        if waiting.tries < MAX_TRIES:
            return
        user = await self._users.get_by_id(db, waiting.user_id or "")
        if user is not None:
            await self._users.send_notice(user, "login_code_refused")
        else:
            await self._users.do_dummy_work(db)

    def _mac(self, *parts: str) -> str:
        return self._keys.mac(_message(*parts)).hex()


async def remove_expired(db: AsyncSession) -> int:
    """Delete a batch of expired requests. Returns the number deleted."""
    is_expired = LoginCode.expires_at <= clock.now()
    return await delete_batch(db, LoginCode, is_expired, LoginCode.request_hash)


def _is_of_this_browser(db: AsyncSession, answer: Answer) -> ColumnElement[bool]:
    """Whether the client that sends the code is the one that requested it.

    A browser sends the key in its cookie. The kind of session is not known when the code is requested, so
    every client gets the cookie. A client that does not keep the cookie can start only a bearer session,
    and is recognized by its User-Agent. If an attacker lured a victim into using the attacker's request, the
    victim's browser would have neither the key nor the id.
    """
    if answer.kind == BEARER and not answer.key:
        return LoginCode.user_agent == client_of_session(db).user_agent
    return LoginCode.key_hash == _hash(answer.key)


def _message(*parts: str) -> bytes:
    return "\0".join(parts).encode()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

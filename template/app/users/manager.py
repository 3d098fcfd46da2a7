"""The life cycle of an account, with one method for each event. This module knows nothing about HTTP.

Every method takes the database session as its first argument, writes through it and leaves the commit to the
caller. So a hook's changes, an e-mail, the audit log entry and the change itself are committed together or
not at all. Only records that must survive an exception (a failed login, a stolen token) are committed by the
method itself. The database resolves races with a unique index, a lock, or a conditional UPDATE that succeeds
for exactly one caller. To avoid deadlocks, always take locks in the same order: superusers (oldest first),
then the account, then its sessions.

You may change this file, but keep these rules: check a password before spending a token, do the same work for
an unknown address as for a known one, never let an inactive account do anything, and never remove the last
active superuser. Administration is in `administration.py` and invitations are in `invitations.py`. The
functions in these modules become methods of `UserManager`.
"""

import re
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, Literal, NoReturn, Protocol
from uuid import uuid4

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.database import act_as, client_of_session, released, session_of
from app.i18n import chosen_language, languages
from app.i18n import gettext as _
from app.limits import LimiterUnavailable
from app.users import administration, audit
from app.users.device_cookies import DeviceCookies
from app.users.email_addresses import mailbox_of, normalize_email, parse_email
from app.users.exceptions import (
    HashingBusy,
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    NoSuchSession,
    NoSuchUser,
    OwnerRequired,
    RegistrationClosed,
    SecondFactorRequired,
    SessionEnded,
    SessionReused,
    TokenError,
    TooManyRequests,
    UnknownLanguage,
    UserAlreadyExists,
    WrongPassword,
)
from app.users.invitations import Invitations, accept_invitation, invite, withdraw_invitation
from app.users.models import TEMPLATE_COLUMNS, User, UserSession
from app.users.passwords.hashing import PasswordHasher
from app.users.passwords.policy import PasswordPolicy, context_words
from app.users.rate_limits import Attempt, Limits
from app.users.second_factors import SecondFactors
from app.users.sessions import BEARER, COOKIE, IssuedSession, SessionLimits, Sessions
from app.users.tokens import UserTokens

# Your own imports go below; template updates never touch them.
# isort: split

MAX_FAILED_LOGINS = 100
"""The number of consecutive wrong passwords that locks an account. The owner can then log in only from a
known browser or after a password reset (NIST SP 800-63B-4, section 3.2.2)."""

type UserHook = Callable[[Any], Awaitable[None]]
type Registration = Literal["open", "private", "closed"]
type UserTokenHook = Callable[[Any, str], Awaitable[None]]


async def no_hook(*_: object) -> None:
    """The default hook, which does nothing."""


_ALIVE = "sessions alive"
"""Key in `db.info` for the number of live sessions that the account has when it logs in."""


class Notify(Protocol):
    """Sends a security notice to an account's owner: to the address *to* if given, otherwise to the current
    address."""

    async def __call__(self, user: User, notice: str, *, to: str | None = None) -> None: ...


class SendEmailChange(Protocol):
    """Sends a link to *new_email*. Using the link makes that address *user*'s e-mail address."""

    async def __call__(self, user: User, new_email: str, token: str) -> None: ...


class SendInvitation(Protocol):
    """Sends *email* a link to create an account."""

    async def __call__(self, db: AsyncSession, email: str, token: str) -> None: ...


def _default_hasher() -> PasswordHasher:
    return PasswordHasher(threads=1, queue=32)


@dataclass
class UserManager:
    """Operations on accounts. Hooks are plain attributes: to replace a hook, assign a different function.

    A hook runs inside its event's transaction. Writes through `app.database.session_of(user)` belong to that
    transaction, and an exception rolls back everything, including the event.
    """

    model: type[User]
    tokens: UserTokens
    hasher: PasswordHasher = field(default_factory=_default_hasher)
    password_min_length: int = 12
    policy: PasswordPolicy = field(default_factory=PasswordPolicy)
    on_after_register: UserHook = no_hook
    on_after_login: UserHook = no_hook
    on_after_request_verify: UserTokenHook = no_hook
    on_after_verify: UserHook = no_hook
    on_after_forgot_password: UserTokenHook = no_hook
    on_after_reset_password: UserHook = no_hook
    on_after_logout: UserHook = no_hook
    on_after_change_password: UserHook = no_hook
    on_after_request_email_change: Callable[[Any, str, str], Awaitable[None]] = no_hook
    on_after_change_email: Callable[[Any, str], Awaitable[None]] = no_hook
    on_after_update: Callable[[Any, set[str]], Awaitable[None]] = no_hook
    on_before_delete: UserHook = no_hook
    # Your own hooks go below; template updates never touch them.
    send_dummy_mail: Callable[[AsyncSession, str], Awaitable[None]] | None = None
    """Does the same work as sending an e-mail, for addresses that will not receive one."""
    withhold: Callable[[AsyncSession, str], None] | None = None
    """Discards this transaction's e-mails to an address, but does as much work as sending them would."""
    notify: Notify | None = None
    send_email_change: SendEmailChange | None = None
    deletion_grace: timedelta = timedelta()
    """How long the owner can still cancel a requested deletion by logging in."""
    send_invitation: SendInvitation | None = None
    registration: Registration = "open"
    login_requires_verification: bool = False
    session_limits: SessionLimits = field(default_factory=SessionLimits)
    limits: Limits | None = None
    """Rate limits for password checks and e-mails. If None, nothing is limited."""
    second_factors: SecondFactors | None = None
    """Set by a feature that adds second factors."""
    require_second_factor: Literal["off", "admins", "all"] = "off"
    sessions: Sessions = field(init=False)
    invitations: Invitations = field(init=False)
    device_cookies: DeviceCookies = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = Sessions(self.tokens.keys_for("session"), self.session_limits)
        self.invitations = Invitations(self.tokens)
        self.device_cookies = DeviceCookies(self.tokens.keys_for("device"))

    @property
    def must_verify(self) -> bool:
        """Whether users must verify their address before they can log in.

        Always true with `registration="private"`: a login that works immediately would reveal that the
        address had no account.
        """
        return self.login_requires_verification or self.registration == "private"

    def must_have_factor(self, user: User) -> bool:
        """Whether *user* must set up a second factor before doing anything else (REQUIRE_SECOND_FACTOR)."""
        everyone = self.require_second_factor == "all"
        return everyone or (self.require_second_factor == "admins" and user.is_superuser)

    def __setattr__(self, name: str, value: Any) -> None:
        # Assigning None removes a hook, as in hawkapi-users.
        super().__setattr__(name, no_hook if value is None and name.startswith("on_") else value)

    # Finding

    async def get_by_email(self, db: AsyncSession, email: str) -> User | None:
        """The account with this e-mail address, or None. *email* is normalized first."""
        query = select(self.model).where(self.model.email == normalize_email(email))
        return (await db.execute(query)).scalar_one_or_none()

    async def get_by_id(self, db: AsyncSession, user_id: str) -> User | None:
        """The account with this id, or None."""
        return await db.get(self.model, user_id)

    async def require(self, db: AsyncSession, user_id: str) -> User:
        """Like `get_by_id`, but raises `NoSuchUser` instead of returning None."""
        user = await self.get_by_id(db, user_id)
        if user is None:
            raise NoSuchUser(_("The account does not exist."))
        return user

    # Registration

    async def register(self, db: AsyncSession, *, email: str, password: str, **extra: Any) -> User | None:
        """Register an account. Returns None if the address is taken and the response must not reveal that.

        With `registration="private"`, the owner of a taken address gets an e-mail instead. Both cases take
        the same amount of work. *extra*: values for your own columns.

        Raises:
            InvalidEmail, InvalidPassword: the value is rejected. The message tells the user why.
            UserAlreadyExists: the address is taken. Raised only with `registration="open"`.
            RegistrationClosed: the manager has `registration="closed"`.
        """
        if self.registration == "closed":
            raise RegistrationClosed
        act_as(db, "")
        if self.registration == "open":
            return await self.create(db, email=email, password=password, **extra)
        try:
            return await self.create(db, email=email, password=password, **extra)
        except UserAlreadyExists:
            await self._try_columns(db, extra)
            user = await self._held_by_email(db, email)
        if user is None or not self._can_receive_mail(user):
            await self.do_dummy_work(db)
        elif not user.is_verified:
            # Send the link again: the owner cannot log in without it and may have lost the first e-mail.
            await self._mail_verification(user)
        elif self.notify is not None:
            # `create` has already counted this e-mail. Counting it again would use up the limit faster for
            # a taken address than for a free one.
            await self.notify(user, "already_registered")
        else:
            await self.do_dummy_work(db)
        audit.record(db, "register", user and user.id, outcome="failure")
        return None

    async def create(
        self,
        db: AsyncSession,
        *,
        email: str,
        password: str,
        is_active: bool = True,
        is_verified: bool = False,
        is_superuser: bool = False,
        **extra: Any,
    ) -> User:
        """Create an account. *extra*: values for your own columns.

        The account's language is the one that the client requests, if any. An e-mail to an unverified address
        is discarded if its mailbox has received too many e-mails recently. The user can request a new link
        later.

        Raises:
            InvalidEmail, InvalidPassword: the value is rejected. The message tells the user why.
            UserAlreadyExists: the address is taken, possibly by a simultaneous request.
        """
        email = parse_email(email)
        # Check and hash before the lookup, so that a taken address takes as much work as a free one.
        await self._check_password(password, context_words(email, extra))
        hashed_password = await self.hasher.hash(password)
        if not is_verified and not await self._may_mail("register", email) and self.withhold is not None:
            self.withhold(db, email)
        if await self.get_by_email(db, email) is not None:
            raise UserAlreadyExists(f"{email} already has an account.")
        user = self.model(
            email=email,
            hashed_password=hashed_password,
            is_active=is_active,
            is_verified=is_verified,
            is_superuser=is_superuser,
            password_version=0,
            **{"language": chosen_language()} | extra,
        )
        async with self._unique_email(db, email):
            db.add(user)
        audit.record(db, "register", user.id)
        await self.on_after_register(user)
        return user

    async def _try_columns(self, db: AsyncSession, extra: dict[str, Any]) -> None:
        """Raise the database's error if *extra* is rejected, for example because a user name is taken.

        Otherwise, this error would occur only for free addresses, and so reveal which addresses are taken.
        The trial account is rolled back.
        """
        if not extra:
            return
        trial, nobody = await db.begin_nested(), f"{uuid4()}@localhost"
        db.add(self.model(email=nobody, hashed_password=nobody, **extra))
        await db.flush()
        await trial.rollback()

    # Login

    async def authenticate(self, db: AsyncSession, *, email: str, password: str, browser: str = "") -> User:
        """Return the account with this *email* and *password*.

        Exactly one password hash is verified, whether or not the account exists (CWE-208). *browser* is the
        device cookie, if there is one.

        Raises:
            InvalidCredentials: the account does not exist, the password is wrong, or the password is correct
            but not currently sufficient (see `_opens`).
            InactiveUser: the password is correct, but the account is disabled.
            SecondFactorRequired: the password is correct, but the account has a second factor.
            TooManyRequests: too many recent wrong passwords. This password was not checked.
        """
        user, browsers, has_factor = await self._authenticate(
            db, email=email, password=password, browser=browser
        )
        if has_factor and self.second_factors is not None:
            raise SecondFactorRequired(await self.second_factors.methods_of(db, user))
        await self._complete_login(db, user, browsers)
        return user

    async def _authenticate(
        self, db: AsyncSession, *, email: str, password: str, browser: str
    ) -> tuple[User, set[str], bool]:
        """The account, the browsers used for its earlier logins, and whether it has a second factor."""
        act_as(db, "")
        async with released(db) as transaction_is_ours:
            user = await self.get_by_email(db, email)
        known = self._known_browser(browser, user)
        attempt = await self._begin_attempt(db, email, known, user)
        try:
            user = await self._verified(db, user, password, known=known)
        except (InvalidCredentials, InactiveUser):
            await self._count_failure(db, user, known)
            audit.record(db, "login", user and user.id, outcome="failure", method="password")
            if transaction_is_ours:
                await db.commit()
            raise
        except HashingBusy:
            await _refund(attempt)
            raise
        await _refund(attempt)
        browsers, number_of_factors = await self._read_for_login(db, user)
        return user, browsers, number_of_factors > 0

    async def _read_for_login(self, db: AsyncSession, user: User) -> tuple[set[str], int]:
        """The browsers used for earlier logins, and the number of second factors, in one query.

        The same query counts the sessions for `_end_surplus`.
        """
        numbers: list[ColumnElement[int]] = [self.sessions.number_of(user)]
        if self.second_factors is not None:
            numbers.append(self.second_factors.number_of(user.id))
        browsers, (alive, *factors) = await audit.browsers_of_logins(db, user.id, and_numbers=numbers)
        db.info[_ALIVE] = alive
        return browsers, sum(factors)

    async def _complete_login(
        self, db: AsyncSession, user: User, browsers: set[str], *, method: str = "password"
    ) -> None:
        """Do everything that a login involves, except creating the session."""
        # The browser may have been logged in as someone else.
        act_as(db, user.id)
        if user.delete_after is not None:
            await self._take_back_deletion(db, user, method)
        # Skip this on an account's first login, when no browser is known yet.
        if browsers and audit.browser_of_session(db) not in browsers:
            await self.send_notice(user, "new_sign_in")
        audit.record(db, "login", user.id, method=method)
        await self.on_after_login(user)

    async def _verified(self, db: AsyncSession, user: User | None, password: str, *, known: str) -> User:
        hashed = user.hashed_password if user is not None else None
        is_right = await self.hasher.verify(password, hashed)
        # Call `_opens` after hashing: otherwise, the response time would reveal that the account is locked.
        if not is_right or user is None or hashed is None or not self._opens(user, known):
            raise InvalidCredentials("The address or the password is wrong.")
        renewed = await self.hasher.hash(password) if self.hasher.is_outdated(hashed) else hashed
        version = user.password_version
        # The password may have been reset, or the account disabled or deleted, while the hash was being
        # computed. From here on, the lock prevents such changes until the session is stored.
        is_as_it_was = await self.lock(db, user) and user.password_version == version
        if not is_as_it_was or _is_past_deletion(user) or not self._opens(user, known):
            raise InvalidCredentials("The address or the password is wrong.")
        if not user.is_active:
            raise InactiveUser("This account is disabled.")
        if renewed != hashed:
            # Update only if the password is still the one that was verified.
            unchanged = (self.model.id == user.id, self.model.hashed_password == hashed)
            await db.execute(update(self.model).where(*unchanged).values(hashed_password=renewed))
        await self._forget_failures(db, user)
        return user

    def _opens(self, user: User, known: str) -> bool:
        """Whether the correct password is sufficient. If not, the password is treated as wrong."""
        return self.may_log_in(user) and _accepts_password(user, known)

    def may_log_in(self, user: User) -> bool:
        """Whether *user* can currently log in, with or without a password.

        Add your own reasons to reject a login here, such as an unpaid bill.
        """
        return user.is_verified or not self.must_verify

    def may_log_in_without_password(self, user: User) -> bool:
        """Whether *user* can currently log in by means other than the password."""
        return self._can_receive_mail(user) and not user.must_reset_password and self.may_log_in(user)

    def is_known_browser(self, cookie: str, user: User) -> bool:
        """Whether *cookie* proves that this browser has used the account since the password was set."""
        return bool(self._known_browser(cookie, user))

    def _known_browser(self, cookie: str, user: User | None) -> str:
        """This browser's id, or an empty string if it has not used the account since the password was set."""
        return self.device_cookies.id_for(cookie, user.id, user.password_version) if user is not None else ""

    async def _count_failure(self, db: AsyncSession, user: User | None, known: str) -> None:
        """Count a wrong password from an unknown browser. If this locks the account, its owner is notified.

        For an unknown account, the same statement runs but matches no row.
        """
        if known:
            return
        counted = await db.scalar(
            update(self.model)
            .where(self.model.id == (user.id if user is not None else ""))
            .values(failed_logins=self.model.failed_logins + 1, updated_at=self.model.updated_at)
            .returning(self.model.failed_logins)
            .execution_options(synchronize_session=False)
        )
        if user is not None and counted == MAX_FAILED_LOGINS:
            audit.record(db, "login_locked", user.id, outcome="failure")
            await self.send_notice(user, "login_locked")

    async def _forget_failures(self, db: AsyncSession, user: User) -> None:
        if user.failed_logins:
            this_one = update(self.model).where(self.model.id == user.id)
            await db.execute(this_one.values(failed_logins=0, updated_at=self.model.updated_at))

    # Address verification

    async def request_verify(self, db: AsyncSession, *, email: str) -> None:
        """Call `on_after_request_verify` with a token, if there is an address to verify.

        Returns None and does the same work in every case, so that nobody can find out which addresses
        have an account (CWE-204).
        """
        act_as(db, "")
        may_mail = await self._may_mail_owner(db, "request_verify", email)
        user = await self._held_by_email(db, email)
        if user is not None and may_mail and self._can_receive_mail(user) and not user.is_verified:
            await self._mail_verification(user)
        else:
            await self.do_dummy_work(db)
        audit.record(db, "verify_request", user and user.id, actor="")

    async def _mail_verification(self, user: User) -> None:
        token = self.verify_token(user)
        await self.on_after_request_verify(user, token)

    def verify_token(self, user: User) -> str:
        """A token that verifies the current address of *user*."""
        return self.tokens.issue_verify(user.id, password_version=user.password_version, email=user.email)

    async def check_verify_token(self, db: AsyncSession, *, token: str) -> User:
        """The account that *token* would verify. Does not change the account. Raises `TokenError` if the
        token is invalid."""
        user = await self._user_of_token(db, self.tokens.peek_email_token_sub(token))
        self.tokens.verify_email_token(
            token,
            expected_password_version=user.password_version,
            expected_email=user.email,
        )
        if user.is_verified:
            raise TokenError("token has already been used")
        return user

    async def verify(
        self,
        db: AsyncSession,
        *,
        token: str,
        login: User | None = None,
        password: str | None = None,
        browser: str = "",
    ) -> User:
        """Mark the address that *token* was sent to as verified.

        An attacker could register another person's address and wait for its owner to verify it. So the
        password is kept only if a *login*, the *password* or the *browser* proves that the same person
        created the account. Otherwise, the password stops working, every session ends, and a link to set a
        new password is e-mailed.

        Raises:
            TokenError: the token is invalid, expired or used, or the address has since changed.
            WrongPassword: the password is wrong. The token is not spent. The audit log records the attempt.
            TooManyRequests: too many recent wrong passwords.
        """
        async with released(db):
            user = await self.check_verify_token(db, token=token)
        known = self._known_browser(browser, user)
        is_logged_in = login is not None and login.id == user.id
        if not is_logged_in:
            act_as(db, "")
        if password:
            await self._require_password(db, user, password, "verify", known=known)
        is_theirs = bool(password or known) or is_logged_in
        values: dict[str, Any] = {"is_verified": True}
        if not is_theirs:
            values["hashed_password"] = await self.hasher.hash(secrets.token_urlsafe(32))
            values["password_version"] = user.password_version + 1
        if not await self._change_once(db, user, self.model.is_verified.is_(False), **values):
            raise TokenError("token has already been used")
        audit.record(db, "verify", user.id, method="link", details={"password_kept": is_theirs})
        await self.on_after_verify(user)
        if not is_theirs:
            await self._mail_reset(user)
        return user

    def password_was_kept(self, user: User, *, token: str) -> bool:
        """Whether *user* can still log in with the same password after verifying the address with *token*."""
        try:
            self.tokens.verify_email_token(
                token, expected_password_version=user.password_version, expected_email=user.email
            )
        except TokenError:
            return False
        return True

    # Password reset

    async def request_password_reset(self, db: AsyncSession, *, email: str) -> None:
        """Call `on_after_forgot_password` with a token, if the account exists and is active.

        Like `request_verify`, this returns None and does the same work in every case.
        """
        act_as(db, "")
        may_mail = await self._may_mail_owner(db, "request_password_reset", email)
        user = await self._held_by_email(db, email)
        if user is not None and may_mail and self._can_receive_mail(user):
            await self._mail_reset(user)
        else:
            await self.do_dummy_work(db)
        audit.record(db, "password_reset_request", user and user.id, actor="")

    async def _mail_reset(self, user: User) -> None:
        token = self.reset_token(user)
        await self.on_after_forgot_password(user, token)

    def reset_token(self, user: User) -> str:
        """A token that sets a new password for *user*. It works only once."""
        return self.tokens.issue_reset(user.id, password_version=user.password_version, email=user.email)

    async def check_reset_token(self, db: AsyncSession, *, token: str) -> User:
        """The account whose password *token* would reset. Does not change the account. Raises `TokenError` if
        the token is invalid."""
        user = await self._user_of_token(db, self.tokens.peek_reset_token_sub(token))
        self.tokens.verify_reset_token(
            token, expected_password_version=user.password_version, expected_email=user.email
        )
        return user

    async def reset_password(self, db: AsyncSession, *, token: str, new_password: str) -> User:
        """Set a new password with an e-mailed token. Every session ends, and earlier links stop working.

        If only verified accounts can log in (`must_verify`), this also verifies the address, because the
        token was sent to it.

        Raises:
            InvalidPassword: the password is not allowed. The token is not spent.
            TokenError: as in `verify`. Only one of several simultaneous uses succeeds.
        """
        # Check the rules first: a rejected password must not spend the token.
        await self.policy.check_rules(new_password, min_length=self.password_min_length)
        async with released(db):
            user = await self.check_reset_token(db, token=token)
        await self._check_password(new_password, context_words(user.email, vars(user)))
        verifies = self.must_verify and not user.is_verified
        also: dict[str, Any] = {"is_verified": True} if verifies else {}
        if not await self._set_password(db, user, new_password, must_reset_password=False, **also):
            raise TokenError("token has already been used")
        audit.record(db, "password_reset", user.id, method="link", details={"verified": verifies})
        await self.send_notice(user, "password_changed")
        if verifies:
            await self.on_after_verify(user)
        await self.on_after_reset_password(user)
        return user

    # Sessions

    async def log_in(
        self,
        db: AsyncSession,
        *,
        email: str,
        password: str,
        kind: str = BEARER,
        remember: bool = True,
        replaces: str | None = None,
        browser: str = "",
    ) -> IssuedSession:
        """Check the password as `authenticate` does, and start a session. *replaces*: the cookie of an
        earlier session, which this login ends (ASVS 7.2.4).

        Raises:
            SecondFactorRequired: the account has a second factor. No session is started. This method commits
            the ticket for `finish_login`.
        """
        user, browsers, has_factor = await self._authenticate(
            db, email=email, password=password, browser=browser
        )
        if has_factor:
            await self._ask_for_factor(db, user, kind=kind, remember=remember)
        await self._complete_login(db, user, browsers)
        lacks_factor = self.must_have_factor(user)
        return await self._begin_session(
            db, user, kind=kind, remember=remember, replaces=replaces, lacks_factor=lacks_factor
        )

    async def log_in_without_password(
        self,
        db: AsyncSession,
        user: User,
        *,
        method: str,
        includes_factor: bool,
        kind: str,
        remember: bool,
        replaces: str | None = None,
    ) -> IssuedSession:
        """Start a session for *user*, who has proved their identity without a password.

        *method*: the name of the login method, for the audit log. *includes_factor*: whether the method also
        counts as a second factor.

        Raises:
            SessionEnded: the account cannot currently log in.
            SecondFactorRequired: as in `log_in`.
        """
        # The browser may be logged in as someone else.
        act_as(db, "")
        if not await self.lock(db, user) or not self.may_log_in_without_password(user):
            raise SessionEnded
        browsers, number_of_factors = await self._read_for_login(db, user)
        if number_of_factors and not includes_factor:
            await self._ask_for_factor(db, user, kind=kind, remember=remember)
        await self._complete_login(db, user, browsers, method=method)
        lacks_factor = self.must_have_factor(user) and not includes_factor
        return await self._begin_session(
            db, user, kind=kind, remember=remember, replaces=replaces, lacks_factor=lacks_factor
        )

    async def find_for_login_mail(
        self, db: AsyncSession, *, email: str, limit: str
    ) -> tuple[User | None, bool]:
        """The account with this *email*, and whether to e-mail its owner a way to log in.

        Only verified accounts qualify, because anyone can register another person's address. *limit*: the row
        in `rate_limits.py` for these e-mails. The caller must do the same work in every case, as
        `request_password_reset` does.
        """
        may_mail = await self._may_mail_owner(db, limit, email)
        user = await self._held_by_email(db, email)
        is_able = user is not None and user.is_verified and self.may_log_in_without_password(user)
        return user, may_mail and is_able

    async def finish_login(
        self,
        db: AsyncSession,
        user: User,
        *,
        password_version: int,
        method: str,
        kind: str,
        remember: bool,
        replaces: str | None = None,
    ) -> IssuedSession:
        """Start a session for *user*, who started a login earlier and has now provided a second factor.

        *password_version*: the account's `password_version` when the login started. *method*: the factor's
        name, for the audit log.

        Raises:
            SessionEnded: the account was disabled or deleted, or its password changed, in the meantime.
        """
        if not await self.lock(db, user) or user.password_version != password_version:
            raise SessionEnded
        return await self.log_in_without_password(
            db, user, method=method, includes_factor=True, kind=kind, remember=remember, replaces=replaces
        )

    async def _ask_for_factor(self, db: AsyncSession, user: User, *, kind: str, remember: bool) -> NoReturn:
        if self.second_factors is None:
            raise RuntimeError("The account has a second factor, but no feature can check it.")
        methods = await self.second_factors.methods_of(db, user)
        ticket, key = await self.second_factors.begin(db, user, kind=kind, remember=remember)
        audit.record(db, "second_factor_request", user.id, actor="")
        await db.commit()
        raise SecondFactorRequired(methods, ticket=ticket, browser_key=key)

    async def _begin_session(
        self,
        db: AsyncSession,
        user: User,
        *,
        kind: str,
        remember: bool,
        replaces: str | None,
        lacks_factor: bool = False,
    ) -> IssuedSession:
        if replaces is not None:
            try:
                former, _ = await self.sessions.by_token(db, replaces, kind=COOKIE)
            except SessionEnded:
                pass
            else:
                await self.sessions.revoke(db, former)
        await self._end_surplus(db, user)
        return await self.sessions.issue(db, user, kind=kind, remember=remember, lacks_factor=lacks_factor)

    async def _end_surplus(self, db: AsyncSession, user: User) -> None:
        """End the least recently used sessions to make room for one more (ASVS 7.1.2).

        The login has locked the account, so simultaneous logins see each other's sessions.
        """
        most = self.sessions.limits.most
        if db.info.pop(_ALIVE, most) < most:
            return
        ended = await self.sessions.revoke_surplus(db, user)
        if not ended:
            return
        audit.record(db, "session_limit", user.id, details={"sessions": ended})
        if await self._may_mail("session_limit", user.email):
            await self.send_notice(user, "session_limit")

    async def refresh(self, db: AsyncSession, token: str) -> IssuedSession:
        """Exchange *token* for a new refresh token.

        Raises:
            SessionEnded: the token is not valid, or was reused. Reuse ends the session, and this method
            commits that change.
        """
        try:
            return await self.sessions.rotate(db, token)
        except SessionReused as reuse:
            # Lock the account before its session, because the e-mail row refers to the account.
            if await self.lock(db, reuse.user) and await self.sessions.revoke(db, reuse.session):
                user_id, ended = reuse.user.id, reuse.session.id
                audit.record(db, "session_reuse", user_id, outcome="failure", details={"session": ended})
                await self.send_notice(reuse.user, "session_reuse")
            await db.commit()
            raise SessionEnded from None

    async def log_out(self, db: AsyncSession, user: User, session: UserSession) -> None:
        """End this session."""
        if await self.sessions.revoke(db, session):
            audit.record(db, "logout", user.id, details={"session": session.id})
            await self.on_after_logout(user)

    async def log_out_with(self, db: AsyncSession, refresh_token: str) -> None:
        """Like `log_out`, but for a client whose access token has expired.

        This works even if another tab has since rotated the token. A token without a live session has no
        effect.
        """
        try:
            session, user = await self.sessions.by_issued_token(db, refresh_token)
        except SessionEnded:
            return
        act_as(db, user.id, session.kind)
        await self.log_out(db, user, session)

    async def log_out_with_cookie(self, db: AsyncSession, cookie: str) -> None:
        """Like `log_out`, but for a session whose cookie did not authenticate the request. A cookie without a
        live session has no effect.
        """
        try:
            session, user = await self.sessions.by_token(db, cookie, kind=COOKIE)
        except SessionEnded:
            return
        act_as(db, user.id, session.kind)
        await self.log_out(db, user, session)

    async def cancel_login(self, db: AsyncSession, ticket: str) -> None:
        """Cancel a login that is still waiting for its second factor. An unknown *ticket* has no effect."""
        if self.second_factors is not None:
            await self.second_factors.cancel(db, ticket)

    async def confirm(
        self, db: AsyncSession, user: User, session: UserSession, *, password: str
    ) -> IssuedSession | None:
        """Check the owner's password again. The session then counts as recent, and its cookie, if any, is
        replaced.

        Raises:
            SecondFactorRequired: the account has a second factor, which must be used instead.
            WrongPassword: the password is wrong. The audit log records the attempt.
            TooManyRequests: too many recent wrong passwords.
        """
        if methods := await self.factor_methods_of(db, user):
            raise SecondFactorRequired(methods)
        await self._require_password(db, user, password, "confirm", known=session.id)
        return await self.mark_as_recent(db, user, session, method="password")

    async def factor_methods_of(self, db: AsyncSession, user: User) -> list[str]:
        """What *user* can send to confirm with a second factor, such as `code`. Empty if they have none."""
        if self.second_factors is None:
            return []
        async with released(db):
            return await self.second_factors.methods_of(db, user)

    async def mark_as_recent(
        self, db: AsyncSession, user: User, session: UserSession, *, method: str
    ) -> IssuedSession | None:
        """Mark *session* as recently authenticated. The caller has already authenticated the user with
        *method*."""
        issued = await self.sessions.confirm(db, session, user)
        audit.record(db, "confirm", user.id, method=method, details={"session": session.id})
        return issued

    async def end_session(self, db: AsyncSession, user: User, session_id: str) -> None:
        """End one of *user*'s sessions. Raises `NoSuchSession` if *user* has no such session."""
        unknown = NoSuchSession(_("The session does not exist."))
        try:
            session, owner = await self.sessions.by_id(db, session_id)
        except SessionEnded:
            raise unknown from None
        if owner.id != user.id or not await self.sessions.revoke(db, session):
            raise unknown
        audit.record(db, "session_end", user.id, details={"session": session_id})

    async def end_sessions(
        self, db: AsyncSession, user: User, *, except_session: UserSession | None = None
    ) -> None:
        """End every session of *user* except *except_session*."""
        ended = await self.sessions.revoke_all(db, user.id, except_session=except_session)
        audit.record(db, "session_end", user.id, details={"count": ended})

    # Changes by owners

    async def change_password(
        self,
        db: AsyncSession,
        user: User,
        session: UserSession,
        *,
        current_password: str,
        new_password: str,
    ) -> IssuedSession:
        """Set a new password. Other sessions end, e-mailed links stop working, and this session is replaced.

        Raises:
            InvalidPassword: the new password is not allowed.
            WrongPassword: the current password is wrong. The audit log records the attempt.
            TooManyRequests: too many recent wrong passwords.
        """
        words = context_words(user.email, vars(user))
        try:
            await self.policy.check_rules(new_password, min_length=self.password_min_length, words=words)
            await self._require_password(
                db, user, current_password, "password_change", "current_password", known=session.id
            )
            await self._check_password(new_password, words)
        except InvalidPassword as error:
            error.field = "new_password"
            raise
        if not await self._set_password(db, user, new_password):
            # The password was changed while the hash was being computed.
            raise WrongPassword(field="current_password")
        issued = await self.sessions.reissue(db, session, user)
        if await self.factor_methods_of(db, user):
            # If the account has a second factor, the password alone does not make the session recent.
            issued.session.authenticated_at = session.authenticated_at
        audit.record(db, "password_change", user.id, method="password")
        await self.send_notice(user, "password_changed")
        await self.on_after_change_password(user)
        return issued

    async def update_profile(self, db: AsyncSession, user: User, **changes: Any) -> User:
        """Store the owner's *changes* to the language and to your own columns. The template's other columns
        cannot be changed here.

        Raises:
            UnknownLanguage: the language is not available. Nothing is changed.
            SessionEnded: the account has been deleted in the meantime.
            ValueError: *changes* contains a column that only the manager can change, such as is_superuser.
        """
        if forbidden := TEMPLATE_COLUMNS & changes.keys():
            raise ValueError(f"ProfileUpdate must not have the fields {sorted(forbidden)}.")
        if changes.get("language") not in (None, *languages()):
            raise UnknownLanguage
        if not await self.lock(db, user):
            raise SessionEnded
        changed = {name for name, value in changes.items() if value != getattr(user, name)}
        for name in changed:
            setattr(user, name, changes[name])
        if changed:
            await db.flush()
            audit.record(db, "profile_update", user.id, details={"changed": sorted(changed)})
            await self.on_after_update(user, changed)
        return user

    async def request_email_change(self, db: AsyncSession, user: User, *, new_email: str) -> None:
        """E-mail a link to *new_email* and a notice to the current address.

        Nothing changes until the link is used. No link is sent to an address that has an account, or to a
        mailbox that has received too many e-mails recently. The response does not reveal whether a link was
        sent.

        Raises:
            InvalidEmail: the address is invalid, or is the current one.
            TooManyRequests: too many recent requests from this account.
            SessionEnded: the account was disabled, or its password or address changed, after *user* was read.
        """
        try:
            new_email = parse_email(new_email)
        except InvalidEmail as error:
            error.field = "new_email"
            raise
        if new_email == user.email:
            raise InvalidEmail(_("This is already the account's e-mail address."), field="new_email")
        if self.limits is not None:
            await self.limits.count("request_email_change", account=user.id)
        may_mail = await self._may_mail("request_email_change", new_email)
        is_free = await self.get_by_email(db, new_email) is None
        # Store the address even if it is taken, so that neither the response time nor the export reveals
        # whether it is. No link is sent to a taken address.
        if not await self._change_once(db, user, pending_email=new_email):
            raise SessionEnded
        if is_free and may_mail:
            token = self.email_change_token(user, new_email)
            if self.send_email_change is not None:
                await self.send_email_change(user, new_email, token)
            await self.on_after_request_email_change(user, new_email, token)
        else:
            await self.do_dummy_work(db)
        audit.record(db, "email_change_request", user.id)
        await self.send_notice(user, "email_change_requested")

    def email_change_token(self, user: User, new_email: str) -> str:
        """A token that changes *user*'s address to *new_email*, as long as that change is pending."""
        return self.tokens.issue_email_change(
            user.id, password_version=user.password_version, email=new_email
        )

    async def change_email(
        self,
        db: AsyncSession,
        *,
        token: str,
        login: tuple[User, UserSession] | None = None,
        password: str | None = None,
        browser: str = "",
    ) -> User:
        """Change the address to the pending one. Other sessions end, and e-mailed links stop working.

        The link alone is not enough: because of a typo, it may have gone to a stranger, who could then set a
        new password. So the owner must be logged in (*login*) or enter the *password*.

        Raises:
            TokenError: as in `verify`, or another account has taken the address in the meantime.
            OwnerRequired: neither the owner's login nor a password was given.
            WrongPassword: the password is wrong. The audit log records the attempt.
            TooManyRequests: too many recent wrong passwords.
            SessionEnded: the session of *login* has ended in the meantime.
        """
        async with released(db):
            user, new_email = await self._check_email_change_token(db, token)
        old_email, was_verified = user.email, user.is_verified
        owned = login is not None and login[0].id == user.id
        if not owned:
            act_as(db, "")
            if password is None:
                raise OwnerRequired(_("Log in as the account's owner, or send the account's password."))
            known = self._known_browser(browser, user)
            await self._require_password(db, user, password, "email_change", known=known)
        try:
            async with db.begin_nested():
                changed = await self._change_once(
                    db,
                    user,
                    self.model.pending_email == new_email,
                    email=new_email,
                    pending_email=None,
                    is_verified=True,
                    password_version=user.password_version + 1,
                )
        except IntegrityError:
            changed = False
        if not changed:
            raise TokenError("token has already been used, or the address is taken")
        if login is not None and owned:
            await self.sessions.keep(db, login[1], user)
        audit.record(db, "email_change", user.id, method="link")
        await self.send_notice(user, "email_changed", to=old_email, is_verified=was_verified)
        await self.on_after_change_email(user, old_email)
        return user

    async def _check_email_change_token(self, db: AsyncSession, token: str) -> tuple[User, str]:
        """The account that *token* would change, and its new address. Does not change the account. Raises
        `TokenError` if the token is invalid."""
        user = await self._user_of_token(db, self.tokens.peek_email_change_token_sub(token))
        if user.pending_email is None:
            raise TokenError("no change is pending")
        self.tokens.verify_email_change_token(
            token, expected_password_version=user.password_version, expected_email=user.pending_email
        )
        return user, user.pending_email

    async def request_delete(self, db: AsyncSession, user: User) -> None:
        """Delete *user*'s account immediately, or after `deletion_grace` unless the owner logs in before
        then.

        Raises:
            LastSuperuser: this is the last active superuser. Nothing is changed.
            SessionEnded: as in `request_email_change`. Only one of several simultaneous calls succeeds.
        """
        version = user.password_version
        await self.require_another_superuser(db, user)
        if not self.deletion_grace:
            if not await self.lock(db, user):
                return
            # If a thief sent this request, the owner may have ended the thief's session by setting a new
            # password.
            if user.password_version != version or not user.is_active:
                raise SessionEnded
            await self.delete(db, user)
            return
        # The new version ends every session and invalidates every token.
        until = clock.now() + self.deletion_grace
        if not await self._change_once(db, user, delete_after=until, password_version=version + 1):
            raise SessionEnded
        audit.record(db, "delete_request", user.id)
        await self.send_notice(user, "deletion_scheduled")

    async def _take_back_deletion(self, db: AsyncSession, user: User, method: str) -> None:
        # Only one of two simultaneous logins cancels the deletion.
        if await self._change_once(db, user, self.model.delete_after.is_not(None), delete_after=None):
            audit.record(db, "delete_cancelled", user.id, method=method)

    # Invitations, in `invitations.py`

    invite = invite
    withdraw_invitation = withdraw_invitation
    accept_invitation = accept_invitation

    # Administration, in `administration.py`

    search = administration.search
    emails_by_id = administration.emails_by_id
    update = administration.update
    send_password_reset = administration.send_password_reset
    delete = administration.delete
    delete_due = administration.delete_due
    require_another_superuser = administration.require_another_superuser

    # Shared

    async def _check_password(self, password: str, words: Iterable[str]) -> None:
        await self.policy.check(password, min_length=self.password_min_length, words=words)

    async def _require_password(
        self,
        db: AsyncSession,
        user: User,
        password: str,
        event: str,
        field_name: str = "password",
        *,
        known: str,
    ) -> None:
        attempt = await self._begin_attempt(db, user.email, known, user)
        try:
            is_right = await self.hasher.verify(password, user.hashed_password)
        except HashingBusy:
            await _refund(attempt)
            raise
        if is_right and _accepts_password(user, known):
            await _refund(attempt)
            return
        async with released(db):
            await self._count_failure(db, user, known)
            audit.record(db, event, user.id, outcome="failure", method="password")
        raise WrongPassword(field=field_name)

    async def _begin_attempt(
        self, db: AsyncSession, email: str, known: str, user: User | None
    ) -> Attempt | None:
        if self.limits is None:
            return None
        account, network = normalize_email(email), client_of_session(db).network
        try:
            return await self.limits.begin_attempt(account=account, ip=network, known=known)
        except TooManyRequests:
            if await self.limits.may_record("guessing_blocked", ip=network, account=account):
                async with released(db):
                    audit.record(
                        db, "guessing_blocked", user and user.id, outcome="failure", method="password"
                    )
            raise

    async def _may_mail(self, row: str, email: str) -> bool:
        """Whether another e-mail may be sent to *email*. Addresses with and without an account are
        counted alike."""
        return self.limits is None or await self.limits.allows(row, mailbox=mailbox_of(email))

    async def _may_mail_owner(self, db: AsyncSession, row: str, email: str) -> bool:
        """Whether the owner of *email*'s account may be sent another e-mail that anyone can request.

        A verified account has its own limit, so that requests for the mailbox's other addresses, such as
        `ada+x@…`, do not use it up. All unverified accounts of a mailbox share one limit, because anyone can
        register any number of them. Requests for addresses without an account are counted separately, so
        that every request takes the same amount of work.
        """
        if self.limits is None:
            return True
        async with released(db):
            user = await self.get_by_email(db, email)
        if user is not None and user.is_verified:
            return await self.limits.allows(row, account=user.id)
        mailbox = mailbox_of(email)
        return await self.limits.allows(row, mailbox=mailbox if user is not None else f"nobody {mailbox}")

    async def _set_password(self, db: AsyncSession, user: User, password: str, **also: Any) -> bool:
        return await self._change_once(
            db,
            user,
            hashed_password=await self.hasher.hash(password),
            password_version=user.password_version + 1,
            failed_logins=0,
            **also,
        )

    async def _held_by_email(self, db: AsyncSession, email: str) -> User | None:
        """Like `get_by_email`, but locks the account so that it cannot be deleted before its e-mail is in
        the outbox."""
        query = select(self.model).where(self.model.email == normalize_email(email))
        return await db.scalar(query.with_for_update(of=self.model, read=True, key_share=True))

    async def lock(self, db: AsyncSession, user: User) -> bool:
        """Read *user* again and lock it until the transaction ends. Returns False if the account no longer
        exists."""
        # Lock only the account: PostgreSQL cannot lock the rows that a relationship adds with an outer join.
        this_table = {"of": self.model}
        current = await db.get(self.model, user.id, populate_existing=True, with_for_update=this_table)
        return current is not None

    async def do_dummy_work(self, db: AsyncSession) -> None:
        """Do as much work as sending an e-mail, for an address that will not receive one."""
        token = self.tokens.issue_reset(str(uuid4()), email="nobody@localhost")
        if self.send_dummy_mail is not None:
            await self.send_dummy_mail(db, token)

    async def send_notice(
        self, user: User, notice: str, *, to: str | None = None, is_verified: bool | None = None
    ) -> None:
        """E-mail a notice, unless too many have been sent recently.

        *is_verified*: whether the account was verified before the event.

        An attacker could register another person's address and trigger notices to it. So unverified accounts
        share one limit per mailbox. A verified account has its own limits, which strangers cannot use up.
        """
        if self.notify is None:
            return
        if user.is_verified if is_verified is None else is_verified:
            who = {"account": f"{user.id} {notice}"}
        else:
            who = {"mailbox": mailbox_of(to or user.email)}
        try:
            may_mail = self.limits is None or await self.limits.allows("notice", **who)
        except LimiterUnavailable:
            # The event has already happened, so a limiter outage must not undo it.
            may_mail = True
        if may_mail:
            await self.notify(user, notice, to=to)
        else:
            await self.do_dummy_work(session_of(user))

    @asynccontextmanager
    async def _unique_email(self, db: AsyncSession, email: str) -> AsyncGenerator[None]:
        """Store what the block adds or changes. If *email* is taken, undo only these changes.

        Raises:
            UserAlreadyExists: a simultaneous request took *email*.
        """
        try:
            # Rolling back the whole transaction would expire every object that the request has loaded.
            async with db.begin_nested():
                yield
        except IntegrityError as error:
            table = self.model.__tablename__
            # PostgreSQL's error names the index, and SQLite's names the column. Errors about your own unique
            # columns must not match.
            if re.search(rf"\bix_{table}_email\b|\b{table}\.email\b", str(error.orig)):
                raise UserAlreadyExists(f"{email} already has an account.") from None
            raise

    @staticmethod
    def _can_receive_mail(user: User) -> bool:
        return user.is_active and not _is_past_deletion(user)

    async def _user_of_token(self, db: AsyncSession, user_id: str) -> User:
        user = await self.get_by_id(db, user_id)
        if user is None or not self._can_receive_mail(user):
            raise TokenError("token is not for an active account")
        return user

    async def _change_once(self, db: AsyncSession, user: User, *conditions: Any, **values: Any) -> bool:
        """Apply *values* if the account has not changed since it was read. Only one of several simultaneous
        callers succeeds."""
        changed = await db.execute(
            update(self.model)
            .where(
                self.model.id == user.id,
                self.model.email == user.email,
                self.model.password_version == user.password_version,
                self.model.is_active.is_(True),
                *conditions,
            )
            .values(**values)
            .returning(self.model.id)
            .execution_options(synchronize_session=False)
        )
        if changed.scalar_one_or_none() is None:
            return False
        await db.refresh(user)
        return True

    # Your own methods go below; template updates never touch them.


async def _refund(attempt: Attempt | None) -> None:
    if attempt is not None:
        await attempt.uncount()


HOOKS = tuple(each.name for each in fields(UserManager) if each.name.startswith("on_"))
"""The names of the hooks that `app/users/hooks.py` may define."""


def _is_past_deletion(user: User) -> bool:
    """Whether the deletion grace period has passed. The worker may not have deleted the account yet."""
    return user.delete_after is not None and user.delete_after <= clock.now()


def _accepts_password(user: User, known: str) -> bool:
    """Whether a correct password is accepted, at login or to confirm an action."""
    return not user.must_reset_password and (bool(known) or user.failed_logins < MAX_FAILED_LOGINS)

"""The lifecycle of an account: one method for each thing that happens to it. Knows nothing of HTTP.

Every method takes the session first, writes with it and leaves the commit to the caller, so that a hook, a
mail and the change itself are committed together or not at all. Races are decided by the database: a unique
index, or one conditional UPDATE of which exactly one of several callers sees a row changed.

Yours to change. What must stay: passwords are checked before a token is spent, the work for an unknown
address equals that for a known one, and an account that is not active can do nothing.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.users.addresses import normalize_email, parse_email
from app.users.models import User
from app.users.passwords import PasswordHasher, check_password
from app.users.tokens import TokenError, UserTokens

type UserHook = Callable[[Any], Awaitable[None]]
type UserTokenHook = Callable[[Any, str], Awaitable[None]]


class UserAlreadyExists(ValueError):
    """The address has an account already."""


class InvalidCredentials(ValueError):
    """The address and the password do not belong together, or there is no such account."""


class InactiveUser(ValueError):
    """The password is right, but the account is disabled. Tell a client no more than for a wrong password."""


def _default_hasher() -> PasswordHasher:
    return PasswordHasher(threads=1, queue=32)


@dataclass
class UserManager:
    """What can be done with accounts. Hooks are plain attributes: assign another function to replace one.

    A hook runs inside the transaction of what it follows: `app.database.session_of(user)` writes along with
    it, and an exception undoes everything, the event included.
    """

    model: type[User]
    tokens: UserTokens
    hasher: PasswordHasher = field(default_factory=_default_hasher)
    password_min_length: int = 12
    on_after_register: UserHook | None = None
    on_after_login: UserHook | None = None
    on_after_request_verify: UserTokenHook | None = None
    on_after_verify: UserHook | None = None
    on_after_forgot_password: UserTokenHook | None = None
    on_after_reset_password: UserHook | None = None
    decoy: Callable[[AsyncSession, str], Awaitable[None]] | None = None
    """Does the work of a mail without sending one, where there is nobody to write to."""

    # Finding

    async def get_by_email(self, session: AsyncSession, email: str) -> User | None:
        """The account of an address in any spelling, or None."""
        query = select(self.model).where(self.model.email == normalize_email(email))
        return (await session.execute(query)).scalar_one_or_none()

    async def get_by_id(self, session: AsyncSession, user_id: str) -> User | None:
        """The account with this id, or None."""
        return await session.get(self.model, user_id)

    # Registration

    async def create(
        self,
        session: AsyncSession,
        *,
        email: str,
        password: str,
        is_active: bool = True,
        is_verified: bool = False,
        is_superuser: bool = False,
        **extra: Any,
    ) -> User:
        """Create an account; *extra* are your own columns.

        Raises:
            InvalidEmail, InvalidPassword: with a sentence for the person who typed it.
            UserAlreadyExists: also for the losers of a race.
        """
        email = parse_email(email)
        check_password(password, min_length=self.password_min_length)
        # Before the look-up, so that a taken address costs as much as a free one.
        hashed_password = await self.hasher.hash(password)
        if await self.get_by_email(session, email) is not None:
            raise UserAlreadyExists(f"{email} has an account already.")
        user = self.model(
            email=email,
            hashed_password=hashed_password,
            is_active=is_active,
            is_verified=is_verified,
            is_superuser=is_superuser,
            password_version=0,
            **extra,
        )
        session.add(user)
        await self._flush_unique(session, email)
        if self.on_after_register is not None:
            await self.on_after_register(user)
        return user

    # Login

    async def authenticate(self, session: AsyncSession, *, email: str, password: str) -> User:
        """The account that *email* and *password* belong to.

        Exactly one hash is verified, whether or not there is such an account (CWE-208).

        Raises:
            InvalidCredentials: no such account, or another password.
            InactiveUser: the right password of a disabled account.
        """
        transaction_is_ours = not session.in_transaction()
        user = await self.get_by_email(session, email)
        if transaction_is_ours:
            # Gives the connection back while the hash is computed. (A rollback would unload the user.)
            await session.commit()
        hashed = user.hashed_password if user is not None else None
        if not await self.hasher.verify(password, hashed) or user is None or hashed is None:
            raise InvalidCredentials("The address or the password is wrong.")
        renewed = await self.hasher.hash(password) if self.hasher.is_outdated(hashed) else hashed
        if transaction_is_ours:
            user = await self._still_as_it_was(session, user)
        if not user.is_active:
            raise InactiveUser("This account is disabled.")
        if renewed != hashed:
            # Only if the password is still the one that was verified.
            unchanged = (self.model.id == user.id, self.model.hashed_password == hashed)
            await session.execute(update(self.model).where(*unchanged).values(hashed_password=renewed))
        if self.on_after_login is not None:
            await self.on_after_login(user)
        return user

    async def _still_as_it_was(self, session: AsyncSession, user: User) -> User:
        """Read again: while a hash was computed the password may have been reset, or the account disabled."""
        version = user.password_version
        current = await session.get(self.model, user.id, populate_existing=True)
        if current is None or current.password_version != version:
            raise InvalidCredentials("The address or the password is wrong.")
        return current

    # Verification of the address

    async def request_verify(self, session: AsyncSession, *, email: str) -> None:
        """Call `on_after_request_verify` with a token, if there is anything to verify.

        Returns None and does the same work in every case, so that nobody learns which addresses have an
        account (CWE-204).
        """
        user = await self.get_by_email(session, email)
        if user is not None and user.is_active and not user.is_verified:
            token = self.verify_token(user)
            if self.on_after_request_verify is not None:
                await self.on_after_request_verify(user, token)
        else:
            await self._pretend(session)

    def verify_token(self, user: User) -> str:
        """A token that verifies the address that *user* has now."""
        return self.tokens.issue_verify(user.id, password_version=user.password_version, email=user.email)

    async def verify(self, session: AsyncSession, *, token: str) -> User:
        """Mark the address verified that *token* was mailed to.

        Raises:
            TokenError: not a good token: expired, used, another's, or of an address that has changed.
        """
        user = await self._bearer_of(session, self.tokens.peek_email_token_sub(token))
        self.tokens.verify_email_token(
            token,
            expected_password_version=user.password_version,
            expected_email=user.email,
        )
        await self._change_once(session, user, self.model.is_verified.is_(False), is_verified=True)
        if self.on_after_verify is not None:
            await self.on_after_verify(user)
        return user

    # Reset of a forgotten password

    async def request_password_reset(self, session: AsyncSession, *, email: str) -> None:
        """Call `on_after_forgot_password` with a token, if the account exists and is active.

        As silent and as costly as `request_verify` in every case.
        """
        user = await self.get_by_email(session, email)
        if user is not None and user.is_active:
            token = self.reset_token(user)
            if self.on_after_forgot_password is not None:
                await self.on_after_forgot_password(user, token)
        else:
            await self._pretend(session)

    def reset_token(self, user: User) -> str:
        """A token that sets a new password for *user*, once."""
        return self.tokens.issue_reset(user.id, password_version=user.password_version, email=user.email)

    async def check_reset_token(self, session: AsyncSession, *, token: str) -> User:
        """The account that *token* would reset; nothing changes. Raises `TokenError`."""
        user = await self._bearer_of(session, self.tokens.peek_reset_token_sub(token))
        self.tokens.verify_reset_token(
            token, expected_password_version=user.password_version, expected_email=user.email
        )
        return user

    async def reset_password(self, session: AsyncSession, *, token: str, new_password: str) -> User:
        """Set a new password with a mailed token; ends every access and mail token made before.

        Raises:
            InvalidPassword: the token is not spent.
            TokenError: as `verify`; of several uses at once, one succeeds.
        """
        # The rule first: a password that is refused must not cost the token.
        check_password(new_password, min_length=self.password_min_length)
        transaction_is_ours = not session.in_transaction()
        user = await self.check_reset_token(session, token=token)
        if transaction_is_ours:
            await session.commit()
        hashed_password = await self.hasher.hash(new_password)
        await self._change_once(
            session,
            user,
            hashed_password=hashed_password,
            password_version=user.password_version + 1,
        )
        if self.on_after_reset_password is not None:
            await self.on_after_reset_password(user)
        return user

    # Changes

    async def update(
        self,
        session: AsyncSession,
        user: User,
        *,
        email: str | None = None,
        password: str | None = None,
        is_active: bool | None = None,
        is_verified: bool | None = None,
        is_superuser: bool | None = None,
    ) -> User:
        """Change an account. A new address is unverified.

        A new address, a new password and a verification taken away end every older token.

        Raises:
            InvalidEmail, InvalidPassword, UserAlreadyExists: as `create`; nothing is changed.
        """
        hashed_password = None
        if email is not None:
            email = parse_email(email)
        if password is not None:
            check_password(password, min_length=self.password_min_length)
            hashed_password = await self.hasher.hash(password)
        was_verified = user.is_verified
        is_new_address = email is not None and email != user.email
        if email is not None and is_new_address:
            if await self.get_by_email(session, email) is not None:
                raise UserAlreadyExists(f"{email} has an account already.")
            user.email = email
            user.is_verified = False
        if hashed_password is not None:
            user.hashed_password = hashed_password
        if is_active is not None:
            user.is_active = is_active
        if is_verified is not None:
            user.is_verified = is_verified
        if is_superuser is not None:
            user.is_superuser = is_superuser
        # A used link must not verify again what was unverified since.
        is_unverified = was_verified and not user.is_verified
        if is_new_address or is_unverified or hashed_password is not None:
            # Counted by the database: of two changes at once each must end the tokens made between them.
            user.password_version = self.model.password_version + 1
        await self._flush_unique(session, user.email)
        await session.refresh(user)
        return user

    async def delete(self, session: AsyncSession, user: User) -> None:
        """Delete an account and, through foreign keys, what belongs to it."""
        await session.delete(user)
        await session.flush()

    # Shared

    async def _pretend(self, session: AsyncSession) -> None:
        token = self.tokens.issue_reset(str(uuid4()), email="nobody@localhost")
        if self.decoy is not None:
            await self.decoy(session, token)

    async def _flush_unique(self, session: AsyncSession, email: str) -> None:
        try:
            await session.flush()
        except IntegrityError as error:
            await session.rollback()
            table = self.model.__tablename__
            # The index on PostgreSQL, the column on SQLite; a unique column of yours is another matter.
            if re.search(rf"\bix_{table}_email\b|\b{table}\.email\b", str(error.orig)):
                raise UserAlreadyExists(f"{email} has an account already.") from None
            raise

    async def _bearer_of(self, session: AsyncSession, user_id: str) -> User:
        user = await self.get_by_id(session, user_id)
        if user is None or not user.is_active:
            raise TokenError("token of nobody")
        return user

    async def _change_once(self, session: AsyncSession, user: User, *conditions: Any, **values: Any) -> None:
        """Apply *values* if the account is still as it was read; of several callers one gets through."""
        changed = await session.execute(
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
            raise TokenError("token was used already")
        await session.refresh(user)

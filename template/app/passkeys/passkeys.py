"""Passkeys (WebAuthn level 3): keys that devices and password managers store and that cannot be phished.

A passkey is a second factor. A passkey that verifies its user with a PIN or a fingerprint can also replace
both the password and the second factor. This module knows nothing about HTTP.

You may change the limits below. Keep the order of the statements: use up the challenge before verifying
the response, so that it stays used up if the response is rejected, and lock the account before its passkeys.
"""

import logging
import secrets
from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import bytes_to_base64url

from app import clock
from app.database import act_as, released
from app.i18n import N_
from app.i18n import gettext as _
from app.passkeys import ceremonies, challenges
from app.passkeys.authenticators import name_of
from app.passkeys.ceremonies import InvalidResponse, RelyingParty
from app.passkeys.challenges import Ceremony
from app.passkeys.models import Passkey, PasskeyHandle
from app.second_factors.factors import Asked, Factors, WrongFactor, lock
from app.users import User, UserManager, UserSession
from app.users.audit import record
from app.users.exceptions import NoSecondFactor, SessionEnded
from app.users.sessions import IssuedSession

logger = logging.getLogger("app.passkeys")

MAX_PASSKEYS = 20
"""The maximum number of passkeys per account."""


class PasskeyRefused(ValueError):
    """The response is invalid, or its passkey is unknown, did not verify its user (now or when it was added),
    or belongs to an account that cannot log in."""

    code = "passkey_refused"

    def __init__(self) -> None:
        super().__init__(_("You cannot log in with this passkey. Try again, or use your password."))


class TooManyPasskeys(ValueError):
    """The account already has `MAX_PASSKEYS` passkeys."""

    code = "too_many_passkeys"

    def __init__(self) -> None:
        super().__init__(_("The account has too many passkeys. Remove one first."))


class PasskeyExists(ValueError):
    """The passkey has already been added, to this account or another."""

    code = "passkey_exists"

    def __init__(self) -> None:
        super().__init__(_("This passkey has already been added."))


class Passkeys:
    """The `passkey` factor."""

    name = "passkey"
    method = "credential"
    refusal = N_("The passkey was not accepted. Try again.")

    def __init__(self, party: RelyingParty, users: UserManager, factors: Factors) -> None:
        self._party = party
        self._users = users
        self._factors = factors

    # The factor

    def number_of(self, user_id: str) -> ColumnElement[int]:
        """See `app/second_factors/factors.py`."""
        return select(func.count()).where(Passkey.user_id == user_id).scalar_subquery()

    async def check(self, db: AsyncSession, user: User, answer: str, asked: Asked) -> bool:
        """See `app/second_factors/factors.py`."""
        try:
            response = ceremonies.read(answer)
            if not await challenges.take(db, response.challenge, asked.by, asked.id):
                return False
            passkey = await self._find(db, response.credential_id)
            if passkey is None or passkey.user_id != user.id:
                return False
            # After the password, touching the key is enough. To confirm a login, the passkey replaces the
            # password.
            must_verify = asked.by == "confirm" and passkey.verifies_user
            verified = ceremonies.verify(self._party, response, passkey, must_verify=must_verify)
        except ValueError:
            return False
        self._note_use(db, passkey, verified)
        return True

    async def remove(self, db: AsyncSession, user: User, item: str | None = None) -> bool:
        """See `app/second_factors/factors.py`."""
        these = [Passkey.user_id == user.id]
        if item is not None:
            these.append(Passkey.id == item)
        removed = await db.execute(delete(Passkey).where(*these).returning(Passkey.id))
        return bool(removed.all())

    async def options_for(self, db: AsyncSession, user: User, asked: Asked) -> dict[str, object]:
        """The options that request one of the user's passkeys as a second factor.

        Raises:
            NoSecondFactor: the account has no passkey.
        """
        passkeys = await self.of(db, user)
        if not passkeys:
            raise NoSecondFactor
        return ceremonies.request_options(
            self._party,
            challenge=await challenges.make(db, asked.by, asked.id),
            allowed=passkeys,
            must_verify=asked.by == "confirm" and all(each.verifies_user for each in passkeys),
        )

    # Logging in without a password

    async def begin_login(self, db: AsyncSession, key: str) -> dict[str, object]:
        """The options that request any passkey. *key* is kept in a cookie so that only this browser can
        respond."""
        challenge = await challenges.make(db, "passwordless", key)
        return ceremonies.request_options(self._party, challenge=challenge, must_verify=True)

    async def log_in(
        self,
        db: AsyncSession,
        content: dict[str, object] | str,
        *,
        key: str | None,
        kind: str,
        remember: bool = True,
        replaces: str | None = None,
    ) -> IssuedSession:
        """Start a session for the owner of a passkey, without a password. *key*: see `challenges.take`.

        Raises:
            PasskeyRefused: see the class. The audit log records the rejection if a known passkey's response
            cannot be verified, or if the passkey's account cannot log in.
        """
        act_as(db, "")
        passkey, verified = await self._verify_login(db, content, key)
        user = await self._users.get_by_id(db, passkey.user_id)
        if user is None:
            raise PasskeyRefused
        await lock(db, user)
        if not await self._is_there(db, passkey):
            raise PasskeyRefused
        self._note_use(db, passkey, verified)
        try:
            return await self._users.log_in_without_password(
                db,
                user,
                method=self.name,
                includes_factor=True,
                kind=kind,
                remember=remember,
                replaces=replaces,
            )
        except SessionEnded:
            await self._note_refusal(db, passkey)
            raise PasskeyRefused from None

    async def _verify_login(
        self, db: AsyncSession, content: dict[str, object] | str, key: str | None
    ) -> tuple[Passkey, VerifiedAuthentication]:
        try:
            response = ceremonies.read(content)
            if not await self._take(db, response.challenge, "passwordless", key):
                raise PasskeyRefused
            passkey = await self._find(db, response.credential_id)
            if passkey is None or await self._handle_of(db, passkey.user_id) != response.user_handle:
                raise PasskeyRefused
        except InvalidResponse:
            raise PasskeyRefused from None
        try:
            # A thief could set a PIN on a security key that has none. The key would then accept the thief as
            # its user (WebAuthn level 3, section 7.2, on `uvInitialized`).
            if not passkey.verifies_user:
                raise InvalidResponse("the passkey did not verify its user when it was added")
            return passkey, ceremonies.verify(self._party, response, passkey, must_verify=True)
        except InvalidResponse:
            await self._note_refusal(db, passkey)
            raise PasskeyRefused from None

    async def _note_refusal(self, db: AsyncSession, passkey: Passkey) -> None:
        record(db, "login", passkey.user_id, outcome="failure", method=self.name)
        await db.commit()

    # Adding a passkey

    async def begin_to_add(self, db: AsyncSession, user: User, session: UserSession) -> dict[str, object]:
        """The options for creating a new passkey.

        Raises:
            TooManyPasskeys: the account already has the maximum number.
        """
        await lock(db, user)
        existing = await self.of(db, user)
        if len(existing) >= MAX_PASSKEYS:
            raise TooManyPasskeys
        handle = await self._handle_of(db, user.id)
        if handle is None:
            handle = bytes_to_base64url(secrets.token_bytes(64))
            db.add(PasskeyHandle(user_id=user.id, handle=handle))
        return ceremonies.creation_options(
            self._party,
            challenge=await challenges.make(db, "add", session.id),
            handle=handle,
            email=user.email,
            existing=existing,
        )

    async def add(
        self,
        db: AsyncSession,
        user: User,
        session: UserSession,
        content: dict[str, object] | str,
        name: str = "",
    ) -> tuple[Passkey, list[str] | None]:
        """Add the passkey that the browser created, and end every session except *session*. Returns the
        passkey, and recovery codes if the account had none.

        Raises:
            WrongFactor: the response is invalid, or the challenge has already been used.
            TooManyPasskeys, PasskeyExists: see the classes. Nothing is added.
            SessionEnded: as in `Factors.lock`.
        """
        try:
            response = ceremonies.read(content)
            if not await self._take(db, response.challenge, "add", session.id):
                raise WrongFactor(self.refusal)
            new = ceremonies.verify_new(self._party, response)
        except InvalidResponse:
            raise WrongFactor(self.refusal) from None
        await self._factors.lock(db, user, session)
        if len(await self.of(db, user)) >= MAX_PASSKEYS:
            raise TooManyPasskeys
        passkey = Passkey(
            user_id=user.id,
            credential_id=bytes_to_base64url(new.credential_id),
            public_key=new.credential_public_key,
            name=name.strip() or name_of(new.aaguid),
            authenticator=new.aaguid,
            transports=response.transports,
            verifies_user=new.user_verified,
            can_be_backed_up=ceremonies.can_be_backed_up(new),
            is_backed_up=new.credential_backed_up,
            sign_count=new.sign_count,
            created_at=clock.now(),
        )
        try:
            async with db.begin_nested():
                db.add(passkey)
        except IntegrityError:
            raise PasskeyExists from None
        return passkey, await self._factors.added(db, user, self, session=session)

    # Managing passkeys

    async def of(self, db: AsyncSession, user: User) -> Sequence[Passkey]:
        """The passkeys of *user*, oldest first."""
        oldest_first = select(Passkey).where(Passkey.user_id == user.id).order_by(Passkey.created_at)
        return (await db.scalars(oldest_first.order_by(Passkey.id))).all()

    async def rename(self, db: AsyncSession, user: User, passkey_id: str, name: str) -> Passkey:
        """Rename a passkey. Raises `NoSecondFactor` if it does not exist or belongs to another user."""
        passkey = await db.get(Passkey, passkey_id, with_for_update=True)
        if passkey is None or passkey.user_id != user.id:
            raise NoSecondFactor
        passkey.name = name.strip() or name_of(passkey.authenticator)
        return passkey

    # Helpers

    async def _take(self, db: AsyncSession, challenge: bytes, ceremony: Ceremony, holder: str | None) -> bool:
        # Commit before anything is verified, so that no failure can make the challenge valid again.
        async with released(db):
            return await challenges.take(db, challenge, ceremony, holder)

    async def _find(self, db: AsyncSession, credential_id: str) -> Passkey | None:
        return await db.scalar(select(Passkey).where(Passkey.credential_id == credential_id))

    async def _is_there(self, db: AsyncSession, passkey: Passkey) -> bool:
        # The owner may have removed the passkey since it was read. The account is now locked, so the
        # passkey cannot be removed after this point.
        return await db.get(Passkey, passkey.id, populate_existing=True) is not None

    async def _handle_of(self, db: AsyncSession, user_id: str) -> str | None:
        return await db.scalar(select(PasskeyHandle.handle).where(PasskeyHandle.user_id == user_id))

    def _note_use(self, db: AsyncSession, passkey: Passkey, verified: VerifiedAuthentication) -> None:
        """Store what the authenticator reported. A use count that did not increase suggests, but does not
        prove, that the passkey was copied."""
        if verified.new_sign_count <= passkey.sign_count and (verified.new_sign_count or passkey.sign_count):
            logger.warning("a passkey's counter did not increase: there may be a copy of it")
            record(db, "passkey_count", passkey.user_id, outcome="failure", details={"passkey": passkey.id})
        passkey.sign_count = max(passkey.sign_count, verified.new_sign_count)
        passkey.is_backed_up = verified.credential_backed_up
        passkey.last_used_at = clock.now()

"""Codes from authenticator apps (TOTP, RFC 6238): six digits that change every 30 seconds.

Secrets are encrypted at rest. A code is accepted only once, no matter how its digits are written. pyotp
does the arithmetic. Do not change `STEP` or `DIGITS`, because many authenticator apps ignore other values.
"""

import hmac
import logging
import unicodedata

from pyotp import random_base32
from pyotp.totp import TOTP
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.keys import CannotDecrypt, KeyRing
from app.second_factors.factors import WRONG_CODE, Asked, Factors, WrongFactor, lock
from app.totp.models import TotpSecret
from app.users import User, UserSession
from app.users.typed_codes import MAX_LENGTH

logger = logging.getLogger("app.totp")

STEP = 30
"""Seconds per time step (RFC 6238, section 5.2)."""
DIGITS = 6
WINDOW = 1
"""The number of time steps accepted before and after the current one, to allow for clock drift."""


class AlreadySetUp(ValueError):
    """The account already has an authenticator app."""

    code = "totp_already_set_up"


class Totp:
    """The `totp` factor. If the key that encrypted the secret is lost, the authenticator app is useless, and
    the owner needs a recovery code."""

    name = "totp"
    method = "code"
    refusal = WRONG_CODE

    def __init__(self, keys: KeyRing, issuer: str, factors: Factors) -> None:
        self._keys = keys
        self._issuer = issuer
        self._factors = factors

    # The factor

    def number_of(self, user_id: str) -> ColumnElement[int]:
        """See `app/second_factors/factors.py`."""
        return (
            select(func.count())
            .where(TotpSecret.user_id == user_id, TotpSecret.confirmed_at.is_not(None))
            .scalar_subquery()
        )

    async def check(self, db: AsyncSession, user: User, answer: str, asked: Asked) -> bool:
        """See `app/second_factors/factors.py`."""
        row = await db.get(TotpSecret, user.id, populate_existing=True)
        if row is None or row.confirmed_at is None:
            return False
        return await self._accept(db, row, answer)

    async def remove(self, db: AsyncSession, user: User, item: str | None = None) -> bool:
        """See `app/second_factors/factors.py`. An account has one app, so *item* is ignored."""
        removed = delete(TotpSecret).where(TotpSecret.user_id == user.id).returning(TotpSecret.user_id)
        return (await db.execute(removed)).scalar_one_or_none() is not None

    # Setting up an app

    async def begin(self, db: AsyncSession, user: User, session: UserSession) -> str:
        """Generate a secret for *user*. An earlier, unconfirmed secret stops working.

        Only the login that *session* belongs to can see and confirm the secret.

        Raises:
            AlreadySetUp: the account already has an authenticator app.
        """
        await lock(db, user)
        row = await db.get(TotpSecret, user.id, populate_existing=True)
        if row is not None and row.confirmed_at is not None:
            raise AlreadySetUp
        secret = random_base32()
        if row is None:
            row = TotpSecret(user_id=user.id)
            db.add(row)
        row.sealed_secret = self._keys.encrypt(secret)
        row.last_step, row.created_at = 0, session.created_at
        await db.flush()
        return secret

    async def pending_secret(self, db: AsyncSession, user: User, session: UserSession) -> str | None:
        """The secret that `begin` generated for this login. None if no such secret exists, or if it has
        been confirmed."""
        row = await db.get(TotpSecret, user.id, populate_existing=True)
        return self._open(row) if row is not None and _is_waiting(row, session) else None

    async def confirm(
        self, db: AsyncSession, user: User, session: UserSession, code: str
    ) -> list[str] | None:
        """Finish setting up the app by checking its first code. From then on, logins ask for a code.

        Also ends every session except *session*. Returns recovery codes if the account had none.

        Raises:
            WrongFactor: the code is wrong, or there is nothing to confirm. Nothing is changed.
            TooManyRequests: too many recent wrong codes.
            SessionEnded: as in `Factors.lock`.
        """
        async with self._factors.counted(user, self.method):
            await self._factors.lock(db, user, session)
            row = await db.get(TotpSecret, user.id, populate_existing=True)
            if row is None or not _is_waiting(row, session) or not await self._accept(db, row, code):
                raise WrongFactor
            row.confirmed_at = clock.now()
            await db.flush()
        return await self._factors.added(db, user, self, session=session)

    def uri(self, secret: str, user: User) -> str:
        """The content of the QR code (Google Authenticator's URI format)."""
        return TOTP(secret, digits=DIGITS, interval=STEP).provisioning_uri(
            name=user.email, issuer_name=self._issuer
        )

    # Codes

    async def _accept(self, db: AsyncSession, row: TotpSecret, code: str) -> bool:
        secret = self._open(row)
        step = secret and _step_of(secret, digits_of(code))
        if not step:
            return False
        # The condition rejects a code that has been used before or is being used at the same time.
        accepted = await db.execute(
            update(TotpSecret)
            .where(
                TotpSecret.user_id == row.user_id,
                TotpSecret.sealed_secret == row.sealed_secret,
                TotpSecret.last_step < step,
            )
            .values(last_step=step)
            .returning(TotpSecret.user_id)
            .execution_options(synchronize_session=False)
        )
        return accepted.scalar_one_or_none() is not None

    def _open(self, row: TotpSecret) -> str | None:
        try:
            return self._keys.decrypt(row.sealed_secret)
        except CannotDecrypt:
            logger.error(
                "a TOTP secret cannot be decrypted: SECRET_KEY has changed since it was encrypted, and"
                " SECRET_KEY_FALLBACKS lacks the earlier key"
            )
            return None


def _is_waiting(row: TotpSecret, session: UserSession) -> bool:
    # A thief could have read a secret generated in another login, so the owner must never confirm it.
    return row.confirmed_at is None and row.created_at == session.created_at


def digits_of(code: str) -> str:
    """*code* in ASCII digits, without spaces or hyphens. Empty if it contains any other characters or is much
    too long.

    Some keyboards produce digits in other scripts, which are equivalent to ASCII digits.
    """
    if len(code) > MAX_LENGTH:
        return ""
    digits = [unicodedata.decimal(each, None) for each in code if not each.isspace() and each != "-"]
    return "" if None in digits else "".join(str(digit) for digit in digits)


def _step_of(secret: str, digits: str) -> int:
    """The time step whose code is *digits*, or 0 if there is none."""
    totp, now = TOTP(secret, digits=DIGITS, interval=STEP), int(clock.now().timestamp()) // STEP
    found = 0
    for step in range(now - WINDOW, now + WINDOW + 1):
        if hmac.compare_digest(totp.generate_otp(step), digits):
            found = step
    return found

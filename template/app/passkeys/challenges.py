"""Challenges: random bytes that an authenticator signs, so that an earlier response cannot be replayed.

A challenge is stored as a row. It works once, within five minutes, for one kind of ceremony and one holder.
Always remove it with a single DELETE before trusting anything in the response.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Literal

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.database import client_of_session
from app.database.batches import delete_batch
from app.passkeys.models import PasskeyChallenge

LASTS = timedelta(minutes=5)

type Ceremony = Literal["add", "passwordless", "login", "confirm"]
"""Adding a passkey (`add`), logging in with it instead of a password (`passwordless`), or using it as a
second factor at login (`login`) or to confirm a login (`confirm`)."""


async def make(db: AsyncSession, ceremony: Ceremony, holder: str) -> bytes:
    """Create a challenge for *holder*: a session, a ticket, or the key in a cookie."""
    challenge = secrets.token_bytes(32)
    row = PasskeyChallenge(
        challenge_hash=_hash(challenge),
        ceremony=ceremony,
        holder_hash=_hash(holder.encode()),
        user_agent=client_of_session(db).user_agent,
        expires_at=clock.now() + LASTS,
    )
    db.add(row)
    await db.flush()
    return challenge


async def take(db: AsyncSession, challenge: bytes, ceremony: Ceremony, holder: str | None) -> bool:
    """Use up *challenge*. Returns False if it does not exist, was already used, has expired, or was made for
    a different ceremony or holder.

    *holder*: None for a client without cookies, which is recognized only by its `User-Agent`.
    """
    belongs = (
        PasskeyChallenge.user_agent == client_of_session(db).user_agent
        if holder is None
        else PasskeyChallenge.holder_hash == _hash(holder.encode())
    )
    taken = await db.execute(
        delete(PasskeyChallenge)
        .where(
            PasskeyChallenge.challenge_hash == _hash(challenge),
            PasskeyChallenge.ceremony == ceremony,
            PasskeyChallenge.expires_at > clock.now(),
            belongs,
        )
        .returning(PasskeyChallenge.challenge_hash)
        .execution_options(synchronize_session=False)
    )
    return taken.scalar_one_or_none() is not None


async def remove_expired(db: AsyncSession) -> int:
    """Delete a batch of expired challenges. Returns the number deleted."""
    expires_at = PasskeyChallenge.expires_at
    return await delete_batch(db, PasskeyChallenge, expires_at <= clock.now(), expires_at)


def _hash(value: bytes) -> str:
    return hashlib.sha256(value).hexdigest()

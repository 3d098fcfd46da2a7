"""The only module that issues, finds, rotates and revokes sessions. It knows nothing about HTTP.

A session is alive while its user is active, it has not been revoked, its `password_version` matches the
user's, and neither of its two limits has been reached. The idle limit is counted from when the session was
last seen, and the absolute limit from when it started. The UPDATE that sets a new password also increases
`password_version`, which ends every session.

The client holds a token of the form `id.secret`:

    secret = base64url(32 random bytes + 16-byte checksum)    (only the SHA-256 of the 32 bytes is stored)

The checksum is an HMAC that proves that the token was issued here. It distinguishes a guessed token from a
stolen one that is being reused. Refreshing derives the next secret from the current one, so two browser tabs
that refresh at the same time get the same new token:

    secret 1 --refresh--> secret 2 = HMAC(key, secret 1) --refresh--> secret 3
       |_ within `grace`: returns its successor           |_ later: the session ends (`SessionReused`)

You may change the limits (in the settings), but keep the rest.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value

from app import clock
from app.database import client_of_session
from app.database.batches import delete_batch
from app.database.reading import Joined
from app.keys import KeyRing
from app.users.exceptions import SessionEnded, SessionReused
from app.users.models import User, UserSession

BEARER = "bearer"
COOKIE = "cookie"

SEEN_EVERY = timedelta(minutes=1)
"""The precision of `last_seen_at`. Writing it on every request would cost more than the request itself."""
LISTED = 100
"""Maximum number of sessions in a list. MAX_SESSIONS may be higher. Ending all other sessions also ends
sessions that are not listed."""
_MAX_REPLACED_TOKENS = 10
"""Maximum number of replaced refresh tokens kept per session. After this many rotations within the
grace period, the current token is returned unchanged."""
_SECRET_BYTES = 32
_CHECKSUM_BYTES = 16

_BY_ID = Joined(
    UserSession,
    User,
    on=User.id == UserSession.user_id,
    where=UserSession.id == bindparam("session_id"),
)


@dataclass(frozen=True)
class SessionLimits:
    """How long a session may last. In the application, the settings override all of these values
    (`app/settings.py`)."""

    idle: timedelta = timedelta(days=14)
    absolute: timedelta = timedelta(days=90)
    not_remembered: timedelta = timedelta(days=1)
    """The absolute limit for a session without "remember me"."""
    grace: timedelta = timedelta(seconds=30)
    """How long a replaced refresh token can still be exchanged for its successor, so that two tabs can
    refresh at the same time."""
    recent: timedelta = timedelta(minutes=10)
    most: int = 50
    """Maximum number of sessions per account. A login that would exceed this number ends the least
    recently used session."""


@dataclass(frozen=True)
class IssuedSession:
    """A session and the token for its client. The token is not stored."""

    session: UserSession
    user: User
    token: str

    def __repr__(self) -> str:
        return f"IssuedSession({self.session.id})"


class Sessions:
    """Operations on sessions. The caller passes the database session and commits."""

    def __init__(self, keys: KeyRing, limits: SessionLimits | None = None) -> None:
        """*keys*: removing a key ends every session whose token's checksum was made with it."""
        self.limits = limits or SessionLimits()
        self._keys = keys

    # Issuing

    async def issue(
        self,
        db: AsyncSession,
        user: User,
        *,
        kind: str = BEARER,
        remember: bool = True,
        lacks_factor: bool = False,
    ) -> IssuedSession:
        """Start a session for *user*, who has just authenticated. *lacks_factor*: see `UserSession`."""
        now = clock.now()
        client = client_of_session(db)
        lasts = self.limits.absolute if remember else min(self.limits.not_remembered, self.limits.absolute)
        secret = secrets.token_bytes(_SECRET_BYTES)
        session = UserSession(
            user_id=user.id,
            kind=kind,
            secret_hash=_hash(secret),
            password_version=user.password_version,
            created_at=now,
            authenticated_at=now,
            last_seen_at=now,
            expires_at=now + lasts,
            ip_address=client.ip_address,
            user_agent=client.user_agent,
            lacks_factor=lacks_factor,
        )
        db.add(session)
        await db.flush()
        return IssuedSession(session, user, self._token(session.id, secret))

    # Finding

    async def by_id(self, db: AsyncSession, session_id: str) -> tuple[UserSession, User]:
        """The live session with this id, and the user it belongs to, read in one query.

        Both are read from the database again, which refreshes any objects that the caller already holds.

        Raises:
            SessionEnded: no live session has this id.
        """
        found = await _BY_ID.one(db, {"session_id": session_id})
        if found is None or not self.is_alive(*found):
            raise SessionEnded
        session, user = found
        return session, user

    async def by_token(self, db: AsyncSession, token: str, *, kind: str) -> tuple[UserSession, User]:
        """The live session whose current token is *token*. Raises `SessionEnded` if no session matches."""
        session_id, secret = self._parts(token)
        session, user = await self.by_id(db, session_id)
        if session.kind != kind or not hmac.compare_digest(session.secret_hash, _hash(secret)):
            raise SessionEnded
        return session, user

    async def by_issued_token(self, db: AsyncSession, token: str) -> tuple[UserSession, User]:
        """The live bearer session that *token* was issued for, even if the token has since been replaced.

        Use this only to end the session. Raises `SessionEnded` if no session matches.
        """
        session_id, _ = self._parts(token)
        session, user = await self.by_id(db, session_id)
        if session.kind != BEARER:
            raise SessionEnded
        return session, user

    def is_alive(self, session: UserSession, user: User) -> bool:
        """Whether *session* still authenticates *user*."""
        now = clock.now()
        return (
            user.is_active
            and session.revoked_at is None
            and session.password_version == user.password_version
            and now < session.expires_at
            and now < session.last_seen_at + self.limits.idle
        )

    def is_recent(self, session: UserSession) -> bool:
        """Whether the user authenticated recently (RECENT_LOGIN)."""
        return clock.now() < session.authenticated_at + self.limits.recent

    async def of_user(self, db: AsyncSession, user: User, *, limit: int | None = None) -> list[UserSession]:
        """*user*'s live sessions, most recently used first."""
        newest_first = select(UserSession).where(*self._alive(user)).order_by(UserSession.last_seen_at.desc())
        return list(await db.scalars(newest_first.order_by(UserSession.id).limit(limit)))

    async def listed(self, db: AsyncSession, user: User, *, current: UserSession) -> list[UserSession]:
        """*user*'s `LISTED` most recently used sessions. *current* is always included if it belongs to
        *user*."""
        found = await self.of_user(db, user, limit=LISTED)
        # `last_seen_at` may be up to a minute out of date, so other sessions may precede the current one.
        if current.user_id == user.id and all(each.id != current.id for each in found):
            found[LISTED - 1 :] = [current]
        return found

    async def count(self, db: AsyncSession, user: User) -> int:
        """The number of live sessions that *user* has."""
        return await db.scalar(select(self.number_of(user))) or 0

    def number_of(self, user: User) -> ScalarSelect[int]:
        """The number of live sessions that *user* has, as a subquery."""
        return select(func.count()).select_from(UserSession).where(*self._alive(user)).scalar_subquery()

    def _alive(self, user: User) -> tuple[ColumnElement[bool], ...]:
        """The conditions that `is_alive` checks, for use in queries."""
        now = clock.now()
        return (
            UserSession.user_id == user.id,
            UserSession.revoked_at.is_(None),
            UserSession.password_version == user.password_version,
            UserSession.expires_at > now,
            UserSession.last_seen_at > now - self.limits.idle,
        )

    # Keeping

    def is_due(self, session: UserSession) -> bool:
        """Whether it is time to update `last_seen_at`."""
        return clock.now() - session.last_seen_at >= SEEN_EVERY

    async def seen(self, db: AsyncSession, session: UserSession) -> None:
        """Set `last_seen_at` to now."""
        now = clock.now()
        await _change(db, session, UserSession.last_seen_at <= now - SEEN_EVERY, last_seen_at=now)
        # Also update the loaded row, but do not mark it dirty, because that would cause a second UPDATE.
        set_committed_value(session, "last_seen_at", now)

    async def rotate(self, db: AsyncSession, token: str) -> IssuedSession:
        """Replace a refresh token. Simultaneous calls replace it only once, and each gets the same successor.

        Raises:
            SessionEnded: *token* is not a refresh token of a live session.
            SessionReused: *token* was replaced, and its grace period has passed. The caller must end the
            session.
        """
        session_id, secret = self._parts(token)
        session, user = await self.by_id(db, session_id)
        if session.kind != BEARER:
            raise SessionEnded
        now, successor = clock.now(), self._next_secrets(secret)[0]
        replaced = False
        if hmac.compare_digest(session.secret_hash, _hash(secret)):
            recent = self._replaced_within_grace(session)
            if len(recent) >= _MAX_REPLACED_TOKENS:
                return IssuedSession(session, user, token)
            replaced = await _change(
                db,
                session,
                UserSession.secret_hash == session.secret_hash,
                UserSession.revoked_at.is_(None),
                secret_hash=_hash(successor),
                replaced_tokens=msgspec.json.encode([*recent, (session.secret_hash, now)]).decode(),
                last_seen_at=now,
            )
            # Read the row again even if another request was faster: the row then contains that request's
            # result.
            await _read_again(db, session)
        if not replaced:
            if not self.is_alive(session, user):
                raise SessionEnded
            successor = self._current_secret(session, user, secret)
        return IssuedSession(session, user, self._token(session.id, successor))

    async def confirm(self, db: AsyncSession, session: UserSession, user: User) -> IssuedSession | None:
        """Record that the user has authenticated again. A session cookie is replaced (ASVS 7.2.4).

        Returns None for a bearer session, which keeps its tokens.

        Raises:
            SessionEnded: the session has ended in the meantime.
        """
        await self.by_id(db, session.id)
        if session.kind == COOKIE:
            return await self.reissue(db, session, user)
        now = clock.now()
        await _change(db, session, authenticated_at=now, last_seen_at=now)
        await _read_again(db, session)
        return None

    async def reissue(self, db: AsyncSession, session: UserSession, user: User) -> IssuedSession:
        """Replace *session* with a new one that has the same absolute limit. The old tokens stop working
        immediately.

        Raises:
            SessionEnded: the session has ended in the meantime.
        """
        # Lock the account before its sessions, as deletion does: the opposite order could deadlock.
        held = select(User.id).where(User.id == user.id).with_for_update(read=True, key_share=True)
        if await db.scalar(held) is None or not await self.revoke(db, session):
            raise SessionEnded
        issued = await self.issue(db, user, kind=session.kind, lacks_factor=session.lacks_factor)
        issued.session.created_at, issued.session.expires_at = session.created_at, session.expires_at
        await db.flush()
        return issued

    async def keep(self, db: AsyncSession, session: UserSession, user: User) -> None:
        """Keep *session* alive after *user*'s password or address has changed.

        Raises:
            SessionEnded: the session has ended in the meantime. The caller must not commit the change.
        """
        is_live = UserSession.revoked_at.is_(None)
        if not await _change(db, session, is_live, password_version=user.password_version):
            raise SessionEnded
        await _read_again(db, session)

    async def lift(self, db: AsyncSession, session: UserSession) -> None:
        """Clear `lacks_factor` in *session*, now that the user has set up a second factor."""
        await _change(db, session, lacks_factor=False)
        await _read_again(db, session)

    # Ending

    async def revoke(self, db: AsyncSession, session: UserSession) -> bool:
        """End a session. Returns False if it was already revoked."""
        return await _change(db, session, UserSession.revoked_at.is_(None), revoked_at=clock.now())

    async def revoke_surplus(self, db: AsyncSession, user: User) -> list[str]:
        """End the least recently used sessions of *user* until there is room for one more. Returns the ids of
        the ended sessions.

        The caller must have locked the account.
        """
        last_used_first = (
            select(UserSession.id)
            .where(*self._alive(user))
            .order_by(UserSession.last_seen_at.desc(), UserSession.created_at.desc(), UserSession.id)
        )
        surplus = last_used_first.offset(self.limits.most - 1)
        ended = await db.scalars(
            update(UserSession)
            .where(UserSession.id.in_(surplus), UserSession.revoked_at.is_(None))
            .values(revoked_at=clock.now())
            .returning(UserSession.id)
            .execution_options(synchronize_session=False)
        )
        return sorted(ended)

    async def revoke_all(
        self, db: AsyncSession, user_id: str | None = None, *, except_session: UserSession | None = None
    ) -> int:
        """End every session of a user, or of all users, except *except_session*. Returns the number of
        sessions ended."""
        conditions: list[ColumnElement[bool]] = [UserSession.revoked_at.is_(None)]
        if user_id is not None:
            # The lock waits for running `reissue` calls and blocks new ones.
            await db.execute(select(User.id).where(User.id == user_id).with_for_update())
            conditions.append(UserSession.user_id == user_id)
        if except_session is not None:
            conditions.append(UserSession.id != except_session.id)
        ended = await db.execute(
            update(UserSession)
            .where(*conditions)
            .values(revoked_at=clock.now())
            .returning(UserSession.id)
            .execution_options(synchronize_session=False)
        )
        return len(ended.all())

    async def remove_expired(self, db: AsyncSession) -> int:
        """Delete a batch of sessions that are past their limits. Returns the number deleted.

        Even a revoked session is kept until it reaches one of its limits.
        """
        now, deleted = clock.now(), 0
        # Check one limit at a time, because each column has its own index.
        for column, limit in (
            (UserSession.expires_at, now),
            (UserSession.last_seen_at, now - self.limits.idle),
        ):
            deleted += await delete_batch(db, UserSession, column <= limit, column)
        return deleted

    # Secrets

    def resealed(self, token: str) -> str | None:
        """*token* with its checksum recomputed with SECRET_KEY, or None if the checksum is current."""
        current = self._token(*self._parts(token))
        return None if hmac.compare_digest(token.encode(), current.encode()) else current

    def _token(self, session_id: str, secret: bytes) -> str:
        sealed = secret + self._keys.mac(_sealed(session_id, secret), _CHECKSUM_BYTES)
        return f"{session_id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def _parts(self, token: str) -> tuple[str, bytes]:
        session_id, _, text = token.partition(".")
        try:
            sealed = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise SessionEnded from None
        secret, checksum = sealed[:_SECRET_BYTES], sealed[_SECRET_BYTES:]
        if not self._keys.has_made(checksum, _sealed(session_id, secret), _CHECKSUM_BYTES):
            raise SessionEnded
        return session_id, secret

    def _next_secrets(self, secret: bytes) -> list[bytes]:
        """The successor of *secret*, and the successors that earlier keys would have produced.

        The successor is derived from *secret*, so that a second request gets the same successor.
        """
        return self._keys.macs(b"successor:" + secret)

    def _replaced_within_grace(self, session: UserSession) -> list[tuple[str, datetime]]:
        now = clock.now()
        return [each for each in _spent(session) if now < each[1] + self.limits.grace]

    def _current_secret(self, session: UserSession, user: User, secret: bytes) -> bytes:
        """The current secret, derived from *secret*. Raises `SessionReused` unless *secret* was replaced
        within the grace period."""
        times = dict(_spent(session))
        replaced_at = times.get(_hash(secret))
        if replaced_at is None or clock.now() >= replaced_at + self.limits.grace:
            raise SessionReused(session, user)
        for _ in times:
            successors = self._next_secrets(secret)
            for each in successors:
                if hmac.compare_digest(_hash(each), session.secret_hash):
                    return each
            # Without fallback keys, there is only one successor.
            secret = next((each for each in successors if _hash(each) in times), successors[0])
        raise SessionReused(session, user)


def _sealed(session_id: str, secret: bytes) -> bytes:
    """The data that a token's checksum covers."""
    return b"seal:" + session_id.encode("utf-8", "replace") + secret


def _hash(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def _spent(session: UserSession) -> list[tuple[str, datetime]]:
    return msgspec.json.decode(session.replaced_tokens, type=list[tuple[str, datetime]])


async def _read_again(db: AsyncSession, session: UserSession) -> None:
    if await db.get(UserSession, session.id, populate_existing=True) is None:
        raise SessionEnded


async def _change(
    db: AsyncSession, session: UserSession, *conditions: ColumnElement[bool], **values: object
) -> bool:
    """Update the row if it still meets *conditions*. Only one of several simultaneous callers succeeds."""
    changed = await db.execute(
        update(UserSession)
        .where(UserSession.id == session.id, *conditions)
        .values(**values)
        .returning(UserSession.id)
        .execution_options(synchronize_session=False)
    )
    return changed.scalar_one_or_none() is not None

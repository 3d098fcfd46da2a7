"""The tables of accounts and sessions. Add your own columns at the seam; the others keep names and types."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import Boolean, ForeignKey, Integer, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base

# Your own imports go below; template updates never touch them.
# isort: split

SECRET = {"secret": True}  # nosec B105 - a mark on columns, not a secret
"""`mapped_column(..., info=SECRET)`: the column is left out of what people may export of themselves."""


class User(Base):
    """An account. The first columns are those of hawkapi-users 0.2, so its data fits."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    email: Mapped[str] = mapped_column(String(320), unique=True, index=True)
    """Always as `normalize_email` returns it; the unique index is what decides a race."""
    hashed_password: Mapped[str] = mapped_column(String(255), info=SECRET)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    is_verified: Mapped[bool] = mapped_column(Boolean, default=False)
    is_superuser: Mapped[bool] = mapped_column(Boolean, default=False)
    password_version: Mapped[int] = mapped_column(Integer, default=0)
    """Goes up with every new password or address and whenever the account is shut, and ends every token and
    every session that was made before."""
    failed_logins: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """Wrong passwords in a row from browsers that the account was not used with. A login or a new password
    sets it back to 0."""
    must_reset_password: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    """Set by an administrator: the password logs in nowhere until a mailed link has set a new one."""
    pending_email: Mapped[str | None] = mapped_column(String(320), default=None)
    """The address that the account is to have; of no use for anything until its link was used."""
    delete_after: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the account is deleted for good. Logging in before takes the deletion back."""
    created_at: Mapped[datetime] = mapped_column(
        UTCDateTime, default=lambda: clock.now(), server_default=func.current_timestamp()
    )
    updated_at: Mapped[datetime] = mapped_column(
        UTCDateTime,
        default=lambda: clock.now(),
        onupdate=lambda: clock.now(),
        server_default=func.current_timestamp(),
    )

    # Your own columns go below; template updates never touch them.


class UserSession(Base):
    """A login that lasts. What keeps it alive, and what ends it: `app/users/sessions.py`."""

    __tablename__ = "user_sessions"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    """Public: shown in lists, and in access tokens as `sid`."""
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    """`bearer` or `cookie`: what the secret is accepted as."""
    secret_hash: Mapped[str] = mapped_column(String(64), info=SECRET)
    """SHA-256 of the secret, which the client alone has (ASVS 7.2.3)."""
    replaced_tokens: Mapped[str] = mapped_column(Text, default="[]", info=SECRET)
    """Hashes of the refresh tokens that were replaced a moment ago, each with its time, as JSON."""
    password_version: Mapped[int] = mapped_column(Integer)
    """The user's when the session began. Another one since then has ended it."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    authenticated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """When the password was last given."""
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """The absolute limit, which nothing moves."""
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    ip_address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(512))

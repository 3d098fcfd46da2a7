"""The tables for accounts and sessions. Add your own columns where a comment says so. Keep the names and
types of the other columns."""

from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app import clock
from app.clock import UTCDateTime
from app.database import Base

# Your own imports go below; template updates never touch them.
# isort: split

SECRET = {"secret": True}  # nosec B105 - a marker for columns, not a secret
"""`mapped_column(..., info=SECRET)` leaves the column out of a user's data export."""


TEMPLATE_COLUMNS = frozenset(
    {
        "id",
        "email",
        "hashed_password",
        "is_active",
        "is_verified",
        "is_superuser",
        "password_version",
        "failed_logins",
        "must_reset_password",
        "pending_email",
        "delete_after",
        "created_at",
        "updated_at",
    }
)
"""The columns of `User` that only the manager may change."""


class User(Base):
    """An account. The first columns match hawkapi-users 0.2, so that you can import data from it."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    email: Mapped[str] = mapped_column(String(320), unique=True, index=True)
    """Always normalized by `normalize_email`. The unique index resolves races."""
    hashed_password: Mapped[str] = mapped_column(String(255), info=SECRET)
    is_active: Mapped[bool] = mapped_column(Boolean, default=True)
    is_verified: Mapped[bool] = mapped_column(Boolean, default=False)
    is_superuser: Mapped[bool] = mapped_column(Boolean, default=False)
    password_version: Mapped[int] = mapped_column(Integer, default=0)
    """Increases when, for example, the password or the e-mail address changes or the account is disabled.
    Each increase invalidates all earlier tokens and sessions."""
    failed_logins: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    """The number of consecutive wrong passwords from unknown browsers. Reset by a login or new password."""
    must_reset_password: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    """Set by an administrator. The password is rejected until the owner sets a new one with an
    e-mailed link."""
    pending_email: Mapped[str | None] = mapped_column(String(320), default=None)
    """The requested new address. It takes effect when the e-mailed link is used."""
    language: Mapped[str | None] = mapped_column(String(35), default=None)
    """The language code for pages, errors and e-mails. None means the language of each request."""
    delete_after: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the account will be permanently deleted. Logging in before then cancels the deletion."""
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


def _index_for(name: str, *columns: Any, where: Any) -> None:
    """A small index that covers only the accounts that match *where*."""
    Index(name, *columns, postgresql_where=where, sqlite_where=where)


# These indexes are outside the class, so that your own `__table_args__` do not replace them. The account list
# uses the first one. `_index_for` is for values that few accounts have. Without an index, finding these few
# among a million accounts would take seconds.
Index(None, User.created_at, User.id)
_index_for("ix_users_superusers", User.created_at, User.id, where=User.is_superuser.is_(True))
_index_for("ix_users_disabled", User.created_at, User.id, where=User.is_active.is_(False))
_index_for("ix_users_unverified", User.created_at, User.id, where=User.is_verified.is_(False))
_index_for("ix_users_must_reset_password", User.created_at, User.id, where=User.must_reset_password.is_(True))
_index_for("ix_users_to_be_deleted", User.delete_after, User.id, where=User.delete_after.is_not(None))


class UserSession(Base):
    """A session. `app/users/sessions.py` defines how long a session lasts and what ends it."""

    __tablename__ = "user_sessions"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    """The id is public: it appears in lists and, as `sid`, in access tokens."""
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    """`bearer` or `cookie`: how the client must send the secret."""
    secret_hash: Mapped[str] = mapped_column(String(64), info=SECRET)
    """SHA-256 of the secret. Only the client has the secret itself (ASVS 7.2.3)."""
    replaced_tokens: Mapped[str] = mapped_column(Text, default="[]", info=SECRET)
    """The hashes of recently replaced refresh tokens, with the time each was replaced, as JSON."""
    password_version: Mapped[int] = mapped_column(Integer)
    """The user's `password_version` when the session started. The session ends when the version changes."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    authenticated_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """When the user last authenticated."""
    last_seen_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    """The absolute limit, which never changes."""
    lacks_factor: Mapped[bool] = mapped_column(Boolean, default=False, server_default="0")
    """True if the account required a second factor but had none when the session started. The session can
    then be used only to set one up."""
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    ip_address: Mapped[str] = mapped_column(String(45))
    user_agent: Mapped[str] = mapped_column(String(512))
    # Your own session columns go below; template updates never touch them.

"""The tables for pending logins and recovery codes."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.clock import UTCDateTime
from app.database import Base
from app.users.models import SECRET


class PendingLogin(Base):
    """A login that still needs a second factor. It expires after five minutes."""

    __tablename__ = "pending_logins"

    ticket_hash: Mapped[str] = mapped_column(String(64), primary_key=True, info=SECRET)
    """SHA-256 of the ticket. Only the client has the ticket."""
    key_hash: Mapped[str] = mapped_column(String(64), info=SECRET)
    """SHA-256 of the key in the cookie of the browser that started the login."""
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    password_version: Mapped[int] = mapped_column(Integer)
    """The user's `password_version` when the password was entered. A password change cancels the login."""
    kind: Mapped[str] = mapped_column(String(8))
    """The kind of session to start: `bearer` or `cookie`."""
    remember: Mapped[bool] = mapped_column(Boolean)
    user_agent: Mapped[str] = mapped_column(String(512))
    tries: Mapped[int] = mapped_column(Integer, default=0)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


class RecoveryCode(Base):
    """A single-use code that stands in for a lost second factor."""

    __tablename__ = "recovery_codes"

    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True, info=SECRET)
    """SHA-256 of the code. Because codes have 121 bits, no slow hash is needed (ASVS 6.5.2)."""
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

"""The table for login code requests."""

from datetime import datetime

from sqlalchemy import ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from app.clock import UTCDateTime
from app.database import Base
from app.users.models import SECRET


class LoginCode(Base):
    """A request for a code. If the address has no account, no code was sent."""

    __tablename__ = "login_codes"

    request_hash: Mapped[str] = mapped_column(String(64), primary_key=True, info=SECRET)
    """SHA-256 of the request's id. Only the client has the id."""
    key_hash: Mapped[str] = mapped_column(String(64), info=SECRET)
    """SHA-256 of the key in the requesting browser's cookie."""
    code_mac: Mapped[str] = mapped_column(String(64), info=SECRET)
    """HMAC of the id and the code. Without SECRET_KEY, the database does not help anyone guess the code."""
    address_mac: Mapped[str] = mapped_column(String(64), info=SECRET)
    """HMAC of the address in the request. Wrong codes are counted per address, even without an account."""
    user_id: Mapped[str | None] = mapped_column(
        String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    """The account that the code logs in to. None if no code was sent, or if newer requests invalidated this
    one.
    """
    password_version: Mapped[int] = mapped_column(Integer)
    """The user's `password_version` when the code was requested. A new password or address invalidates the
    request."""
    user_agent: Mapped[str] = mapped_column(String(512))
    tries: Mapped[int] = mapped_column(Integer, default=0)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)

"""The table for authenticator apps."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.clock import UTCDateTime
from app.database import Base
from app.keys import sealed_for
from app.users.models import SECRET

PURPOSE = "totp"
"""The purpose of the key that encrypts the secrets."""


class TotpSecret(Base):
    """The secret that an account shares with its authenticator app. An account has at most one."""

    __tablename__ = "totp_secrets"

    user_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    sealed_secret: Mapped[str] = mapped_column(String(255), info=SECRET | sealed_for(PURPOSE))
    """Encrypted with a key derived from SECRET_KEY."""
    last_step: Mapped[int] = mapped_column(BigInteger, default=0)
    """The time step of the last accepted code. Only codes from later steps are accepted."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    """When the login that generated the secret began. No other login can confirm the secret."""
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)
    """When the owner entered the first correct code. Until then, logins do not ask for one."""

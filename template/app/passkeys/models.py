"""The passkey tables."""

from datetime import datetime
from uuid import uuid4

from sqlalchemy import BigInteger, Boolean, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.clock import UTCDateTime
from app.database import Base
from app.users.models import SECRET


class Passkey(Base):
    """The public half of a passkey (WebAuthn level 3, section 4: credential record)."""

    __tablename__ = "passkeys"

    id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid4()))
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"), index=True)
    credential_id: Mapped[str] = mapped_column(String(1364), unique=True)
    """Up to 1,023 bytes, encoded as base64url."""
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    """In COSE format."""
    name: Mapped[str] = mapped_column(String(64))
    authenticator: Mapped[str] = mapped_column(String(36))
    """The AAGUID, which identifies the authenticator's model. All zeros if unknown."""
    transports: Mapped[str] = mapped_column(String(200), default="[]")
    """JSON: how browsers reach the authenticator, such as `["internal"]`."""
    verifies_user: Mapped[bool] = mapped_column(Boolean)
    """Whether the passkey verified its user with a PIN or a fingerprint when it was added."""
    can_be_backed_up: Mapped[bool] = mapped_column(Boolean)
    """Whether the passkey can be copied to other devices. This never changes."""
    is_backed_up: Mapped[bool] = mapped_column(Boolean)
    sign_count: Mapped[int] = mapped_column(BigInteger)
    """How many times the passkey has been used, according to the authenticator. Many authenticators always
    report 0."""
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_used_at: Mapped[datetime | None] = mapped_column(UTCDateTime, default=None)


class PasskeyHandle(Base):
    """The id by which authenticators know the account: random bytes that reveal nothing about its owner
    (WebAuthn level 3, section 14.6.1)."""

    __tablename__ = "passkey_handles"

    user_id: Mapped[str] = mapped_column(
        String(36), ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    handle: Mapped[str] = mapped_column(String(86), unique=True)
    """64 bytes, encoded as base64url."""


class PasskeyChallenge(Base):
    """A challenge that an authenticator signs. It works only once."""

    __tablename__ = "passkey_challenges"

    challenge_hash: Mapped[str] = mapped_column(String(64), primary_key=True, info=SECRET)
    """SHA-256 of the challenge."""
    ceremony: Mapped[str] = mapped_column(String(16))
    """The kind of ceremony. The challenge does not work for any other kind."""
    holder_hash: Mapped[str] = mapped_column(String(64), info=SECRET)
    """SHA-256 of the challenge's holder: a session, a ticket or a key in a cookie."""
    user_agent: Mapped[str] = mapped_column(String(512))
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)

"""The tokens in e-mailed links: 83 characters, signed, and valid for one purpose.

A token is `mt_`, followed by the base64url encoding of a packed struct and its HMAC-SHA-256 (truncated to 128
bits). The struct contains the id of the account or invitation, the user's `password_version` and a digest of
the address that the token is sent to, so a new password or address invalidates the token. Each purpose has
its own key. You may change the lifetimes (in the settings), but keep the checks.
"""

import base64
import hashlib
import hmac
import secrets
import struct
from dataclasses import dataclass
from uuid import UUID

from app import clock
from app.keys import KeyRing
from app.users.exceptions import TokenError

PREFIX = "mt_"
"""Makes tokens recognizable, so that `app/redaction.py` can keep them out of logs."""

_CLAIMS = struct.Struct(">?II3s16s")
"""The fields of a token: whether the subject is a UUID, the expiry (Unix time), the password version, random
bytes, and a digest of the address."""
_MAC_SIZE = 16
_NO_ADDRESS = bytes(16)


@dataclass(frozen=True, slots=True)
class _Claims:
    subject: str
    password_version: int
    address: bytes


class MailTokens:
    """Issues and checks tokens for one purpose."""

    def __init__(self, *, keys: KeyRing, audience: str, lifetime: int) -> None:
        """*audience*: the purpose of the tokens. *lifetime*: how long they are valid, in seconds."""
        self._keys = keys
        self._audience = audience.encode()
        self._lifetime = lifetime

    def issue(self, subject: str, *, password_version: int = 0, email: str | None = None) -> str:
        """A token for *subject*, the id of an account or invitation. *email*: the recipient's address."""
        expires = int(clock.now().timestamp()) + self._lifetime
        is_uuid, packed = _packed(subject)
        # The random bytes only make each token different. They add no security.
        claims = _CLAIMS.pack(
            is_uuid, expires, password_version, secrets.token_bytes(3), _digest_or_nothing(email)
        )
        signed = claims + packed
        mac = self._keys.mac(self._message(signed), _MAC_SIZE)
        return PREFIX + base64.urlsafe_b64encode(signed + mac).decode().rstrip("=")

    def peek(self, token: str) -> str:
        """The subject of a token with a valid signature, purpose and lifetime. Nothing else is checked.

        Raises:
            TokenError: the token is malformed, forged, expired, or for another purpose.
        """
        return self._checked(token).subject

    def verify(self, token: str, *, password_version: int, email: str | None) -> str:
        """The subject of a token that is valid for this password version and address.

        Raises:
            TokenError: as in `peek`, or the password version has changed, or the token was sent to another
            address.
        """
        claims = self._checked(token)
        if claims.password_version != password_version:
            raise TokenError("token password_version mismatch")
        if email is not None and not hmac.compare_digest(claims.address, _digest(email)):
            raise TokenError("token was sent to another address")
        return claims.subject

    def _checked(self, token: str) -> _Claims:
        content = _decoded(token)
        signed, mac = content[:-_MAC_SIZE], content[-_MAC_SIZE:]
        if not self._keys.has_made(mac, self._message(signed), _MAC_SIZE):
            raise TokenError("token signature mismatch")
        is_uuid, expires, password_version, _, address = _CLAIMS.unpack_from(signed)
        if expires <= clock.now().timestamp():
            raise TokenError("token expired")
        packed = signed[_CLAIMS.size :]
        subject = str(UUID(bytes=packed)) if is_uuid else packed.decode()
        return _Claims(subject, password_version, address)

    def _message(self, signed: bytes) -> bytes:
        # A NUL terminates the audience, so no other pair of audience and content produces the same bytes.
        return self._audience + b"\0" + signed


def _decoded(token: str) -> bytes:
    text = token.removeprefix(PREFIX)
    try:
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise TokenError("token is malformed") from None
    if not token.startswith(PREFIX) or len(content) <= _CLAIMS.size + _MAC_SIZE:
        raise TokenError("token is malformed")
    return content


def _packed(subject: str) -> tuple[bool, bytes]:
    """*subject* as bytes. A UUID takes 16 bytes instead of 36."""
    try:
        uuid = UUID(subject)
    except ValueError:
        return False, subject.encode()
    return (True, uuid.bytes) if str(uuid) == subject else (False, subject.encode())


def _digest_or_nothing(email: str | None) -> bytes:
    return _NO_ADDRESS if email is None else _digest(email)


def _digest(email: str) -> bytes:
    """A digest of *email*. Tokens contain the digest instead of the address, because links end up in
    logs and browser histories."""
    return hashlib.sha256(email.encode()).digest()[:16]

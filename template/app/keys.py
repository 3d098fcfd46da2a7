"""The application's keys. Each purpose has its own key, derived from SECRET_KEY. Template-owned.

New values always use SECRET_KEY. Values that were signed or encrypted with a secret in SECRET_KEY_FALLBACKS
are still accepted. To sign or encrypt your own data, choose your own purpose and list it in SECURITY.md:

    PURPOSE = "downloads"
    keys = KeyRing.of(settings, PURPOSE)

Mark each column that stores the output of `encrypt` so that `app db reseal` finds it:

    content: Mapped[str] = mapped_column(Text, info=SECRET | sealed_for(PURPOSE))
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet, InvalidToken

if TYPE_CHECKING:
    from app.settings import Settings

SEALED = "sealed"
"""The key in `Column.info` under which an encrypted column's purpose is stored."""


def derived_key(secret: str, purpose: str) -> str:
    """A key for one purpose. It is derived with HMAC, so no key reveals another."""
    return hmac.new(secret.encode(), f"user-tokens:{purpose}".encode(), hashlib.sha256).hexdigest()


def sealed_for(purpose: str) -> dict[str, str]:
    """Mark a column as encrypted with the keys for *purpose*."""
    return {SEALED: purpose}


class CannotDecrypt(ValueError):
    """No key can decrypt the value: it was changed, or the secret that encrypted it has been removed."""


class KeyRing:
    """The keys for one purpose: one from SECRET_KEY and, for existing values only, one from each fallback."""

    def __init__(self, secret: str, purpose: str, fallbacks: Sequence[str] = ()) -> None:
        self.keys = tuple(derived_key(each, purpose) for each in (secret, *fallbacks))
        """The keys as hexadecimal digits, with the key from SECRET_KEY first."""
        self._bytes = tuple(each.encode() for each in self.keys)

    @classmethod
    def of(cls, settings: "Settings", purpose: str) -> "KeyRing":
        """The keys for *purpose* in an application with *settings*."""
        fallbacks = [each.get_secret_value() for each in settings.secret_key_fallbacks]
        return cls(settings.secret_key.get_secret_value(), purpose, fallbacks)

    # Signing

    def mac(self, message: bytes, size: int = 32) -> bytes:
        """The HMAC-SHA-256 of *message* with the key from SECRET_KEY, truncated to *size* bytes."""
        return hmac.digest(self._bytes[0], message, "sha256")[:size]

    def macs(self, message: bytes, size: int = 32) -> list[bytes]:
        """The HMAC of *message* with each key, starting with the one from SECRET_KEY."""
        return [hmac.digest(each, message, "sha256")[:size] for each in self._bytes]

    def has_made(self, mac: bytes, message: bytes, size: int = 32) -> bool:
        """Whether one of the keys produced *mac* from *message*. Compares in constant time (CWE-208)."""
        return any(hmac.compare_digest(mac, each) for each in self.macs(message, size))

    # Encrypting

    def encrypt(self, text: str) -> str:
        """*text*, encrypted and authenticated with the key from SECRET_KEY (Fernet)."""
        return self._ciphers[0].encrypt(text.encode()).decode("ascii")

    def decrypt(self, sealed: str) -> str:
        """The decrypted text.

        Raises:
            CannotDecrypt: no key can decrypt *sealed*.
        """
        for cipher in self._ciphers:
            with suppress(InvalidToken):
                return cipher.decrypt(sealed.encode()).decode()
        raise CannotDecrypt

    def is_current(self, sealed: str) -> bool:
        """Whether the key from SECRET_KEY, rather than a fallback, decrypts *sealed*."""
        with suppress(InvalidToken):
            self._ciphers[0].decrypt(sealed.encode())
            return True
        return False

    @cached_property
    def _ciphers(self) -> list[Fernet]:
        return [Fernet(base64.urlsafe_b64encode(bytes.fromhex(each))) for each in self.keys]

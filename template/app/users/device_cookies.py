"""Device cookies mark known browsers, so that strangers' wrong passwords do not lock the owner out.

They follow OWASP's "Slow Down Online Guessing Attacks with Device Cookies". A browser gets its cookie on
registration, login and setting a new password. The cookie does not log anyone in. Each browser has its own
count of wrong passwords (`rate_limits.py`), so a stolen cookie does not bypass the limits.
"""

import base64
import hmac
import secrets
from datetime import timedelta

from app import clock
from app.users.tokens import derived_key

LIFETIME = timedelta(days=400)
"""How long a browser stays known after a login. Browsers do not keep cookies longer (RFC 6265bis, section
5.5)."""
MAX_ACCOUNTS = 5
"""Maximum accounts that a browser can be known for. The oldest is dropped first."""
_NONCE_BYTES = 16
_MAC_BYTES = 16
_MAC_LENGTH = 22
_TIME_LENGTH = 8


class DeviceCookies:
    """Creates and reads the cookie: the browser's id, a seal, and a mark for each account.

    A mark names the account and the second in which it was made. It authenticates both, together with the
    account's `password_version`. It expires after `LIFETIME`, or when the password changes. So an attacker
    who once logged in is a stranger again once the owner sets a new password.
    """

    def __init__(self, secret: str) -> None:
        """*secret*: SECRET_KEY. A new key makes every browser unknown."""
        self._key = derived_key(secret, "device").encode()

    def is_ours(self, cookie: str) -> bool:
        """Whether *cookie* was issued here, for any account."""
        browser, *rest = cookie.split(".")
        return bool(rest) and _equal(rest[0], self._mac("seal", browser))

    def id_for(self, cookie: str, user_id: str, password_version: int) -> str:
        """The id of the browser if it is known for the account, else an empty string."""
        if not self.is_ours(cookie):
            return ""
        browser, _, *marks = cookie.split(".")
        account = self._mac("account", browser, user_id)
        is_known = any(
            _equal(mark[:_MAC_LENGTH], account) and self._is_current(mark, browser, password_version)
            for mark in marks
        )
        return browser if is_known else ""

    def remember(self, cookie: str, user_id: str, password_version: int) -> str:
        """A cookie that makes the browser known for the account, and for the accounts of *cookie*."""
        if self.is_ours(cookie):
            browser, _, *marks = cookie.split(".")
        else:
            browser, marks = _text(secrets.token_bytes(_NONCE_BYTES)), []
        account = self._mac("account", browser, user_id)
        made_at = f"{int(clock.now().timestamp()):0{_TIME_LENGTH}x}"
        mark = account + made_at + self._proof(account, made_at, browser, password_version)
        others = [each for each in marks if not each.startswith(account)]
        return ".".join([browser, self._mac("seal", browser), mark, *others[: MAX_ACCOUNTS - 1]])

    def _is_current(self, mark: str, browser: str, password_version: int) -> bool:
        account, rest = mark[:_MAC_LENGTH], mark[_MAC_LENGTH:]
        made_at, proof = rest[:_TIME_LENGTH], rest[_TIME_LENGTH:]
        if not _equal(proof, self._proof(account, made_at, browser, password_version)):
            return False
        return clock.now().timestamp() < int(made_at, 16) + LIFETIME.total_seconds()

    def _proof(self, account: str, made_at: str, browser: str, password_version: int) -> str:
        return self._mac("known", browser, account, made_at, str(password_version))

    def _mac(self, *parts: str) -> str:
        message = ":".join(parts).encode("utf-8", "replace")
        return _text(hmac.digest(self._key, message, "sha256")[:_MAC_BYTES])


def _equal(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")

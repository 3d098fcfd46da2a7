"""Device cookies mark known browsers, so that strangers' wrong passwords do not lock the owner out.

The design follows OWASP's "Slow Down Online Guessing Attacks with Device Cookies". A browser gets its cookie
when its user registers, logs in or sets a new password. The cookie does not log anyone in. Each browser has
its own count of wrong passwords (`rate_limits.py`), so a stolen cookie does not bypass the limits.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import timedelta

from app import clock
from app.keys import KeyRing

LIFETIME = timedelta(days=400)
"""How long a browser stays known after a login. Browsers limit a cookie's lifetime to this (RFC 6265bis,
section 5.5)."""
MAX_ACCOUNTS = 5
"""Maximum number of accounts for which a browser can be known. The least recently used account is
dropped first."""
_NONCE_BYTES = 16
_MAC_BYTES = 16
_MAC_LENGTH = 22
_TIME_LENGTH = 8
_MARK_LENGTH = 2 * _MAC_LENGTH + _TIME_LENGTH
_CHARACTERS = re.compile(r"[A-Za-z0-9_-]+")


class DeviceCookies:
    """Creates and reads the cookie, which contains the browser's id, a seal, and a mark for each account.

    A mark contains a MAC of the account's id, the time the mark was made (in seconds), and a MAC of those two
    values plus the account's `password_version`. Both MACs also cover the browser's id. A mark expires after
    `LIFETIME`, or when the password changes. So after the owner sets a new password, an attacker's browser is
    no longer known, even if it once logged in.
    """

    def __init__(self, keys: KeyRing) -> None:
        """*keys*: a cookie made with any other key is ignored, so its browser counts as unknown."""
        self._keys = keys

    def is_ours(self, cookie: str) -> bool:
        """Whether this application issued *cookie*, for any account."""
        browser, *rest = cookie.split(".")
        return bool(rest) and self._has_made(rest[0], "seal", browser)

    def id_for(self, cookie: str, user_id: str, password_version: int) -> str:
        """The browser's id if the browser is known for the account; otherwise, an empty string."""
        if not self.is_ours(cookie):
            return ""
        browser, _, *marks = cookie.split(".")
        is_known = any(
            self._is_of(mark, browser, user_id) and self._is_current(mark, browser, password_version)
            for mark in marks
        )
        return browser if is_known else ""

    def remember(self, cookie: str, user_id: str, password_version: int) -> str:
        """A cookie that marks the browser as known for this account and for the accounts in *cookie*."""
        if self.is_ours(cookie):
            browser, _, *marks = cookie.split(".")
        else:
            browser, marks = _text(secrets.token_bytes(_NONCE_BYTES)), []
        account = self._mac("account", browser, user_id)
        made_at = f"{int(clock.now().timestamp()):0{_TIME_LENGTH}x}"
        mark = account + made_at + self._mac(*_known(account, made_at, browser, password_version))
        # The seal covers only the browser's id, so the rest could contain anything.
        possible = [each for each in marks if len(each) == _MARK_LENGTH and _CHARACTERS.fullmatch(each)]
        others = [each for each in possible if not self._is_of(each, browser, user_id)]
        return ".".join([browser, self._mac("seal", browser), mark, *others[: MAX_ACCOUNTS - 1]])

    def _is_current(self, mark: str, browser: str, password_version: int) -> bool:
        account, rest = mark[:_MAC_LENGTH], mark[_MAC_LENGTH:]
        made_at, proof = rest[:_TIME_LENGTH], rest[_TIME_LENGTH:]
        if not self._has_made(proof, *_known(account, made_at, browser, password_version)):
            return False
        return clock.now().timestamp() < int(made_at, 16) + LIFETIME.total_seconds()

    def _is_of(self, mark: str, browser: str, user_id: str) -> bool:
        return self._has_made(mark[:_MAC_LENGTH], "account", browser, user_id)

    def _mac(self, *parts: str) -> str:
        return _text(self._keys.mac(_message(parts), _MAC_BYTES))

    def _has_made(self, mac: str, *parts: str) -> bool:
        """Whether this application made *mac*, possibly with an earlier secret."""
        given = mac.encode("utf-8", "replace")
        macs = self._keys.macs(_message(parts), _MAC_BYTES)
        return any(hmac.compare_digest(given, _text(each).encode()) for each in macs)


def _known(account: str, made_at: str, browser: str, password_version: int) -> tuple[str, ...]:
    """The data that the MAC at the end of a mark authenticates."""
    return "known", browser, account, made_at, str(password_version)


def _message(parts: Iterable[str]) -> bytes:
    return ":".join(parts).encode("utf-8", "replace")


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")

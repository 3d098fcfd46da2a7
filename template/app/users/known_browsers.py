"""Browsers that an account was used with: a stranger's wrong passwords shut strangers out, and not its owner.

After OWASP's "Slow Down Online Guessing Attacks with Device Cookies". Whoever registers, logs in or sets a
new password gets a cookie that shows, from then on, that this browser has done so. It logs nobody in. Each
browser has a count of wrong passwords of its own (`limits.py`), so that a stolen cookie is no way round them.
"""

import base64
import hmac
import secrets

from app.users.tokens import derived_key

MOST_ACCOUNTS = 5
"""Accounts that a browser is known for; the oldest goes."""
_NONCE_BYTES = 16
_MAC_BYTES = 16


class KnownBrowsers:
    """Makes and reads the value of the cookie: the browser's id, a seal, and a mark for each account."""

    def __init__(self, secret: str) -> None:
        """*secret*: SECRET_KEY. A new one makes every browser unknown."""
        self._key = derived_key(secret, "browser").encode()

    def is_ours(self, cookie: str) -> bool:
        """Whether *cookie* was made here, for whatever account."""
        browser, *rest = cookie.split(".")
        return bool(rest) and hmac.compare_digest(rest[0].encode(), self._mark("seal", browser).encode())

    def id_for(self, cookie: str, user_id: str) -> str:
        """The id of the browser, if it is known for the account; empty otherwise."""
        if not self.is_ours(cookie):
            return ""
        browser, _, *marks = cookie.split(".")
        mark = self._mark(user_id, browser).encode()
        return browser if any(hmac.compare_digest(each.encode(), mark) for each in marks) else ""

    def remember(self, cookie: str, user_id: str) -> str:
        """The cookie of a browser that is known for the account from now on, and for those of *cookie*."""
        if self.is_ours(cookie):
            browser, _, *marks = cookie.split(".")
        else:
            browser, marks = _text(secrets.token_bytes(_NONCE_BYTES)), []
        mark = self._mark(user_id, browser)
        kept = [each for each in marks if each != mark][: MOST_ACCOUNTS - 1]
        return ".".join([browser, self._mark("seal", browser), mark, *kept])

    def _mark(self, subject: str, browser: str) -> str:
        message = f"{subject}:{browser}".encode("utf-8", "replace")
        return _text(hmac.digest(self._key, message, "sha256")[:_MAC_BYTES])


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")

"""Whether a new password is known from a data breach, asked of a server without telling it the password.

The server speaks the range protocol of Have I Been Pwned (https://haveibeenpwned.com/API/v3#PwnedPasswords):
it gets the first 5 of the 40 digits of a SHA-1 and answers with the rest of every hash that begins so.
PASSWORD_BREACH_URL turns the check on (ASVS 6.2.12). Whatever goes wrong, the password passes: a new password
matters more than this check, and the other rules have held already.
"""

import asyncio
import hashlib
import logging
import re
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

logger = logging.getLogger("app.users")

MAX_ANSWER = 1_000_000
"""Bytes. A range of Have I Been Pwned has about 40,000."""

_LINE = re.compile(rb"([0-9A-F]{35}):(\d{1,18})", re.IGNORECASE)


class UnusableAnswer(Exception):
    """The server answered something else than a range; the text holds nothing of the question."""


class BreachCheck:
    """Asks the server whose ranges are under *url*; gives up after *timeout* seconds.

    A proxy that the environment names (HTTPS_PROXY) is used: where there is one there is often no other way.
    """

    def __init__(
        self, url: str, *, timeout: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = httpx.URL(url.rstrip("/") + "/")
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            # Padding hides from whoever watches the line which range it was. Nothing is to be unpacked: a
            # small answer could become a very large one.
            headers={"Add-Padding": "true", "Accept-Encoding": "identity"},
            # A cookie would tell the server which questions are of one origin.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=timeout,
            follow_redirects=False,
            transport=transport,
        )

    async def knows(self, password: str) -> bool:
        """Whether *password* is in a breach; False, and a line in the log, when that cannot be found out."""
        # No protection hangs on it: SHA-1 is what the protocol counts in.
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._range(digest[:5])
            return _holds(answer, digest[5:].encode())
        except Exception as error:
            # The text of another exception may hold the address that was asked for, and so the digits.
            reason = error if isinstance(error, UnusableAnswer) else type(error).__name__
            logger.warning("a new password passed without the breach check: %s", reason)
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _range(self, prefix: str) -> bytes:
        # httpx logs the URL of every request; the digits are in the target, which it does not log.
        target = self._url.raw_path + prefix.encode()
        async with self._client.stream("GET", self._url, extensions={"target": target}) as response:
            if response.status_code != 200:
                raise UnusableAnswer(f"the server answered {response.status_code}")
            answer = bytearray()
            async for part in response.aiter_raw():
                answer += part
                if len(answer) > MAX_ANSWER:
                    raise UnusableAnswer(f"the answer has more than {MAX_ANSWER} bytes")
            return bytes(answer)


def _holds(answer: bytes, suffix: bytes) -> bool:
    """Whether *answer* has *suffix* with a count. Padding has the count 0."""
    counts: dict[bytes, int] = {}
    for line in answer.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise UnusableAnswer("the answer is no list of hashes and counts")
        counts[match[1].upper()] = int(match[2])
    if not counts:
        raise UnusableAnswer("the answer is empty")
    return counts.get(suffix, 0) > 0

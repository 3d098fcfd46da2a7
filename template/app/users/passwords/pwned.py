"""Check whether a new password appears in a known data breach, without sending the password to the server.

The server speaks the range protocol of Have I Been Pwned (https://haveibeenpwned.com/API/v3#PwnedPasswords):
it receives the first 5 of 40 hex digits of a SHA-1 hash and returns the rest of every hash with this prefix.
PASSWORD_BREACH_URL turns the check on (ASVS 6.2.12). If anything fails, the password passes: setting a new
password matters more than this check, and the password has already passed the other rules.
"""

import asyncio
import hashlib
import logging
import re
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx

logger = logging.getLogger("app.users")

MAX_ANSWER = 1_000_000
"""Maximum size of a response, in bytes. A Have I Been Pwned range has about 40,000 bytes."""

_LINE = re.compile(rb"([0-9A-F]{35}):(\d{1,18})", re.IGNORECASE)


class UnusableAnswer(Exception):
    """The server did not send a valid range. The message contains nothing from the request."""


class BreachCheck:
    """Queries the range server at *url*. Gives up after *timeout* seconds.

    Requests use the proxy in HTTPS_PROXY, which is often the only way to reach the internet.
    """

    def __init__(
        self, url: str, *, timeout: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._url = httpx.URL(url.rstrip("/") + "/")
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            # Padding hides from an observer which range was requested. Compression is off, because a small
            # response could decompress into a very large one.
            headers={"Add-Padding": "true", "Accept-Encoding": "identity"},
            # A cookie would let the server link our requests.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            timeout=timeout,
            follow_redirects=False,
            transport=transport,
        )

    async def knows(self, password: str) -> bool:
        """Whether *password* is in a known breach. If the check fails, returns False and logs a warning."""
        # The protocol requires SHA-1, but security does not depend on it.
        digest = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._range(digest[:5])
            return _holds(answer, digest[5:].encode())
        except Exception as error:
            # The text of other exceptions may contain the URL, and thus the digits of the hash.
            reason = error if isinstance(error, UnusableAnswer) else type(error).__name__
            logger.warning("a new password passed without the breach check: %s", reason)
            return False

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _range(self, prefix: str) -> bytes:
        # httpx logs the URL of every request, but not this target, which contains the digits of the hash.
        target = self._url.raw_path + prefix.encode()
        async with self._client.stream("GET", self._url, extensions={"target": target}) as response:
            if response.status_code != 200:
                raise UnusableAnswer(f"the server returned {response.status_code}")
            answer = bytearray()
            async for part in response.aiter_raw():
                answer += part
                if len(answer) > MAX_ANSWER:
                    raise UnusableAnswer(f"the response has more than {MAX_ANSWER} bytes")
            return bytes(answer)


def _holds(answer: bytes, suffix: bytes) -> bool:
    """Whether *answer* lists *suffix* with a count above 0. Padding lines have a count of 0."""
    counts: dict[bytes, int] = {}
    for line in answer.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise UnusableAnswer("the response is not a list of hashes and counts")
        counts[match[1].upper()] = int(match[2])
    if not counts:
        raise UnusableAnswer("the response is empty")
    return counts.get(suffix, 0) > 0

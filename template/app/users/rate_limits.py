"""The rate limits for the users routes, in one table. You may change the numbers.

`"10/15m"` allows a burst of ten, then one every 90 seconds. If several rates are given, separated by commas,
all of them apply. `app/limits` keeps the counts, in Redis if REDIS_URL is set. SECURITY.md shows this table,
and a test compares the two.
"""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.i18n import N_
from app.limits import Limiter, Rate
from app.users.exceptions import TooManyRequests

logger = logging.getLogger("app.users")


@dataclass(frozen=True)
class Limit:
    """The rates in one row. An empty rate means no limit."""

    ip: str = ""
    """Per IPv4 address or IPv6 /64 network."""
    account: str = ""
    """Per account."""
    ip_and_account: str = ""
    """Per account and IP address."""
    browser: str = ""
    """Per account and known browser or session (`device_cookies.py`)."""
    browsers: str = ""
    """Per account, across all of its known browsers and sessions."""
    mailbox: str = ""
    """Per mailbox that would receive an e-mail, whether or not it has an account (`mailbox_of`)."""


LIMITS = {
    # A route declares its row: `dependencies=[limited_by("export")]`. An IP address over the limit gets
    # 429 before the body is read.
    "register": Limit(ip="20/h", mailbox="5/h"),
    "login": Limit(ip="300/10m"),
    "login_with_cookie": Limit(ip="300/10m"),
    "refresh": Limit(ip="600/10m"),
    "confirm": Limit(ip="60/10m"),
    "change_password": Limit(ip="60/10m"),
    "update_profile": Limit(ip="60/10m"),
    # account: for verified accounts, so that requests for `ada+x@…` do not use up the limit of `ada@…`.
    "request_verify": Limit(ip="20/h", account="5/h", mailbox="5/h"),
    "verify": Limit(ip="60/10m"),
    "request_password_reset": Limit(ip="20/h", account="5/h", mailbox="5/h"),
    "reset_password": Limit(ip="60/10m"),
    "request_email_change": Limit(ip="20/h", account="5/h", mailbox="5/h"),
    "change_email": Limit(ip="60/10m"),
    "accept_invitation": Limit(ip="60/10m"),
    "export": Limit(ip="20/h"),
    # Security notices. account: the limit for each kind of notice to a verified account. mailbox: the limit
    # for all notices to unverified accounts, because anyone can register another person's address.
    "notice": Limit(account="5/h", mailbox="5/h"),
    # Notices about sessions that ended because the account had too many of them (MAX_SESSIONS).
    "session_limit": Limit(mailbox="1/d"),
    # Wrong passwords on all routes count toward the same limits. Correct passwords are not counted.
    # A browser that is known for the account has a separate limit, which strangers cannot use up.
    # The daily limit in ip_and_account keeps a single IP address from using up the account's limit and
    # locking the owner out.
    "wrong_password": Limit(
        ip="30/15m",
        account="10/15m, 100/d",
        ip_and_account="8/15m, 20/d",
        browser="10/15m",
        browsers="20/15m, 100/d",
    ),
    # The maximum number of audit log rows about rejected requests.
    "guessing_blocked": Limit(ip="10/15m", account="1/15m"),
    "link_refused": Limit(ip="1/15m"),
    "cross_site_refused": Limit(ip="1/15m"),
    # Your own rows go below; template updates never touch them.
}

TOO_MANY_GUESSES = N_(
    "Too many wrong passwords. If you have forgotten your password, request a link to set a new one."
)
OF_THE_ACCOUNT = N_("Too many requests for this account.")


type _Bucket = tuple[str, Rate]


class Attempt:
    """A password or second factor that is being checked. It counts as wrong unless `uncount` is called."""

    def __init__(self, limiter: Limiter, buckets: list[_Bucket]) -> None:
        self._limiter = limiter
        self._buckets = buckets

    async def uncount(self) -> None:
        """Remove this attempt from the counts, because it succeeded or could not be checked. Other attempts
        still count."""
        await _refund(self._limiter, self._buckets)


class Limits:
    """Applies a table of limits. A limiter keeps the counts."""

    def __init__(self, limiter: Limiter, table: dict[str, Limit] | None = None) -> None:
        self._limiter = limiter
        self._table = LIMITS if table is None else table

    async def count(self, row: str, *, ip: str = "", account: str = "", mailbox: str = "") -> None:
        """Count one use of *row*. If this raises `TooManyRequests`, nothing was counted."""
        limit = self._table.get(row, Limit())
        buckets = [*_buckets(f"{row}:ip", ip, limit.ip)]
        buckets += _buckets(f"{row}:account", account, limit.account)
        buckets += _buckets(f"{row}:mailbox", mailbox, limit.mailbox)
        if wait := await self._acquire(buckets):
            logger.warning("the rate limit for %s was reached", row)
            raise TooManyRequests(wait) if ip else TooManyRequests(wait, OF_THE_ACCOUNT)

    async def begin(self, row: str, *, account: str) -> "Attempt":
        """Like `count`, but returns an attempt that the caller can uncount if the check succeeds."""
        buckets = _buckets(f"{row}:account", account, self._table.get(row, Limit()).account)
        if wait := await self._acquire(buckets):
            logger.warning("the rate limit for %s was reached", row)
            raise TooManyRequests(wait, OF_THE_ACCOUNT)
        return Attempt(self._limiter, buckets)

    async def allows(self, row: str, *, account: str = "", mailbox: str = "") -> bool:
        """Like `count`, but returns False instead of raising. The caller then does not send the e-mail,
        and the response must not reveal that."""
        try:
            await self.count(row, account=account, mailbox=mailbox)
        except TooManyRequests:
            return False
        return True

    async def may_record(self, event: str, *, ip: str, account: str = "") -> bool:
        """Whether another *event* may be recorded in the audit log. False for events without a row."""
        limit = self._table.get(event)
        if limit is None:
            return False
        buckets = [
            *_buckets(f"{event}:ip", ip, limit.ip),
            *_buckets(f"{event}:account", account, limit.account),
        ]
        return not await self._acquire(buckets)

    async def look_at_passwords(self, ip: str) -> None:
        """Raise `TooManyRequests` if *ip* has reached the wrong-password limit. Does not count anything."""
        limit = self._table.get("wrong_password", Limit())
        for key, rate in _buckets("wrong_password:ip", ip, limit.ip):
            if wait := await self._limiter.peek(key, rate):
                raise TooManyRequests(wait, TOO_MANY_GUESSES)

    async def begin_attempt(self, *, account: str, ip: str, known: str = "") -> Attempt:
        """Count a password as wrong before it is checked, so that simultaneous attempts are all counted.

        *known*: the known browser or session. Its wrong passwords also count toward the account's limit.
        Strangers' wrong passwords do not count toward the browser's limit.

        Raises:
            TooManyRequests: a limit has been reached. The password must not be checked.
        """
        limit = self._table.get("wrong_password", Limit())
        of_account = _buckets("wrong_password:account", account, limit.account)
        if known:
            buckets = [
                *_buckets("wrong_password:browser", f"{account} {known}", limit.browser),
                *_buckets("wrong_password:browsers", account, limit.browsers),
            ]
        else:
            pair = f"{account} {ip}" if ip else ""
            buckets = [
                *_buckets("wrong_password:ip", ip, limit.ip),
                # This bucket comes before the account's buckets, so that one IP address can use up only its
                # share of them.
                *_buckets("wrong_password:ip_and_account", pair, limit.ip_and_account),
                *of_account,
            ]
        if wait := await self._acquire(buckets):
            logger.warning("too many wrong passwords")
            raise TooManyRequests(wait, TOO_MANY_GUESSES)
        if known:
            buckets += [each for each in of_account if not await self._limiter.acquire(*each)]
        return Attempt(self._limiter, buckets)

    async def _acquire(self, buckets: list[_Bucket]) -> float:
        """Take a token from every bucket and return 0.0. If a bucket is empty, take none and return the
        seconds to wait."""
        for position, (key, rate) in enumerate(buckets):
            if wait := await self._limiter.acquire(key, rate):
                await _refund(self._limiter, buckets[:position])
                return wait
        return 0.0


@asynccontextmanager
async def counted_as_wrong(limits: Limits | None, row: str, *, account: str) -> AsyncGenerator[None]:
    """Count an attempt for *account* as wrong unless the block exits without an exception.

    Raises:
        TooManyRequests: the limit has been reached. The attempt must not be checked.
    """
    attempt = limits and await limits.begin(row, account=account)
    yield
    if attempt is not None:
        await attempt.uncount()


async def _refund(limiter: Limiter, buckets: Iterable[_Bucket]) -> None:
    for key, rate in buckets:
        await limiter.refund(key, rate)


def _buckets(what: str, who: str, rates: str) -> list[_Bucket]:
    if not who or not rates:
        return []
    return [(f"{what}:{text}:{who}", Rate.parse(text)) for text in rates.replace(" ", "").split(",")]

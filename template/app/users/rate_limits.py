"""How often: every limit on the users routes, as one table of data. Change the numbers freely.

`"10/15m"` lets ten through at once and then one each 90 seconds; of several, with a comma between, all hold.
Counts are kept by `app/limits`, in Redis where REDIS_URL is set. SECURITY.md shows this table, and a test
compares the two.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from app.limits import Limiter, Rate
from app.users.exceptions import TooManyRequests

logger = logging.getLogger("app.users")


@dataclass(frozen=True)
class Limit:
    """How often something may happen; what is empty is not counted."""

    ip: str = ""
    """For one IP address, or one IPv6 network of 64 bits."""
    account: str = ""
    """For one account."""
    ip_and_account: str = ""
    """For one account from one IP address."""
    browser: str = ""
    """For one account in a browser, or a session, that is known for it (`device_cookies.py`)."""
    browsers: str = ""
    """For one account in all browsers and sessions that are known for it, together."""
    mailbox: str = ""
    """For one mailbox that a mail would go to, whether or not it has an account (`mailbox_of`)."""


LIMITS = {
    # A route declares its row: `dependencies=[limited_by("export")]`. An address that is over it gets 429
    # before the body is read.
    "register": Limit(ip="20/h", mailbox="5/h"),
    "login": Limit(ip="300/10m"),
    "login_with_cookie": Limit(ip="300/10m"),
    "refresh": Limit(ip="600/10m"),
    "confirm": Limit(ip="60/10m"),
    "change_password": Limit(ip="60/10m"),
    "request_verify": Limit(ip="20/h", mailbox="5/h"),
    "verify": Limit(ip="60/10m"),
    "request_password_reset": Limit(ip="20/h", mailbox="5/h"),
    "reset_password": Limit(ip="60/10m"),
    "request_email_change": Limit(ip="20/h", account="5/h", mailbox="5/h"),
    "change_email": Limit(ip="60/10m"),
    "accept_invitation": Limit(ip="60/10m"),
    "export": Limit(ip="20/h"),
    # Mails that tell an owner what happened. account: each kind of them, where the address is verified.
    # mailbox: all of them to accounts that are not, which anybody can make with another's address.
    "notice": Limit(account="5/h", mailbox="5/h"),
    # Mails about a login that ended because there were too many (MAX_SESSIONS).
    "session_limit": Limit(mailbox="1/d"),
    # Wrong passwords, in whatever way they are given: one count for all. What is right is not counted.
    # A browser that is known for the account has a count of its own, and strangers cannot use it up.
    # The pair's daily share keeps one address from using up the account's, and its owner out.
    "wrong_password": Limit(
        ip="30/15m",
        account="10/15m, 100/d",
        ip_and_account="8/15m, 20/d",
        browser="10/15m",
        browsers="20/15m, 100/d",
    ),
    # Rows of the audit log about what was refused: no more of them, however much is.
    "guessing_blocked": Limit(ip="10/15m", account="1/15m"),
    "link_refused": Limit(ip="1/15m"),
    "cross_site_refused": Limit(ip="1/15m"),
    # Your own rows go below; template updates never touch them.
}

TOO_MANY_GUESSES = "Too many wrong passwords. If you do not know yours, set a new one by mail."
OF_THE_ACCOUNT = "Too many requests for this account."


type _Bucket = tuple[str, Rate]


class Attempt:
    """A password that is being checked; it counts as wrong unless it is uncounted."""

    def __init__(self, limiter: Limiter, buckets: list[_Bucket]) -> None:
        self._limiter = limiter
        self._buckets = buckets

    async def uncount(self) -> None:
        """It was right, or could not be checked. No other attempt is uncounted: a success clears no count."""
        await _refund(self._limiter, self._buckets)


class Limits:
    """The table, and where its counts are kept."""

    def __init__(self, limiter: Limiter, table: dict[str, Limit] | None = None) -> None:
        self._limiter = limiter
        self._table = LIMITS if table is None else table

    async def count(self, row: str, *, ip: str = "", account: str = "", mailbox: str = "") -> None:
        """Count one use of *row*. Raises `TooManyRequests`; then nothing was counted."""
        limit = self._table.get(row, Limit())
        buckets = [*_buckets(f"{row}:ip", ip, limit.ip)]
        buckets += _buckets(f"{row}:account", account, limit.account)
        buckets += _buckets(f"{row}:mailbox", mailbox, limit.mailbox)
        if wait := await self._acquire(buckets):
            logger.warning("the limit of %s is reached", row)
            raise TooManyRequests(wait) if ip else TooManyRequests(wait, OF_THE_ACCOUNT)

    async def allows(self, row: str, *, account: str = "", mailbox: str = "") -> bool:
        """As `count`, for mail that is then left out in silence: the response must not tell."""
        try:
            await self.count(row, account=account, mailbox=mailbox)
        except TooManyRequests:
            return False
        return True

    async def may_record(self, event: str, *, ip: str, account: str = "") -> bool:
        """Whether *event* goes into the audit log once more; without a row it does not.

        Clients without an address count as one, so that no one can fill the log.
        """
        limit = self._table.get(event)
        if limit is None:
            return False
        buckets = [
            *_buckets(f"{event}:ip", ip or "unknown", limit.ip),
            *_buckets(f"{event}:account", account, limit.account),
        ]
        return not await self._acquire(buckets)

    async def look_at_passwords(self, ip: str) -> None:
        """Raise `TooManyRequests` if no more passwords are checked for *ip*; nothing is counted."""
        limit = self._table.get("wrong_password", Limit())
        for key, rate in _buckets("wrong_password:ip", ip, limit.ip):
            if wait := await self._limiter.peek(key, rate):
                raise TooManyRequests(wait, TOO_MANY_GUESSES)

    async def begin_attempt(self, *, account: str, ip: str, known: str = "") -> Attempt:
        """Count a password that is about to be checked, as wrong for now: many at once are counted, too.

        *known*: what is known for the account, a browser or a session. Its wrong passwords count for the
        account as well, but those of others do not count for it.

        Raises:
            TooManyRequests: it must not be checked.
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
                # Before the account's: one address can use up no more of that than its own share.
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
        """Take all or none; the seconds to wait, if none."""
        for position, (key, rate) in enumerate(buckets):
            if wait := await self._limiter.acquire(key, rate):
                await _refund(self._limiter, buckets[:position])
                return wait
        return 0.0


async def _refund(limiter: Limiter, buckets: Iterable[_Bucket]) -> None:
    for key, rate in buckets:
        await limiter.refund(key, rate)


def _buckets(what: str, who: str, rates: str) -> list[_Bucket]:
    if not who or not rates:
        return []
    return [(f"{what}:{text}:{who}", Rate.parse(text)) for text in rates.replace(" ", "").split(",")]

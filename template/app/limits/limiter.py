"""Rates, the limiter interface, and a guard for your routes.

    @router.post("/imports", status_code=202, dependencies=[Depends(limited("10/m"))])
    async def start_import(user: CurrentUser, body: ImportIn) -> ImportOut: ...

This allows ten requests a minute from each client network, for this route only. The eleventh request gets
a 429 before its body is read. For two limits, use two guards:
`[Depends(limited("3/s")), Depends(limited("1000/d"))]`.
"""

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, Self

from babel.units import format_unit
from hawkapi import Request
from hawkapi.responses.response import Response

from app.i18n import N_, current_language
from app.i18n import gettext as _
from app.web import Problem, responds
from app.web.client_ip import client_of
from app.web.framework.application import services_of_request
from app.web.problems import problem_response

_TEXT = re.compile(r"([0-9]+)/([0-9]*)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}
_MAX_COUNT = 1_000_000
_MAX_SECONDS = 366 * _SECONDS["d"]


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of *count* requests per *seconds* seconds.

    All *count* requests may arrive together. After that, one more is allowed every `seconds / count` seconds.
    After *seconds* seconds without requests, all *count* requests are allowed again.

    Raises:
        ValueError: *count* or *seconds* is out of range.
    """

    count: int
    seconds: float

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MAX_COUNT:
            raise ValueError(f"A rate must allow 1 to {_MAX_COUNT:_} requests, not {self.count}.")
        if not 0 < self.seconds <= _MAX_SECONDS:
            raise ValueError(
                f"The period of a rate must be more than 0 and at most {_MAX_SECONDS} seconds (366 days)."
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a rate: `10/15m` means ten requests in fifteen minutes. The units are s, m, h and d.

        Raises:
            ValueError: *text* is not a rate.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a rate: write a count and a period, such as 10/15m or 5/h.")
        count, number, unit = found.groups()
        return cls(int(count), float(int(number or 1) * _SECONDS[unit]))

    @property
    def interval(self) -> int:
        """Microseconds after which one more request is allowed, rounded up to an integer because sums of
        floats drift."""
        return math.ceil(self.seconds * 1_000_000 / self.count)


class LimiterUnavailable(Exception):
    """The limiter cannot be reached, so it is unknown whether the request is allowed."""


class Limiter(Protocol):
    """Counts requests by key. Each (key, rate) pair has its own token bucket.

    A bucket holds at most `rate.count` tokens and refills at a steady rate. Each `acquire` takes one token.

    Raises, in every method except `close`:
        LimiterUnavailable: the limiter cannot be reached. The call may still have taken effect.
    """

    async def acquire(self, key: str, rate: Rate) -> float:
        """Count one request and return 0.0. If the limit has been reached, count nothing and return the
        number of seconds to wait."""
        ...

    async def peek(self, key: str, rate: Rate) -> float:
        """What `acquire` would return, without counting the request."""
        ...

    async def refund(self, key: str, rate: Rate) -> None:
        """Undo one `acquire`, for a request that should not count. The bucket never exceeds its capacity."""
        ...

    async def clear(self) -> None:
        """Forget all counts. Used in tests."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Unlimited:
    """A `Limiter` that allows everything (RATE_LIMITS=false)."""

    async def acquire(self, key: str, rate: Rate) -> float:
        return 0.0

    async def peek(self, key: str, rate: Rate) -> float:
        return 0.0

    async def refund(self, key: str, rate: Rate) -> None: ...

    async def clear(self) -> None: ...

    async def close(self) -> None: ...


def bucket_name(key: str, rate: Rate, secret: bytes = b"") -> str:
    """The name of a bucket: a short hash of *key* and *rate* that cannot be guessed without *secret*.

    Keys contain e-mail addresses, which must not be readable in Redis.
    """
    text = f"{rate.count}/{rate.interval} {key}".encode(errors="surrogatepass")
    return blake2b(text, key=secret, digest_size=16).hexdigest()


def limited(text: str) -> Callable[[Request], Awaitable[None]]:
    """A guard that applies the rate *text* (such as 10/15m or 5/h) per route and client network.

    A client network is an IPv4 address or an IPv6 /64 prefix. Clients whose address is unknown share one
    count.

    Raises:
        ValueError: *text* is not a rate.
    """
    rate = Rate.parse(text)

    @responds(
        {429: "Too many requests. See Retry-After."},
        {503: {"rate_limits_unavailable": "Rate limits cannot be checked."}},
    )
    async def guard(request: Request) -> None:
        limiter = services_of_request(request).limiter
        route = request.scope["route"]
        key = f"route {min(route.methods)} {route.path} {client_of(request).network}"
        if wait := await limiter.acquire(key, rate):
            raise too_many(wait)

    guard.__dict__["limit"] = text
    return guard


def too_many(seconds: float, *, detail: str = N_("Too many requests from your network.")) -> Problem:
    """A 429 response (RFC 6585) with *detail* and the *seconds* until the next request is allowed."""
    whole = max(1, math.ceil(seconds))
    sentence = _("{reason} Try again in {time}.").format(reason=_(detail), time=_in_words(whole))
    return Problem(429, sentence, headers={"Retry-After": str(whole)})


def _in_words(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    if seconds <= 120:
        count, unit = seconds, "duration-second"
    elif minutes <= 120:
        count, unit = minutes, "duration-minute"
    else:
        count, unit = math.ceil(minutes / 60), "duration-hour"
    return format_unit(count, unit, locale=current_language())


def cannot_be_checked(request: Request, error: LimiterUnavailable) -> Response:
    """The response sent when Redis is down and REDIS_OUTAGE is `refuse`."""
    return problem_response(
        503,
        "Rate limits cannot be checked at the moment. Try again soon.",
        code="rate_limits_unavailable",
        headers={"Retry-After": "5"},
    )

"""What may be done how often: a rate, what a limiter does with it, and a guard for routes of yours.

@router.post("/imports", status_code=202, dependencies=[Depends(limited("10/m"))])
async def start_import(user: CurrentUser, body: ImportIn) -> ImportOut: ...

Ten a minute from one network, for this route alone; the eleventh is answered 429 before its body is read. Two
limits are two guards: `[Depends(limited("3/s")), Depends(limited("1000/d"))]`.
"""

import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, Self

from hawkapi import Request
from hawkapi.responses.response import Response

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
    """So many in so many seconds.

    All of them may come at once; then one more is allowed each `seconds / count`. After a pause of `seconds`
    all are there again.

    Raises:
        ValueError: nothing would ever be allowed, or no limiter could count so far.
    """

    count: int
    seconds: float

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MAX_COUNT:
            raise ValueError(f"A rate allows 1 to {_MAX_COUNT:_}, and not {self.count}.")
        if not 0 < self.seconds <= _MAX_SECONDS:
            raise ValueError(f"A rate is for more than 0 and at most {_MAX_SECONDS} seconds (366 days).")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`Rate.parse("10/15m")`: ten in fifteen minutes. The units are s, m, h and d.

        Raises:
            ValueError: *text* is no rate; the sentence says what one looks like.
        """
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!r} is not a rate: write how many in how long, such as 10/15m or 5/h.")
        count, number, unit = found.groups()
        return cls(int(count), float(int(number or 1) * _SECONDS[unit]))

    @property
    def interval(self) -> int:
        """Microseconds until one more is allowed. Whole, since sums of fractions drift; rounded up."""
        return math.ceil(self.seconds * 1_000_000 / self.count)


class LimiterUnavailable(Exception):
    """Nobody can tell at the moment whether something is allowed."""


class Limiter(Protocol):
    """Counts by key. One key has a bucket of its own for each rate that it is used with.

    A bucket holds `rate.count` at most, loses one with each `acquire` and is filled evenly (a token bucket).

    Raises, each method but `close`:
        LimiterUnavailable: the limiter cannot tell, and nothing was counted.
    """

    async def acquire(self, key: str, rate: Rate) -> float:
        """Count one and return 0.0; or, without counting, the seconds until the next one is allowed."""
        ...

    async def peek(self, key: str, rate: Rate) -> float:
        """What `acquire` would say, without counting."""
        ...

    async def refund(self, key: str, rate: Rate) -> None:
        """Undo one `acquire`: it was not what the limit is against. A bucket is never more than full."""
        ...

    async def clear(self) -> None:
        """Forget everything; for tests."""
        ...

    async def close(self) -> None:
        """Give back what the limiter holds open."""
        ...


def bucket_name(key: str, rate: Rate, secret: bytes = b"") -> str:
    """The name of a bucket: short however long *key* is, and with a *secret* not even to be guessed at.

    Keys hold e-mail addresses, which are no business of whoever can read Redis.
    """
    text = f"{rate.count}/{rate.interval} {key}".encode(errors="surrogatepass")
    return blake2b(text, key=secret, digest_size=16).hexdigest()


def limited(text: str) -> Callable[[Request], Awaitable[None]]:
    """A guard that allows as much as *text* says (10/15m, 5/h) to each route and client network.

    A network is an IPv4 address or the /64 of an IPv6 address; those whose address is not known count as one.

    Raises:
        ValueError: *text* is no rate.
    """
    rate = Rate.parse(text)

    @responds({429: "Too many requests; Retry-After says when.", 503: "The limits cannot be checked."})
    async def guard(request: Request) -> None:
        limiter = services_of_request(request).limiter
        route = request.scope["route"]
        key = f"route {min(route.methods)} {route.path} {client_of(request).network}"
        if wait := await limiter.acquire(key, rate):
            raise too_many(wait)

    return guard


def too_many(seconds: float, *, detail: str = "Too many requests from your network.") -> Problem:
    """The answer 429 (RFC 6585): *detail*, and the *seconds* in which the next request is allowed."""
    whole = max(1, math.ceil(seconds))
    return Problem(429, f"{detail} Try again in {_in_words(whole)}.", headers={"Retry-After": str(whole)})


def _in_words(seconds: int) -> str:
    if seconds == 1:
        return "1 second"
    if seconds <= 120:
        return f"{seconds} seconds"
    minutes = math.ceil(seconds / 60)
    return f"{minutes} minutes" if minutes <= 120 else f"{math.ceil(minutes / 60)} hours"


def cannot_be_checked(request: Request, error: LimiterUnavailable) -> Response:
    """The answer while Redis is away and REDIS_OUTAGE is refuse."""
    return problem_response(
        503, "The limits cannot be checked at the moment. Try again soon.", headers={"Retry-After": "5"}
    )

"""Limits for routes of yours.

@router.post("/imports", status_code=202, dependencies=[Depends(limited("10/m"))])
async def start_import(user: CurrentUser, body: ImportIn) -> ImportOut: ...

Ten a minute from one network, for this route alone; the eleventh is answered 429 before its body is read. Two
limits are two guards: `[Depends(limited("3/s")), Depends(limited("1000/d"))]`.
"""

import math
from collections.abc import Awaitable, Callable

from hawkapi import Request
from hawkapi.responses.response import Response

from app.limits.limiter import LimiterUnavailable
from app.limits.rates import Rate
from app.services import services_of_request
from app.web import Problem, responds
from app.web.client_ip import client_of
from app.web.problems import problem_response


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
        if wait := await limiter.take(key, rate):
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

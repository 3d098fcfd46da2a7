"""Health routes for load balancers and orchestrators: /livez (the process responds) and /readyz (it can serve
requests).

The routes are public, so they report only which checks pass, without details.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import IntEnum

import msgspec
from hawkapi import Request
from hawkapi.responses.json_response import JSONResponse
from hawkapi.routing.router import Router

from app.web.database_errors import begins_outage, is_unavailable, names_of

logger = logging.getLogger("app.web")

router = Router()

LIMIT = 5.0
"""Time limit for each check, in seconds."""
DEGRADED = "degraded"
"""The detail that a failed check returns if this process should still receive requests because no other
process would serve them better."""


class Result(IntEnum):
    """The result of a check, from best to worst."""

    GOOD = 0
    DEGRADED = 1
    FAILED = 2


class Health(msgspec.Struct):
    status: str


class Readiness(msgspec.Struct):
    status: str
    """ready, degraded (also a 200) or not ready (503)."""
    checks: dict[str, bool]


@router.get("/healthz", include_in_schema=False)
async def healthz(request: Request) -> Health:
    """Whether the process responds."""
    return Health("ok")


@router.get("/livez", include_in_schema=False)
async def livez(request: Request) -> Health:
    """Equivalent to /healthz, with the name that Kubernetes uses."""
    return Health("alive")


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request) -> JSONResponse:
    """Whether everything that requests need is available. Add checks with `@app.readiness_check("name")`."""
    checks = request.scope["app"].readiness_checks
    # Run all checks concurrently, so that several hanging checks take no longer than one.
    results = await asyncio.gather(*(_result_of(name, check) for name, check in checks.items()))
    worst = max(results, default=Result.GOOD)
    body = Readiness(
        {Result.GOOD: "ready", Result.DEGRADED: "degraded", Result.FAILED: "not ready"}[worst],
        {name: result is Result.GOOD for name, result in zip(checks, results, strict=True)},
    )
    return JSONResponse(body, status_code=503 if worst is Result.FAILED else 200)


async def _result_of(name: str, check: Callable[[], Awaitable[tuple[bool, str]]]) -> Result:
    try:
        async with asyncio.timeout(LIMIT):
            is_good, detail = await check()
    except Exception as error:
        # Log the error, but do not return it: this route is public.
        traceback = error if not is_unavailable(error) or begins_outage(error) else None
        logger.error("the readiness check %s failed (%s)", name, names_of(error), exc_info=traceback)
        return Result.FAILED
    if is_good:
        return Result.GOOD
    return Result.DEGRADED if detail == DEGRADED else Result.FAILED

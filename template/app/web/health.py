"""Health routes for load balancers and orchestrators: /livez (the process responds), /readyz (it can serve
requests)."""

import logging

import msgspec
from hawkapi import Request
from hawkapi.responses.json_response import JSONResponse
from hawkapi.routing.router import Router

from app.web.database_errors import begins_outage, is_unavailable, names_of

logger = logging.getLogger("app.web")

router = Router()


class Health(msgspec.Struct):
    status: str


class Readiness(msgspec.Struct):
    status: str
    checks: dict[str, bool]


@router.get("/healthz", include_in_schema=False)
async def healthz(request: Request) -> Health:
    """Whether the process responds."""
    return Health("ok")


@router.get("/livez", include_in_schema=False)
async def livez(request: Request) -> Health:
    """The same, under Kubernetes' name."""
    return Health("alive")


@router.get("/readyz", include_in_schema=False)
async def readyz(request: Request) -> JSONResponse:
    """Whether everything that requests depend on is available. Add checks with
    `@app.readiness_check("name")`."""
    checks: dict[str, bool] = {}
    for name, check in request.scope["app"].readiness_checks.items():
        try:
            checks[name], _ = await check()
        except Exception as error:
            # Only log the error, because this route is public.
            traceback = error if not is_unavailable(error) or begins_outage(error) else None
            logger.error("the readiness check %s failed (%s)", name, names_of(error), exc_info=traceback)
            checks[name] = False
    ready = all(checks.values())
    body = Readiness("ready" if ready else "not ready", checks)
    return JSONResponse(body, status_code=200 if ready else 503)

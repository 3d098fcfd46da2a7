"""Authenticator apps as a second factor (TOTP, RFC 6238). Start reading in `totp.py`."""

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.keys import KeyRing
from app.second_factors.routes import factors_of
from app.totp.models import PURPOSE
from app.totp.routes import router
from app.totp.totp import AlreadySetUp, Totp
from app.web import App, Problem

REQUIRES = ("second_factors", "users")
"""Features that must be installed before this one."""


def install(app: App) -> None:
    """Offer authenticator apps."""
    settings = app.state.settings
    factors = factors_of(app.state.users)
    factors.add(Totp(KeyRing.of(settings, PURPOSE), settings.app_name, factors))

    @app.exception_handler(AlreadySetUp)
    async def already(request: Request, error: AlreadySetUp) -> Response:
        problem = Problem(
            409, "The account already has an authenticator app. Remove it first.", code=error.code
        )
        return problem.to_response()

    mounted = Router(prefix=settings.users_prefix)
    mounted.include_router(router)
    app.include_router(mounted)

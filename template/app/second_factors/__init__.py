"""Second factors for logging in, and recovery codes that stand in for lost factors.

The factors are separate features, such as `app/totp`. Start reading in `factors.py`.
"""

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.database.batches import delete_all
from app.second_factors import notices
from app.second_factors.factors import Factors, LastFactor, WrongFactor, remove_expired
from app.second_factors.routes import NOT_SET_UP_CODE, TAG, router
from app.tasks import PeriodicTask
from app.users.exceptions import NoSecondFactor
from app.web import App, Problem

__all__ = ["Factors", "WrongFactor", "install"]

REQUIRES = ("users",)
"""Features that must be installed before this one."""

# Importing this module adds the notices.
_ = notices


def install(app: App) -> None:
    """Ask for second factors at login. Each factor is added by its own feature."""
    app.state.users.second_factors = Factors(app.state.users)
    database = app.state.db

    async def remove_expired_logins() -> None:
        await delete_all(database, remove_expired)

    app.state.tasks.append(PeriodicTask("remove expired logins", 600.0, remove_expired_logins))

    @app.exception_handler(WrongFactor)
    async def wrong_factor(request: Request, error: WrongFactor) -> Response:
        return Problem(400, str(error), code=error.code).to_response()

    @app.exception_handler(NoSecondFactor)
    async def no_factor(request: Request, error: NoSecondFactor) -> Response:
        return Problem(404, str(error), code=NOT_SET_UP_CODE).to_response()

    @app.exception_handler(LastFactor)
    async def last_factor(request: Request, error: LastFactor) -> Response:
        return Problem(409, str(error), code=error.code).to_response()

    mounted = Router(prefix=app.state.settings.users_prefix)
    mounted.include_router(router)
    app.include_router(mounted)
    app.tag_descriptions[TAG] = "Second factors, an extra step after the password at login."

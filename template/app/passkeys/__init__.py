"""Passkeys (WebAuthn), as a second factor or instead of a password. Start reading in `passkeys.py`."""

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.database.batches import delete_all
from app.passkeys.ceremonies import relying_party
from app.passkeys.challenges import remove_expired
from app.passkeys.passkeys import PasskeyExists, PasskeyRefused, Passkeys, TooManyPasskeys
from app.passkeys.routes import router
from app.second_factors.routes import factors_of
from app.settings import SettingsError
from app.tasks import PeriodicTask
from app.web import App, Problem

REQUIRES = ("second_factors", "users")
"""Features that must be installed before this one."""


def install(app: App) -> None:
    """Offer passkeys.

    Raises:
        SettingsError: none of the application's pages could use passkeys.
    """
    settings, users, database = app.state.settings, app.state.users, app.state.db
    try:
        party = relying_party(settings)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    factors = factors_of(users)
    factors.add(Passkeys(party, users, factors))

    async def remove_expired_challenges() -> None:
        await delete_all(database, remove_expired)

    app.state.tasks.append(PeriodicTask("remove expired challenges", 600.0, remove_expired_challenges))

    @app.exception_handler(PasskeyRefused)
    async def refused(request: Request, error: PasskeyRefused) -> Response:
        headers = {"WWW-Authenticate": "Bearer"}
        return Problem(401, str(error), code=error.code, headers=headers).to_response()

    @app.exception_handler(TooManyPasskeys)
    async def too_many(request: Request, error: TooManyPasskeys) -> Response:
        return Problem(409, str(error), code=error.code).to_response()

    @app.exception_handler(PasskeyExists)
    async def exists(request: Request, error: PasskeyExists) -> Response:
        return Problem(409, str(error), code=error.code).to_response()

    mounted = Router(prefix=settings.users_prefix)
    mounted.include_router(router)
    app.include_router(mounted)

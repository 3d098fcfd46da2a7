"""Log in with an e-mailed code instead of the password. Start reading in `login_codes.py`."""

from hawkapi.routing.router import Router

from app.database.batches import delete_all
from app.email_login import notices
from app.email_login.login_codes import LoginCodeRefused, LoginCodes, remove_expired
from app.email_login.routes import router
from app.tasks import PeriodicTask
from app.web import App

__all__ = ["LoginCodeRefused", "LoginCodes", "install"]

REQUIRES = ("users",)
"""Features that must be installed before this one."""

# Importing this module adds the notices.
_ = notices


def install(app: App) -> None:
    """Add the routes, and the task that removes expired requests."""
    database = app.state.db

    async def remove_expired_requests() -> None:
        await delete_all(database, remove_expired)

    app.state.tasks.append(PeriodicTask("remove expired login codes", 600.0, remove_expired_requests))
    mounted = Router(prefix=app.state.settings.users_prefix)
    mounted.include_router(router)
    app.include_router(mounted)

"""Make an account: one router for each REGISTRATION, so that the OpenAPI document says what holds."""

import msgspec
from hawkapi import Request
from hawkapi.routing.router import Router

from app.database import Db
from app.users.cookies import remember_browser
from app.users.dependencies import Users, limited_by
from app.users.exceptions import RegistrationClosed
from app.users.manager import Registration as Mode
from app.users.routes.sessions import BUSY
from app.users.schemas import Accepted, PublicUser, Registration, public
from app.web import responds

# Your own imports go below; template updates never touch them.
# isort: split

routers: dict[Mode, Router] = {mode: Router(tags=["users"]) for mode in ("open", "private", "closed")}


@routers["open"].post("/register", status_code=201, dependencies=[limited_by("register")])
@responds({409: "The address has an account already."} | BUSY)
async def register(request: Request, body: Registration, users: Users, db: Db) -> PublicUser:
    """Create an account

    A mail with the link that verifies the address is on its way when this answers, unless its mailbox has got
    too many lately.
    """
    user = await users.create(db, **msgspec.structs.asdict(body))
    remember_browser(request, users, user)
    return public(user)


@routers["private"].post("/register", status_code=202, dependencies=[limited_by("register")])
@responds(BUSY)
async def register_privately(request: Request, body: Registration, users: Users, db: Db) -> Accepted:
    """Create an account

    The answer is the same for an address that has one already: the mail that is on its way tells.
    """
    await users.register(db, **msgspec.structs.asdict(body))
    # Known for no account, new or not: the limits of a known browser would tell which it is.
    remember_browser(request, users, None)
    return Accepted()


@routers["closed"].post("/register", include_in_schema=False)
async def refuse_registration(request: Request) -> None:
    """Whoever asks is told that an invitation is needed; the body is not read."""
    raise RegistrationClosed


# Your own routes go below; template updates never touch them.

"""Create an account. Each REGISTRATION mode has its own router, so the OpenAPI document is accurate."""

import msgspec
from hawkapi import Request
from hawkapi.routing.router import Router

from app.database import Db
from app.users.cookies import remember_browser
from app.users.dependencies import Users, limited_by
from app.users.exceptions import RegistrationClosed
from app.users.manager import Registration as Mode
from app.users.routes.errors import BUSY, EMAIL_TAKEN, INVALID_EMAIL, WEAK_PASSWORD
from app.users.schemas import Accepted, PublicUser, Registration, public
from app.web import responds

# Your own imports go below; template updates never touch them.
# isort: split

routers: dict[Mode, Router] = {mode: Router(tags=["users"]) for mode in ("open", "private", "closed")}


@routers["open"].post("/register", status_code=201, dependencies=[limited_by("register")])
@responds(INVALID_EMAIL, WEAK_PASSWORD, EMAIL_TAKEN, BUSY)
async def register(request: Request, body: Registration, users: Users, db: Db) -> PublicUser:
    """Create an account

    A verification link is e-mailed to the address, unless the address has received too many e-mails recently.
    """
    user = await users.create(db, **msgspec.structs.asdict(body))
    remember_browser(request, users, user)
    return public(user)


@routers["private"].post("/register", status_code=202, dependencies=[limited_by("register")])
@responds(INVALID_EMAIL, WEAK_PASSWORD, BUSY)
async def register_privately(request: Request, body: Registration, users: Users, db: Db) -> Accepted:
    """Create an account

    The response is the same whether or not the e-mail address already has an account. Only the e-mail
    differs.
    """
    await users.register(db, **msgspec.structs.asdict(body))
    # Do not link the device cookie to an account: a known browser's rate limits would reveal whether the
    # account is new.
    remember_browser(request, users, None)
    return Accepted()


@routers["closed"].post("/register", include_in_schema=False)
async def refuse_registration(request: Request) -> None:
    """Reject the request, and tell the client to ask for an invitation. The body is not read."""
    raise RegistrationClosed


# Your own routes go below; template updates never touch them.

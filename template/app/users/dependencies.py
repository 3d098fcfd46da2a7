"""What handlers ask for by type: `user: CurrentUser` as the FIRST parameter guards a route.

@router.get("/things", status_code=200)
async def list_things(user: CurrentUser, tx: Db) -> list[ThingOut]: ...
"""

from typing import Annotated

from hawkapi import Depends, Request

from app.database import Db
from app.users.manager import UserManager
from app.users.models import User
from app.users.tokens import TokenError
from app.web import Problem, responds, secured_by

_BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def resolve_user_manager(app: object) -> UserManager | None:
    """The user manager of *app*, or None if it has none."""
    return getattr(getattr(app, "state", None), "users", None)


def get_user_manager(request: Request) -> UserManager:
    """The user manager of the application that answers this request."""
    manager = resolve_user_manager(request.scope.get("app"))
    if manager is None:
        raise RuntimeError("This application has no user manager: call app.users.init_users(app, ...).")
    return manager


Users = Annotated[UserManager, Depends(get_user_manager)]


@responds({401: "No access token, or one that is not good any more."})
@secured_by("bearer", _BEARER)
async def current_user(request: Request, users: Users, tx: Db) -> User:
    """The active account whose access token came with the request (RFC 6750).

    The row is read each time, so disabling an account or resetting its password acts at once.
    """
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthorized("Log in, and send the access token as Authorization: Bearer.")
    try:
        user_id, password_version = users.tokens.verify_access(token.strip())
    except TokenError:
        raise _unauthorized("The access token is not good or has expired. Log in again.") from None
    user = await users.get_by_id(tx, user_id)
    if user is None or not user.is_active or user.password_version != password_version:
        raise _unauthorized("The access token is not good any more. Log in again.")
    return user


def _unauthorized(detail: str) -> Problem:
    return Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})


CurrentUser = Annotated[User, Depends(current_user)]
"""The logged-in account; 401 without one, before the body is read."""

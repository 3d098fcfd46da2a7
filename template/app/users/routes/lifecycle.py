"""Register, verify the address, reset the password. No rule here: the manager has them.

What the manager raises becomes an answer in `app/users/errors.py`. The transaction is committed when a
handler returns and rolled back when it raises (`app/database.py`).
"""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.database import Db
from app.users import link_pages
from app.users.dependencies import Users
from app.users.routes.sessions import BUSY
from app.users.schemas import Accepted, AddressOnly, NewPassword, PublicUser, Registration, public
from app.web import FromForm, responds
from app.web.parameters import sent_by_form

router = Router(tags=["users"])

_DEAD_LINK = {400: "The link is not good any more, or the request is not valid."}


@router.post("/register", status_code=201)
@responds({409: "The address has an account already."} | BUSY)
async def register(body: Registration, users: Users, tx: Db) -> PublicUser:
    """Create an account

    A mail with the link that verifies the address is on its way when this answers.
    """
    return public(await users.create(tx, email=body.email, password=body.password))


@router.post("/verify/request", status_code=202)
async def request_verify(body: AddressOnly, users: Users, tx: Db) -> Accepted:
    """Ask for a new verification link

    Always 202, whether or not there is such an account.
    """
    await users.request_verify(tx, email=body.email)
    return Accepted()


@router.get("/verify/{token}", include_in_schema=False)
async def verify_page(token: str, users: Users) -> Response:
    """The page behind the mailed link. Opening it changes nothing: mail scanners open every link."""
    users.tokens.peek_email_token_sub(token)
    return link_pages.verify_form()


@router.post("/verify/{token}", status_code=200, response_model=PublicUser)
@responds(_DEAD_LINK)
async def verify(request: Request, token: str, users: Users, tx: Db) -> PublicUser | Response:
    """Verify the address that the token was mailed to"""
    user = await users.verify(tx, token=token)
    return link_pages.verified(user.email) if sent_by_form(request) else public(user)


@router.post("/password-reset/request", status_code=202)
async def request_password_reset(body: AddressOnly, users: Users, tx: Db) -> Accepted:
    """Ask for a link that sets a new password

    Always 202, whether or not there is such an account.
    """
    await users.request_password_reset(tx, email=body.email)
    return Accepted()


@router.get("/password-reset/{token}", include_in_schema=False)
async def password_reset_page(token: str, users: Users) -> Response:
    """The page behind the mailed link; see `verify_page`."""
    users.tokens.peek_reset_token_sub(token)
    return link_pages.new_password_form(users.password_min_length)


@router.post("/password-reset/{token}", status_code=200, response_model=PublicUser)
@responds(_DEAD_LINK | BUSY)
async def reset_password(
    request: Request,
    token: str,
    body: Annotated[NewPassword, FromForm()],
    users: Users,
    tx: Db,
) -> PublicUser | Response:
    """Set a new password

    The token works once, and nobody is logged in by it; every session and every token made before is dead.
    """
    user = await users.reset_password(tx, token=token, new_password=body.password)
    return link_pages.password_was_set() if sent_by_form(request) else public(user)

"""Request a code by e-mail, and log in with it. The rules are in `login_codes.py`."""

from typing import Annotated

from hawkapi import Depends, Request
from hawkapi.routing.router import Router

from app.database import Db
from app.email_login import limits
from app.email_login.login_codes import Answer, LoginCodeRefused, LoginCodes
from app.email_login.schemas import CodeRequested, CookieLoginCodeAnswer, LoginCodeAnswer
from app.users import Users
from app.users.cookies import (
    give_cookie,
    give_login_key,
    login_key,
    remember_browser,
    session_cookie,
    take_login_key,
)
from app.users.dependencies import limited_by
from app.users.manager import UserManager
from app.users.routes.errors import CROSS_SITE, SECOND_FACTOR
from app.users.routes.sessions import logged_in
from app.users.schemas import EmailRequest, LoggedIn, PublicUser, public
from app.users.sessions import BEARER, COOKIE, IssuedSession
from app.web import Problem, responds
from app.web.csrf import require_same_origin

# Importing this module adds the limits before the routes below use them.
_ = limits
router = Router(prefix="/login/email", tags=["sessions"])

LOGIN_CODE = "login-code"
"""The cookie with a request's id and key: `__Host-login-code`."""
REFUSED = {
    401: {
        LoginCodeRefused.code: "The response is the same for a wrong, used or expired code, an unknown"
        " request, another browser, and an account that can no longer log in. Five wrong codes end the"
        " request."
    }
}


def login_codes_of(users: Users) -> LoginCodes:
    """The application's login codes."""
    return LoginCodes(users)


AllLoginCodes = Annotated[LoginCodes, Depends(login_codes_of)]


@router.post("", status_code=202, dependencies=[limited_by("request_login_code")])
async def request_login_code(
    request: Request, body: EmailRequest, codes: AllLoginCodes, db: Db
) -> CodeRequested:
    """Request a login code by e-mail

    Always returns 202, whether or not the account exists. The code works only in this browser, for ten
    minutes.
    """
    request_id, key = await codes.request(db, email=body.email)
    give_login_key(request, request_id, key, name=LOGIN_CODE)
    return CodeRequested(request_id)


@router.post("/{request_id}", status_code=200, dependencies=[limited_by("login_code")])
@responds(REFUSED, SECOND_FACTOR)
async def log_in_with_code(
    request: Request, request_id: str, body: LoginCodeAnswer, codes: AllLoginCodes, users: Users, db: Db
) -> LoggedIn:
    """Log in with an e-mailed code

    `request_id` comes from the response to the request for the code.
    """
    answer = Answer(request_id, login_key(request, name=LOGIN_CODE)[1], body.code, BEARER)
    return logged_in(users, await _log_in(request, answer, codes, users, db))


@router.post(
    "/{request_id}/cookie",
    status_code=200,
    dependencies=[limited_by("login_code"), Depends(require_same_origin)],
)
@responds(REFUSED, SECOND_FACTOR, CROSS_SITE)
async def log_in_with_code_and_cookie(
    request: Request,
    request_id: str,
    body: CookieLoginCodeAnswer,
    codes: AllLoginCodes,
    users: Users,
    db: Db,
) -> PublicUser:
    """Log in with an e-mailed code, and set a session cookie

    Only the browser that requested the code can use it. The browser's previous session ends.
    """
    answer = Answer(request_id, login_key(request, name=LOGIN_CODE)[1], body.code, COOKIE)
    issued = await _log_in(request, answer, codes, users, db, remember=body.remember)
    give_cookie(request, issued)
    return public(issued.user)


async def _log_in(
    request: Request, answer: Answer, codes: LoginCodes, users: UserManager, db: Db, *, remember: bool = True
) -> IssuedSession:
    replaces = session_cookie(request) if answer.kind == COOKIE else None
    try:
        issued = await codes.log_in(db, answer, remember=remember, replaces=replaces)
    except LoginCodeRefused as error:
        raise Problem(401, str(error), code=error.code, headers={"WWW-Authenticate": "Bearer"}) from None
    take_login_key(request, name=LOGIN_CODE)
    remember_browser(request, users, issued.user)
    return issued

"""Finish or confirm a login with a factor, and manage an account's factors. The rules are in
`factors.py`."""

from typing import Annotated

from hawkapi import Depends, Request
from hawkapi.routing.router import Router

from app.database import Db
from app.second_factors import limits
from app.second_factors.factors import Factors, LoginExpired, Ticket, WrongFactor
from app.second_factors.schemas import (
    AccountFactors,
    FactorAnswer,
    LoginAnswer,
    RecoveryCodes,
    answer_of,
)
from app.users import CurrentLogin, RecentLogin, Superuser, User, Users
from app.users.cookies import (
    give_cookie,
    login_key,
    remember_browser,
    session_cookie,
    take_login_key,
)
from app.users.dependencies import before_setup, limited_by
from app.users.manager import UserManager
from app.users.routes.errors import CROSS_SITE, UNKNOWN_ACCOUNT
from app.users.routes.sessions import logged_in
from app.users.schemas import LoggedIn, PublicUser, public
from app.users.sessions import BEARER, COOKIE, IssuedSession
from app.web import Problem, responds
from app.web.csrf import require_same_origin

TAG = "second factors"
# Importing this module adds the limits before the routes below use them.
_ = limits
router = Router(tags=[TAG])

REFUSED = {
    401: {
        WrongFactor.code: "The answer is wrong or was used before. Five wrong answers end the login.",
        LoginExpired.code: "The ticket is unknown, used, expired or from another browser. Log in again.",
    }
}
WRONG = {400: {WrongFactor.code: "The answer is wrong or was used before."}}
NOT_SET_UP_CODE = "no_second_factor"
NOT_SET_UP = {404: {NOT_SET_UP_CODE: "The account does not have this second factor."}}


def factors_of(users: Users) -> Factors:
    """The application's second factors."""
    if not isinstance(users.second_factors, Factors):
        raise RuntimeError("Another feature has replaced UserManager.second_factors.")
    return users.second_factors


AllFactors = Annotated[Factors, Depends(factors_of)]


@router.post("/login/second-factor", status_code=200, dependencies=[limited_by("second_factor")])
@responds(REFUSED)
async def finish_login(
    request: Request, body: LoginAnswer, factors: AllFactors, users: Users, db: Db
) -> LoggedIn:
    """Finish a login with a second factor

    `ticket` comes from the response to the login request. Send exactly one of `code`, `recovery_code` and
    `credential`.
    """
    issued = await _finish(request, body, factors, users, db, kind=BEARER)
    return logged_in(users, issued)


@router.post(
    "/login/second-factor/cookie",
    status_code=200,
    dependencies=[limited_by("second_factor"), Depends(require_same_origin)],
)
@responds(REFUSED, CROSS_SITE)
async def finish_login_with_cookie(
    request: Request, body: LoginAnswer, factors: AllFactors, users: Users, db: Db
) -> PublicUser:
    """Finish a login with a second factor, and set a session cookie

    Only the browser that started the login can finish it.
    """
    issued = await _finish(request, body, factors, users, db, kind=COOKIE)
    give_cookie(request, issued)
    return public(issued.user)


async def _finish(
    request: Request, body: LoginAnswer, factors: Factors, users: UserManager, db: Db, *, kind: str
) -> IssuedSession:
    ticket = Ticket(body.ticket, login_key(request)[1], kind)
    replaces = session_cookie(request) if kind == COOKIE else None
    try:
        issued = await factors.finish_login(db, ticket, answer_of(body), replaces=replaces)
    except (WrongFactor, LoginExpired) as error:
        raise Problem(401, str(error), code=error.code, headers={"WWW-Authenticate": "Bearer"}) from None
    take_login_key(request)
    remember_browser(request, users, issued.user)
    return issued


@router.post("/me/confirm/second-factor", status_code=204, dependencies=[limited_by("second_factor")])
@responds(WRONG)
async def confirm_with_factor(
    request: Request, login: CurrentLogin, body: FactorAnswer, factors: AllFactors, db: Db
) -> None:
    """Confirm the login with a second factor, so that it counts as recent

    Accounts with a second factor use this instead of confirming with the password. A session cookie is
    replaced by a new one.
    """
    issued = await factors.confirm(db, login.user, login.session, answer_of(body))
    if issued is not None:
        give_cookie(request, issued)


@router.get("/me/factors", status_code=200)
@before_setup
async def list_factors(login: CurrentLogin, factors: AllFactors, db: Db) -> AccountFactors:
    """List your second factors"""
    return await _shown(factors, db, login.user)


@router.post("/me/recovery-codes", status_code=201, dependencies=[limited_by("change_factors")])
@responds(NOT_SET_UP)
async def renew_recovery_codes(
    recent: RecentLogin, login: CurrentLogin, factors: AllFactors, db: Db
) -> RecoveryCodes:
    """Generate new recovery codes

    The earlier codes stop working.
    """
    return RecoveryCodes(await factors.renew_recovery_codes(db, login.user))


@router.get("/{user_id}/factors", status_code=200)
@responds(UNKNOWN_ACCOUNT)
async def list_factors_of(
    admin: Superuser, user_id: str, factors: AllFactors, users: Users, db: Db
) -> AccountFactors:
    """List an account's second factors"""
    return await _shown(factors, db, await users.require(db, user_id))


@router.delete("/{user_id}/factors", status_code=204)
@responds(UNKNOWN_ACCOUNT, NOT_SET_UP)
async def reset_factors(
    admin: Superuser, recent: RecentLogin, user_id: str, factors: AllFactors, users: Users, db: Db
) -> None:
    """Remove all second factors from an account

    Use this if the owner has lost the factors. Make sure that the request comes from the owner. All of the
    account's sessions end.
    """
    await factors.reset(db, await users.require(db, user_id))


async def _shown(factors: Factors, db: Db, user: User) -> AccountFactors:
    return AccountFactors(await factors.names_of(db, user), await factors.recovery_codes_left(db, user))

"""Add and manage passkeys, and log in with them. The rules are in `passkeys.py`.

Each ceremony takes two requests: the first gets options for the browser, and the second sends the browser's
response.
"""

import re
import secrets
from typing import Annotated

import msgspec
from hawkapi import Depends, Request
from hawkapi.routing.router import Router

from app.database import Db
from app.passkeys import limits
from app.passkeys.passkeys import PasskeyExists, PasskeyRefused, Passkeys, TooManyPasskeys
from app.passkeys.schemas import (
    AddedPasskey,
    LoginToContinue,
    NewPasskey,
    Options,
    PasskeyCookieLogin,
    PasskeyLogin,
    PasskeyName,
    PublicPasskey,
    public,
)
from app.second_factors.factors import Asked, LastFactor, LoginExpired, Ticket, asked_by
from app.second_factors.routes import NOT_SET_UP, REFUSED, TAG, WRONG, AllFactors
from app.users import CurrentLogin, RecentLogin, Users, VerifiedUser
from app.users.cookies import (
    give_cookie,
    give_login_key,
    login_key,
    remember_browser,
    session_cookie,
    take_login_key,
)
from app.users.dependencies import StillLoggedIn, before_setup, limited_by
from app.users.manager import UserManager
from app.users.routes.errors import CROSS_SITE
from app.users.routes.sessions import logged_in
from app.users.schemas import LoggedIn, PublicUser
from app.users.schemas import public as public_user
from app.users.sessions import BEARER, COOKIE, IssuedSession
from app.web import Problem, responds
from app.web.csrf import require_same_origin

# Importing this module adds the limit before the routes below use it.
_ = limits
router = Router(tags=[TAG])

PASSKEY = "passkey"
"""The cookie that binds a login to the browser that started it: `__Host-passkey`."""
_KEY = re.compile(r"[A-Za-z0-9_-]{43}")
PASSKEY_REFUSED = {
    401: {PasskeyRefused.code: "The passkey was rejected. The response is the same whatever the reason."}
}
CANNOT_BE_ADDED = {
    409: {
        TooManyPasskeys.code: "The account has too many passkeys. Remove one first.",
        PasskeyExists.code: "The passkey has already been added.",
    }
}
TOO_MANY = {409: {TooManyPasskeys.code: "The account has too many passkeys. Remove one first."}}
LAST = {409: {LastFactor.code: "The account must have a second factor, and this is its last one."}}


def _passkeys(factors: AllFactors) -> Passkeys:
    return factors.of_kind(Passkeys)


ThePasskeys = Annotated[Passkeys, Depends(_passkeys)]


def key_of(request: Request) -> str:
    """The key for the login that this browser started, or an empty string if there is none."""
    key = login_key(request, name=PASSKEY)[1]
    return key if _KEY.fullmatch(key) else ""


# Logging in without a password


@router.post("/login/passkey/options", status_code=200, dependencies=[limited_by("passkey_login")])
async def begin_login(request: Request, passkeys: ThePasskeys, db: Db) -> Options:
    """Start a login with a passkey

    The response contains the options for `navigator.credentials.get()`. The user chooses the account.
    """
    key = key_of(request) or secrets.token_urlsafe(32)
    options = await passkeys.begin_login(db, key)
    give_login_key(request, "", key, name=PASSKEY)
    return options


@router.post("/login/passkey", status_code=200, dependencies=[limited_by("passkey_login")])
@responds(PASSKEY_REFUSED)
async def log_in(
    request: Request, body: PasskeyLogin, passkeys: ThePasskeys, users: Users, db: Db
) -> LoggedIn:
    """Log in with a passkey

    The passkey replaces both the password and the second factor, so it must verify its user.
    """
    return logged_in(users, await _log_in(request, body, passkeys, users, db, kind=BEARER))


@router.post(
    "/login/passkey/cookie",
    status_code=200,
    dependencies=[limited_by("passkey_login"), Depends(require_same_origin)],
)
@responds(PASSKEY_REFUSED, CROSS_SITE)
async def log_in_with_cookie(
    request: Request, body: PasskeyCookieLogin, passkeys: ThePasskeys, users: Users, db: Db
) -> PublicUser:
    """Log in with a passkey, and set a session cookie

    Only the browser that started the login can finish it. The browser's previous session ends.
    """
    issued = await _log_in(request, body, passkeys, users, db, kind=COOKIE, remember=body.remember)
    give_cookie(request, issued)
    return public_user(issued.user)


async def _log_in(
    request: Request,
    body: PasskeyLogin,
    passkeys: Passkeys,
    users: UserManager,
    db: Db,
    *,
    kind: str,
    remember: bool = True,
) -> IssuedSession:
    is_cookie = kind == COOKIE
    issued = await passkeys.log_in(
        db,
        body.credential,
        key=key_of(request) if is_cookie else None,
        kind=kind,
        remember=remember,
        replaces=session_cookie(request) if is_cookie else None,
    )
    take_login_key(request, name=PASSKEY)
    remember_browser(request, users, issued.user)
    return issued


# As a second factor


@router.post(
    "/login/second-factor/passkey/options", status_code=200, dependencies=[limited_by("second_factor")]
)
@responds(REFUSED, NOT_SET_UP)
async def ask_at_login(
    request: Request, body: LoginToContinue, passkeys: ThePasskeys, factors: AllFactors, db: Db
) -> Options:
    """Ask for a passkey as the second factor for a login

    The response contains the options for `navigator.credentials.get()`. Send its result as `credential`
    to `POST /users/login/second-factor`.
    """
    ticket, key = login_key(request)
    try:
        pending, user = await factors.waiting(db, Ticket(body.ticket or ticket, key))
    except LoginExpired as error:
        raise Problem(401, str(error), code=error.code, headers={"WWW-Authenticate": "Bearer"}) from None
    return await passkeys.options_for(db, user, asked_by(pending))


@router.post("/me/confirm/passkey/options", status_code=200, dependencies=[limited_by("second_factor")])
@responds(NOT_SET_UP)
async def ask_to_confirm(login: CurrentLogin, passkeys: ThePasskeys, db: Db) -> Options:
    """Ask for a passkey to confirm the login

    The response contains the options for `navigator.credentials.get()`. Send its result as `credential`
    to `POST /users/me/confirm/second-factor`.
    """
    return await passkeys.options_for(db, login.user, Asked("confirm", login.session.id))


# The user's own passkeys


@router.post("/me/passkeys/options", status_code=200, dependencies=[limited_by("change_factors")])
@responds(TOO_MANY)
@before_setup
async def begin_to_add(recent: RecentLogin, user: VerifiedUser, passkeys: ThePasskeys, db: Db) -> Options:
    """Start adding a passkey

    The response contains the options for `navigator.credentials.create()`.
    """
    return await passkeys.begin_to_add(db, user, recent)


@router.post("/me/passkeys", status_code=201, dependencies=[limited_by("change_factors")])
@responds(WRONG, CANNOT_BE_ADDED)
@before_setup
async def add_passkey(
    recent: RecentLogin, user: VerifiedUser, body: NewPasskey, passkeys: ThePasskeys, db: Db
) -> AddedPasskey:
    """Add a passkey

    From then on, password logins ask for a second factor. All other sessions end.
    """
    passkey, codes = await passkeys.add(db, user, recent, body.credential, body.name)
    shown = msgspec.structs.asdict(public(passkey))
    return AddedPasskey(**shown, recovery_codes=msgspec.UNSET if codes is None else codes)


@router.get("/me/passkeys", status_code=200)
@before_setup
async def list_passkeys(login: CurrentLogin, passkeys: ThePasskeys, db: Db) -> list[PublicPasskey]:
    """List your passkeys"""
    return [public(each) for each in await passkeys.of(db, login.user)]


@router.patch("/me/passkeys/{passkey_id}", status_code=200, dependencies=[limited_by("change_factors")])
@responds(NOT_SET_UP)
async def rename_passkey(
    recent: RecentLogin,
    login: CurrentLogin,
    passkey_id: str,
    body: PasskeyName,
    still: StillLoggedIn,
    passkeys: ThePasskeys,
    db: Db,
) -> PublicPasskey:
    """Rename a passkey"""
    return public(await passkeys.rename(db, login.user, passkey_id, body.name))


@router.delete("/me/passkeys/{passkey_id}", status_code=204, dependencies=[limited_by("change_factors")])
@responds(NOT_SET_UP, LAST)
async def remove_passkey(
    recent: RecentLogin,
    login: CurrentLogin,
    passkey_id: str,
    passkeys: ThePasskeys,
    factors: AllFactors,
    db: Db,
) -> None:
    """Remove a passkey

    Removing the last factor also removes the recovery codes. All other sessions end.
    """
    await factors.remove(db, login.user, passkeys, passkey_id, session=recent)

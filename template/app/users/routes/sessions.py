"""Log in and out, refresh, confirm, list and end sessions. The rules are in the manager."""

import msgspec
from hawkapi import Depends, Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.database import Db
from app.users.cookies import (
    cancel_login,
    device_cookie,
    give_cookie,
    own_session_cookie,
    remember_browser,
    session_cookie,
    take_cookie,
)
from app.users.dependencies import (
    CurrentLogin,
    OptionalLogin,
    RecentLogin,
    Users,
    before_setup,
    limited_by,
    within_wrong_passwords,
)
from app.users.manager import UserManager
from app.users.routes.errors import (
    BUSY,
    CONFIRM_WITH_FACTOR,
    CROSS_SITE,
    INVALID_CREDENTIALS,
    REFRESH_REFUSED,
    SECOND_FACTOR,
    WRONG_PASSWORD,
)
from app.users.schemas import (
    CookieLogin,
    Credentials,
    LoggedIn,
    Logout,
    PasswordConfirmation,
    PublicSession,
    PublicUser,
    Refresh,
    TokenPair,
    public,
    public_session,
)
from app.users.sessions import COOKIE, IssuedSession
from app.web import responds
from app.web.csrf import require_same_origin

# Your own imports go below; template updates never touch them.
# isort: split

router = Router(tags=["sessions"])

CLEARED = {"Clear-Site-Data": '"cache", "storage"'}
"""Clears the data that pages have stored in the browser (ASVS 14.3.1). Never add "cookies", which would
clear the cookies for the whole registrable domain, including `__Host-device`. Without that cookie, strangers
can lock the owner out."""


def tokens_for(users: UserManager, issued: IssuedSession) -> TokenPair:
    """The tokens to send to a bearer session's client."""
    return TokenPair(
        access_token=users.tokens.issue_access(issued.user.id, session_id=issued.session.id),
        refresh_token=issued.token,
        expires_in=users.tokens.config.access_ttl_seconds,
    )


def logged_in(users: UserManager, issued: IssuedSession) -> LoggedIn:
    """The response to a login that started a bearer session."""
    tokens = msgspec.structs.asdict(tokens_for(users, issued))
    return msgspec.convert(msgspec.structs.asdict(public(issued.user)) | tokens, LoggedIn)


@router.post("/login", status_code=200, dependencies=[limited_by("login"), Depends(within_wrong_passwords)])
@responds(INVALID_CREDENTIALS, SECOND_FACTOR, BUSY)
async def login(request: Request, body: Credentials, users: Users, db: Db) -> LoggedIn:
    """Log in with an e-mail address and password

    Send the access token with later requests as `Authorization: Bearer …`. When it has expired, use the
    refresh token to get a new one.
    """
    issued = await users.log_in(db, email=body.email, password=body.password, browser=device_cookie(request))
    remember_browser(request, users, issued.user)
    return logged_in(users, issued)


@router.post(
    "/login/cookie",
    status_code=200,
    dependencies=[
        limited_by("login_with_cookie"),
        Depends(within_wrong_passwords),
        Depends(require_same_origin),
    ],
)
@responds(INVALID_CREDENTIALS, SECOND_FACTOR, CROSS_SITE, BUSY)
async def login_with_cookie(request: Request, users: Users, db: Db, body: CookieLogin) -> PublicUser:
    """Log in with an e-mail address and password, and set a session cookie

    For browsers. The browser's previous session ends.
    """
    issued = await users.log_in(
        db,
        email=body.email,
        password=body.password,
        kind="cookie",
        remember=body.remember,
        replaces=session_cookie(request),
        browser=device_cookie(request),
    )
    give_cookie(request, issued)
    remember_browser(request, users, issued.user)
    return public(issued.user)


@router.post("/token/refresh", status_code=200, dependencies=[limited_by("refresh")])
@responds(REFRESH_REFUSED)
async def refresh(body: Refresh, users: Users, db: Db) -> TokenPair:
    """Exchange a refresh token for a new pair of tokens

    Store both tokens: a refresh token works only once. For a few seconds, using it again returns the same
    new refresh token, so that two tabs can refresh at the same time. Any later use ends the session, because
    the token may have been stolen.
    """
    return tokens_for(users, await users.refresh(db, body.refresh_token))


@router.post("/logout", status_code=204)
@before_setup
async def logout(
    request: Request, login: OptionalLogin, users: Users, db: Db, body: Logout | None = None
) -> Response:
    """Log out

    If the access token has expired, send the refresh token in the body. Returns 204 even if you are not
    logged in.
    """
    cookie = own_session_cookie(request)
    await cancel_login(request, users, db)
    if login is not None:
        await users.log_out(db, login.user, login.session)
    elif body is not None and body.refresh_token is not None:
        await users.log_out_with(db, body.refresh_token)
    elif cookie is None:
        # A page on another site can send this request, so do not clear this site's stored data.
        return Response(status_code=204)
    if cookie is not None:
        if login is None or login.session.kind != COOKIE:
            # A bearer token takes precedence over the cookie, but the cookie's session must also end.
            await users.log_out_with_cookie(db, cookie)
        take_cookie(request)
    return Response(status_code=204, headers=CLEARED)


@router.post("/me/confirm", status_code=204, dependencies=[limited_by("confirm")])
@responds(WRONG_PASSWORD, CONFIRM_WITH_FACTOR, BUSY)
@before_setup
async def confirm(
    request: Request, login: CurrentLogin, body: PasswordConfirmation, users: Users, db: Db
) -> None:
    """Confirm the password, so that the login counts as recent

    A session cookie is replaced by a new one.
    """
    issued = await users.confirm(db, login.user, login.session, password=body.password)
    if issued is not None:
        give_cookie(request, issued)


@router.get("/me/sessions", status_code=200)
async def list_sessions(login: CurrentLogin, users: Users, db: Db) -> list[PublicSession]:
    """List your sessions, most recently used first

    Only the 100 most recently used sessions are listed.
    """
    found = await users.sessions.listed(db, login.user, current=login.session)
    return [public_session(row, login.session) for row in found]


@router.delete("/me/sessions", status_code=204)
async def end_other_sessions(recent: RecentLogin, login: CurrentLogin, users: Users, db: Db) -> None:
    """End all other sessions

    This includes sessions that the list does not show.
    """
    await users.end_sessions(db, login.user, except_session=recent)


@router.delete("/me/sessions/{session_id}", status_code=204)
@responds({404: "The session does not exist."})
async def end_session(
    recent: RecentLogin, login: CurrentLogin, session_id: str, users: Users, db: Db
) -> None:
    """End one session"""
    await users.end_session(db, login.user, session_id)


# Your own routes go below; template updates never touch them.

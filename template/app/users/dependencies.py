"""Guards that handlers request by type. To guard a route, make `user: CurrentUser` its FIRST parameter.

    @router.get("/things", status_code=200)
    async def list_things(user: CurrentUser, db: Db) -> list[ThingOut]: ...

Each guard runs before the body is read and appears in the OpenAPI document. Every request reads the user and
the session in one query, so logging out, resetting a password, and disabling or deleting an account all take
effect on the next request.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from hawkapi import Depends, Request
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from app import i18n
from app.database import Db, act_as, released, separate_transaction
from app.database.reading import ReadOnlySession
from app.i18n import N_
from app.i18n import gettext as _
from app.users.cookies import SECURE_NAME, device_cookie, give_cookie, session_cookie
from app.users.exceptions import SessionEnded, TokenError, TooManyRequests
from app.users.manager import UserManager
from app.users.models import User, UserSession
from app.users.rate_limits import LIMITS
from app.users.refusals import note_refusal
from app.users.sessions import BEARER, COOKIE, IssuedSession
from app.web import Problem, needs, responds, secured_by
from app.web.access_log import note_user
from app.web.client_ip import client_of
from app.web.csrf import require_same_origin
from app.web.framework.application import services_of_request

# Your own imports go below; template updates never touch them.
# isort: split

logger = logging.getLogger("app.users")

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The `access_token` from a login response.",
}
_COOKIE = {
    "type": "apiKey",
    "in": "cookie",
    "name": SECURE_NAME,
    "description": "Set by a cookie login and sent by the browser. Unsafe methods also need a same-origin"
    " Sec-Fetch-Site or Origin header.",
}
_NO_LOGIN = {401: {"not_logged_in": "Not logged in.", "session_ended": "The session has ended."}}
SETUP_REQUIRED = "second_factor_setup_required"
_NO_FACTOR = {403: {SETUP_REQUIRED: "REQUIRE_SECOND_FACTOR requires a factor, and the account has none."}}


def resolve_user_manager(app: object) -> UserManager | None:
    """*app*'s user manager, or None if *app* does not have one."""
    return getattr(getattr(app, "state", None), "users", None)


def get_user_manager(request: Request) -> UserManager:
    """The user manager of the application that handles this request."""
    manager = resolve_user_manager(request.scope.get("app"))
    if manager is None:
        raise RuntimeError("This application has no user manager. Call app.users.init_users(app, ...).")
    return manager


Users = Annotated[UserManager, Depends(get_user_manager)]


_TOO_MANY = {429: "Too many requests or wrong passwords. Retry-After indicates when to try again."}
_NOT_CHECKED = {503: {"rate_limits_unavailable": "The rate limits cannot be checked. See Retry-After."}}


def limited_by(row: str) -> Any:
    """A guard that applies the limits in *row* of `LIMITS`: `dependencies=[limited_by("export")]`.

    Routes that use the same row share its counts. A request from an IP address over the limit is rejected
    before its body is read.

    Raises:
        LookupError: there is no such row. Raised at import time.
    """
    if row not in LIMITS:
        raise LookupError(
            f"There is no limit {row!r}: add a row with that name to LIMITS in app/users/rate_limits.py."
        )

    @responds(_TOO_MANY, _NOT_CHECKED)
    async def guard(request: Request, users: Users) -> None:
        if users.limits is not None:
            await users.limits.count(row, ip=client_of(request).network)

    guard.__dict__["limit"] = row
    return Depends(guard)


@responds(_TOO_MANY, _NOT_CHECKED)
async def within_wrong_passwords(request: Request, users: Users) -> None:
    """Reject logins from IP addresses with too many wrong passwords, before the body is read.

    A browser that is known for any account is let through, because only the body shows which account the
    login is for.
    """
    if users.limits is not None and not users.device_cookies.is_ours(device_cookie(request)):
        try:
            await users.limits.look_at_passwords(client_of(request).network)
        except TooManyRequests:
            await note_refusal(request, users, "guessing_blocked", "password")
            raise


@dataclass(frozen=True, slots=True)
class Login:
    """The user who sent the request, and the session that authenticates it."""

    user: User
    session: UserSession


class SetupRequired(Problem):
    """*user* has not set up a required second factor (REQUIRE_SECOND_FACTOR)."""

    def __init__(self, user: User) -> None:
        super().__init__(403, N_("Set up a second factor first."), code=SETUP_REQUIRED)
        self.user = user


async def find_login(request: Request, users: Users, db: Db) -> Login | Problem:
    """The login that authenticates the request, or the error response if there is none.

    From this point on, responses are in the language that the user has set.

    An access token in `Authorization: Bearer` (RFC 6750) takes precedence over a cookie. A cookie is accepted
    only in requests from this application's own pages.
    """
    async with released(db):
        try:
            if (token := _access_token(request)) is not None:
                session, user = await _by_access_token(users, db, token)
            elif cookie := session_cookie(request):
                require_same_origin(request)
                session, user = await users.sessions.by_token(db, cookie, kind=COOKIE)
                if resealed := users.sessions.resealed(cookie):
                    give_cookie(request, IssuedSession(session, user, resealed))
            else:
                return _unauthorized(
                    N_("Log in first, then send the access token as Authorization: Bearer, or the cookie."),
                    code="not_logged_in",
                )
        except (TokenError, SessionEnded):
            return _unauthorized(
                N_("The session has ended. Refresh the access token, or log in again."),
                code=SessionEnded.code,
            )
        act_as(db, user.id, session.kind)
        note_user(request, user.id)
        i18n.use(user.language)
        if session.lacks_factor and users.must_have_factor(user) and not _is_for_setup(request):
            return SetupRequired(user)
        if users.sessions.is_due(session):
            await _write_down(users, db, session)
        return Login(user, session)


def before_setup[Handler: Callable[..., Any]](handler: Handler) -> Handler:
    """Let *handler* serve users who have not set up a required second factor (REQUIRE_SECOND_FACTOR)."""
    handler.__dict__["before_setup"] = True
    return handler


def is_before_setup(handler: Callable[..., Any]) -> bool:
    """Whether *handler* is marked with `before_setup`."""
    return hasattr(handler, "before_setup")


def _is_for_setup(request: Request) -> bool:
    return is_before_setup(request.scope["route"].handler)


def _access_token(request: Request) -> str | None:
    """The token in `Authorization: Bearer`. Other schemes are ignored, because a proxy may require Basic."""
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


async def _by_access_token(users: UserManager, db: AsyncSession, token: str) -> tuple[UserSession, User]:
    user_id, session_id = users.tokens.verify_access(token)
    session, user = await users.sessions.by_id(db, session_id)
    if session.kind != BEARER or user.id != user_id:
        raise SessionEnded
    return session, user


async def _write_down(users: UserManager, db: AsyncSession, session: UserSession) -> None:
    if not isinstance(db.sync_session, ReadOnlySession):
        await users.sessions.seen(db, session)
        return
    try:
        async with separate_transaction(db) as db:
            await users.sessions.seen(db, session)
    except SQLAlchemyError as error:
        logger.warning("a session's last_seen_at was not updated (%s)", type(error).__name__)


FoundLogin = Annotated[Login | Problem, Depends(find_login)]


def _unauthorized(detail: str, *, code: str) -> Problem:
    return Problem(401, detail, code=code, headers={"WWW-Authenticate": "Bearer"})


def _address_of(request: Request, path: str) -> str:
    prefix = services_of_request(request).settings.users_prefix
    return prefix + path


@responds(_NO_LOGIN, _NO_FACTOR)
@secured_by("bearer", _BEARER)
@secured_by("session", _COOKIE)
@needs("a login")
async def current_login(found: FoundLogin) -> Login:
    if isinstance(found, Problem):
        raise found
    return found


CurrentLogin = Annotated[Login, Depends(current_login)]
"""The logged-in user and their session. Without a login, the response is 401."""


async def current_user(login: CurrentLogin) -> User:
    return login.user


CurrentUser = Annotated[User, Depends(current_user)]
"""The logged-in user. Without a login, the response is 401."""


async def current_session(login: CurrentLogin) -> UserSession:
    return login.session


CurrentSession = Annotated[UserSession, Depends(current_session)]
"""The session of the logged-in user. Without a login, the response is 401."""


@secured_by("bearer", _BEARER, optional=True)
@secured_by("session", _COOKIE, optional=True)
async def optional_login(found: FoundLogin) -> Login | None:
    return None if isinstance(found, Problem) else found


OptionalLogin = Annotated[Login | None, Depends(optional_login)]


async def optional_user(login: OptionalLogin) -> User | None:
    return login and login.user


OptionalUser = Annotated[User | None, Depends(optional_user)]
"""The logged-in user, or None if nobody is logged in or the session has ended."""


@responds({403: {"email_not_verified": "The e-mail address is not verified yet."}})
@needs("a verified address")
async def verified_user(request: Request, user: CurrentUser) -> User:
    if not user.is_verified:
        sentence = _("Verify your e-mail address first. Request a link with POST {path}.")
        path = _address_of(request, "/verify/request")
        raise Problem(403, sentence.format(path=path), code="email_not_verified")
    return user


VerifiedUser = Annotated[User, Depends(verified_user)]
"""The logged-in user. If their e-mail address is not verified, the response is 403."""


@responds({403: {"superusers_only": "For superusers only."}})
@needs("a superuser")
async def superuser(user: CurrentUser) -> User:
    if not user.is_superuser:
        raise Problem(403, "Only superusers can do this.", code="superusers_only")
    return user


Superuser = Annotated[User, Depends(superuser)]
"""The logged-in user. If they are not a superuser, the response is 403."""


async def still_logged_in(login: CurrentLogin, users: Users, db: Db) -> Login:
    # `by_id` raises if the session has ended, and refreshes the user and session that the guards returned.
    await users.sessions.by_id(db, login.session.id)
    return login


StillLoggedIn = Annotated[Login, Depends(still_logged_in)]
"""The login, checked again once the body has been read. Put this parameter AFTER the body: the other guards
run before the body is read, and a client can take a long time to send the body."""


@needs("a superuser")
async def still_superuser(login: StillLoggedIn) -> User:
    return await superuser(login.user)


StillSuperuser = Annotated[User, Depends(still_superuser)]
"""Like `StillLoggedIn`, but for superuser routes that take a body and grant privileges."""


@responds(
    {
        403: {
            "recent_login_required": "The last password check was too long ago. Confirm the password with"
            " POST …/me/confirm."
        }
    }
)
@needs("a recent login")
async def recent_login(request: Request, login: CurrentLogin, users: Users) -> UserSession:
    if not users.sessions.is_recent(login.session):
        seconds = int(users.sessions.limits.recent.total_seconds())
        # The challenge follows RFC 9470, but the status does not: the RFC's 401 would make clients refresh a
        # valid token.
        challenge = f'Bearer error="insufficient_user_authentication", max_age="{seconds}"'
        sentence = _("Confirm your password first, with POST {path}.")
        raise Problem(
            403,
            sentence.format(path=_address_of(request, "/me/confirm")),
            code="recent_login_required",
            headers={"WWW-Authenticate": challenge},
        )
    return login.session


RecentLogin = Annotated[UserSession, Depends(recent_login)]
"""The session. If the user last authenticated more than RECENT_LOGIN seconds ago, the response is 403."""


# Your own guards go below; template updates never touch them.

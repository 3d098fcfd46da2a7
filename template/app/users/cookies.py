"""The session, device and login cookies. Scripts cannot read them, and other hosts cannot set them (ASVS
3.3.1).

`__Host-session` authenticates a session. `__Host-device` marks the browser as known for an account, but does
not log anyone in. `__Host-login` belongs to a login that is still waiting for the second factor. With
COOKIE_SECURE=false (for development over plain HTTP), the cookies are named `session`, `device` and `login`.
"""

from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

from hawkapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.users.device_cookies import LIFETIME
from app.users.manager import UserManager
from app.users.models import User
from app.users.sessions import IssuedSession
from app.web import delete_cookie, set_cookie
from app.web.csrf import CrossSiteRequest, require_same_origin
from app.web.framework.application import services_of_request

SECURE_NAME = "__Host-session"
PLAIN_NAME = "session"
DEVICE = "device"
LOGIN = "login"


def session_cookie(request: Request) -> str | None:
    """The value of the session cookie, if there is one."""
    return request.cookies.get(_name(request))


def own_session_cookie(request: Request) -> str | None:
    """Like `session_cookie`, but None if the request may come from another site."""
    return session_cookie(request) if _is_from_same_origin(request) else None


def give_cookie(request: Request, issued: IssuedSession) -> None:
    """Set the cookie for a session. Without "remember me", the cookie lasts until the browser is closed."""
    row = issued.session
    is_remembered = (
        row.expires_at - row.created_at > services_of_request(request).users.sessions.limits.not_remembered
    )
    seconds = int((row.expires_at - clock.now()).total_seconds())
    set_cookie(
        request,
        _name(request),
        issued.token,
        max_age=seconds if is_remembered else None,
        secure=_is_secure(request),
    )


def take_cookie(request: Request) -> None:
    """Delete the session cookie."""
    delete_cookie(request, _name(request), secure=_is_secure(request))


def give_login_key(request: Request, ticket: str, key: str, *, name: str = LOGIN) -> None:
    """Allow only this browser to finish the login with this *ticket* (`app/users/second_factors.py`).

    *name*: the name of the cookie. Each kind of unfinished login has its own cookie.
    """
    # The database decides when the login expires, so the cookie lasts until the browser is closed.
    secure = _is_secure(request)
    set_cookie(request, _full_name(request, name), f"{ticket}.{key}", max_age=None, secure=secure)


def login_key(request: Request, *, name: str = LOGIN) -> tuple[str, str]:
    """The ticket and the key for the login that this browser started; empty strings if there is none."""
    ticket, _, key = (request.cookies.get(_full_name(request, name)) or "").partition(".")
    return ticket, key


async def cancel_login(request: Request, users: UserManager, db: AsyncSession) -> None:
    """Cancel the login that this browser started but did not finish, because its user has logged out.

    Otherwise, the next person at this browser could finish the login without the password. A request that may
    come from another site has no effect.
    """
    ticket, _ = login_key(request)
    if ticket and _is_from_same_origin(request):
        await users.cancel_login(db, ticket)
        take_login_key(request)


def take_login_key(request: Request, *, name: str = LOGIN) -> None:
    """Delete the cookie that `give_login_key` set."""
    delete_cookie(request, _full_name(request, name), secure=_is_secure(request))


def device_cookie(request: Request) -> str:
    """The value of the device cookie, or an empty string."""
    return request.cookies.get(_full_name(request, DEVICE)) or ""


def remember_browser(request: Request, users: UserManager, user: User | None) -> None:
    """Mark this browser as known for the account. If *user* is None, set a cookie that looks the same but
    does not refer to any account."""
    user_id, password_version = (user.id, user.password_version) if user else (str(uuid4()), 0)
    set_cookie(
        request,
        _full_name(request, DEVICE),
        users.device_cookies.remember(device_cookie(request), user_id, password_version),
        max_age=int(LIFETIME.total_seconds()),
        secure=_is_secure(request),
    )


@contextmanager
def keeping_browser_known(request: Request, users: UserManager, user: User) -> Generator[None]:
    """If this browser is known for the account, keep it known after the block schedules the account's
    deletion.

    Otherwise, wrong passwords from strangers could keep the owner from logging in to cancel the deletion.
    """
    is_known = users.is_known_browser(device_cookie(request), user)
    yield
    if is_known and users.deletion_grace:
        remember_browser(request, users, user)


def _is_from_same_origin(request: Request) -> bool:
    try:
        require_same_origin(request)
    except CrossSiteRequest:
        return False
    return True


def _full_name(request: Request, name: str) -> str:
    return f"__Host-{name}" if _is_secure(request) else name


def _is_secure(request: Request) -> bool:
    return services_of_request(request).settings.cookie_secure


def _name(request: Request) -> str:
    return SECURE_NAME if _is_secure(request) else PLAIN_NAME

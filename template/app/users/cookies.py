"""The cookie of a session: `__Host-session`, which no script reads and no other host sets (ASVS 3.3.1).

With COOKIE_SECURE=false, for development over plain http, it is called `session`.
"""

from hawkapi import Request

from app import clock
from app.users.sessions import Issued
from app.web import delete_cookie, set_cookie

SECURE_NAME = "__Host-session"
PLAIN_NAME = "session"


def session_cookie(request: Request) -> str | None:
    """What the request's cookie holds."""
    return request.cookies.get(_name(request))


def give_cookie(request: Request, issued: Issued) -> None:
    """Send the cookie of a new session. One that is not remembered goes when the browser is closed."""
    row = issued.row
    is_remembered = row.expires_at - row.created_at > request.scope["app"].state.users.sessions.limits.short
    seconds = int((row.expires_at - clock.now()).total_seconds())
    set_cookie(
        request,
        _name(request),
        issued.token,
        max_age=seconds if is_remembered else None,
        secure=_is_secure(request),
    )


def take_cookie(request: Request) -> None:
    """Make the browser forget its session."""
    delete_cookie(request, _name(request), secure=_is_secure(request))


def _is_secure(request: Request) -> bool:
    return request.scope["app"].state.settings.cookie_secure


def _name(request: Request) -> str:
    return SECURE_NAME if _is_secure(request) else PLAIN_NAME

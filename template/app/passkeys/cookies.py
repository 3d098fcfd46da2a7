"""The cookie that binds a login by passkey to the browser that began it. Scripts cannot read it."""

from hawkapi import Request

from app.web import delete_cookie, set_cookie
from app.web.framework.application import services_of_request

_NAME = "passkey"


def give_key(request: Request, key: str) -> None:
    """Let this browser, and no other one, finish the login that begins."""
    set_cookie(request, _name(request), key, max_age=600, secure=_is_secure(request))


def key_of(request: Request) -> str:
    """The key of the login that this browser has begun, or an empty string."""
    return request.cookies.get(_name(request)) or ""


def take_key(request: Request) -> None:
    """Delete what `give_key` has set."""
    delete_cookie(request, _name(request), secure=_is_secure(request))


def _name(request: Request) -> str:
    return f"__Host-{_NAME}" if _is_secure(request) else _NAME


def _is_secure(request: Request) -> bool:
    return services_of_request(request).settings.cookie_secure

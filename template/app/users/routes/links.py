"""The routes behind e-mailed links. Each handler takes the token from the path, the body or a cookie.

E-mailed links have the token in the path. A front end sends the token in the body, which keeps it out of logs
and the browser history. For the same reason, the pages that set a password move the token from the path into
a cookie.
"""

from collections.abc import Callable
from typing import Any

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.users.dependencies import limited_by
from app.users.exceptions import TokenError
from app.users.schemas import PublicUser
from app.web import delete_cookie, invalid, set_cookie
from app.web.csrf import require_same_origin
from app.web.framework.application import services_of_request
from app.web.framework.parameters import sent_by_form

_LIFETIME = 3600
"""How long a user may take to fill in the form, in seconds. The e-mailed link still works after that."""


def mailed_link[Handler: Callable[..., Any]](
    router: Router, path: str, *, limit: str, status_code: int = 200
) -> Callable[[Handler], Handler]:
    """Register a handler for POST *path* and for POST *path*/{token}. Both count toward *limit*."""

    def register(handler: Handler) -> Handler:
        for each in (path, path + "/{token}"):
            router.post(
                each, status_code=status_code, response_model=PublicUser, dependencies=[limited_by(limit)]
            )(handler)
        return handler

    return register


def token_of(request: Request, in_body: str | None) -> str:
    """The token in the path, or else the token in the body. For a form without either, the one in the cookie.

    Raises:
        Problem: there is no token (400).
        TokenError: the form has no token and the cookie has expired.
        CrossSiteRequest: the form comes from another site.
    """
    token = request.path_params.get("token", in_body)
    if token is None and sent_by_form(request):
        # A form on another site must not use the cookie (CWE-352).
        require_same_origin(request)
        return token_of_cookie(request)
    if token is None:
        raise invalid(
            "token", "The token from the e-mailed link is required, in the path or in the body.", "missing"
        )
    return str(token)


def move_token_to_cookie(request: Request, token: str) -> Response:
    """Redirect to the URL without the token, and keep the token in a cookie for an hour.

    This keeps the token out of the browser history and the address bar.
    """
    # The cookie is SameSite=Lax: a link in webmail comes from another site, so a Strict cookie would not be
    # sent.
    set_cookie(request, _name(request), token, max_age=_LIFETIME, secure=_is_secure(request))
    path = request.path.rpartition("/")[0]
    return Response(b"", status_code=303, headers={"Location": path})


def token_of_cookie(request: Request) -> str:
    """The token that `move_token_to_cookie` stored. Raises `TokenError` if the cookie has expired."""
    token = request.cookies.get(_name(request))
    if not token:
        raise TokenError("the cookie with the token has expired")
    return token


def forget_token(request: Request) -> None:
    """Delete the cookie that holds the token. Call this once the token has been used."""
    if _name(request) in request.cookies:
        delete_cookie(request, _name(request), secure=_is_secure(request))


def link_kind(request: Request) -> str:
    """The part of the path that shows what the link is for, such as `password-reset`."""
    prefix = services_of_request(request).settings.users_prefix
    return request.path.removeprefix(prefix).strip("/").partition("/")[0]


def _name(request: Request) -> str:
    """Each kind of link has its own cookie, so links of two kinds can be open at the same time."""
    return f"__Host-{link_kind(request)}" if _is_secure(request) else link_kind(request)


def _is_secure(request: Request) -> bool:
    return services_of_request(request).settings.cookie_secure

"""The routes behind mailed links: one handler takes the token from the path or from the body.

Mails have the token in the path. A front end sends it in the body, which keeps it out of logs and the browser
history.
"""

from collections.abc import Callable
from typing import Any

from hawkapi import Request
from hawkapi.routing.router import Router

from app.users.dependencies import limited_by
from app.users.schemas import PublicUser
from app.web import invalid


def mailed_link[Handler: Callable[..., Any]](
    router: Router, path: str, *, limit: str, status_code: int = 200
) -> Callable[[Handler], Handler]:
    """Register a handler for POST *path* and for POST *path*/{token}. Both count against *limit*."""

    def register(handler: Handler) -> Handler:
        for each in (path, path + "/{token}"):
            router.post(
                each, status_code=status_code, response_model=PublicUser, dependencies=[limited_by(limit)]
            )(handler)
        return handler

    return register


def token_of(request: Request, in_body: str | None) -> str:
    """The token in the path, or else the token in the body. Without either, 400."""
    token = request.path_params.get("token", in_body)
    if token is None:
        raise invalid("token", "The token of the mailed link is required, in the path or in the body.")
    return str(token)

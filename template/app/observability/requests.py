"""The request data in metrics and traces: the method, the route's pattern, and the status."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from app.web.framework.asgi import Application, Message

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"
"""The route recorded for a request that matches no route or is rejected before routing."""


class Observed:
    """A request, and the status of its response."""

    def __init__(self, scope: Any) -> None:
        self.scope = scope
        self.status = 500
        """A request that ends without a response keeps this status."""

    @property
    def method(self) -> str:
        """The method, or `other` if unknown. A client can send any word as the method, and each one would
        create a new time series."""
        return self.scope["method"] if self.scope["method"] in _METHODS else "other"

    @property
    def route(self) -> str:
        """The route's pattern, such as `/users/{user_id}`. Unlike the path, the pattern contains no tokens.
        It is known only after routing."""
        route = self.scope.get("route")
        return UNMATCHED if route is None else route.path


def observe(
    start: Callable[[Observed], AbstractContextManager[None]],
) -> Callable[[Application], Application]:
    """The middleware that runs each request inside `start(request)`."""

    def wrap(app: Application) -> Application:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            request = Observed(scope)

            async def noting_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    request.status = message["status"]
                await send(message)

            with start(request):
                await app(scope, receive, noting_send)

        return middleware

    return wrap

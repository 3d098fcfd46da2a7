"""HEAD: the head of the answer to GET with its Content-Length, and no byte of a body.

HawkAPI 0.2.0 sends two Content-Length headers there.
"""

from contextlib import suppress
from typing import Any

from app.web.interface import Application, Message


class _HeadIsSent(BaseException):
    """Ends a stream that nobody will read."""


def answer_head(app: Application) -> Application:
    async def layer(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "HEAD":
            await app(scope, receive, send)
            return
        with suppress(_HeadIsSent):
            await app({**scope, "method": "GET"}, receive, _without_body(send))

    return layer


def _without_body(send: Any) -> Any:
    complete = False

    async def head_only(message: Message) -> None:
        nonlocal complete
        if message["type"] != "http.response.body":
            await send(message)
            return
        if complete:
            # A stream that is ended says so once more.
            return
        complete = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body", False):
            raise _HeadIsSent

    return head_only

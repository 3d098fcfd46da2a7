"""Logs one line per request (logger `app.access`) and gives each request an id.

A line never contains a query string, a token or a header. Every log line for a request contains the request's
id. The response contains the id in `X-Request-ID`, so that users can quote it when they report an error.
"""

import asyncio
import logging
import re
from dataclasses import dataclass
from time import perf_counter
from typing import Any
from uuid import uuid4

from hawkapi import Request

from app.logs import request_id
from app.web.client_ip import address_of, is_from_proxy
from app.web.framework.asgi import Application, Message, Scope

logger = logging.getLogger("app.access")

GONE = 499
"""Logged, never sent: the client disconnected before the response started (nginx uses the same status)."""
_MAX_PART = 36
"""The length of a UUID in characters. Longer path segments are hidden: a mistyped URL may contain a token."""
_MAX_PATH = 1024
_HIDDEN = "..."
_EXCHANGE = "app.exchange"
_CLEAN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Exchange:
    """The progress of a request and its response."""

    began: float
    request_id: str
    status: int | None = None
    bytes_sent: int = 0
    is_gone: bool = False
    is_written: bool = False
    user_id: str | None = None
    hidden: str | None = None


def note_user(request: Request, user_id: str) -> None:
    """Add the user to the log line for *request*."""
    if (exchange := request.scope.get(_EXCHANGE)) is not None:
        exchange.user_id = user_id


def is_of_user(scope: Scope) -> bool:
    """Whether a guard has authenticated the request."""
    return (exchange := scope.get(_EXCHANGE)) is not None and exchange.user_id is not None


def hide(scope: Scope, part: str) -> None:
    """Hide *part* of the path in the request's log line."""
    if (exchange := scope.get(_EXCHANGE)) is not None:
        exchange.hidden = part


def leave_out(request: Request) -> None:
    """Do not log *request*. Use this for requests that a page repeats every few seconds."""
    if (exchange := request.scope.get(_EXCHANGE)) is not None:
        exchange.is_written = True


def response_has_begun(scope: Scope) -> bool:
    return scope[_EXCHANGE].status is not None


def request_id_of(scope: Scope) -> str:
    """The request's id, also for layers outside all middleware. Empty until `log_requests` sets it."""
    exchange = scope.get(_EXCHANGE)
    return "" if exchange is None else exchange.request_id


def log_requests(app: Application) -> Application:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange(perf_counter(), _request_id(scope))
        scope[_EXCHANGE] = exchange
        identifier = (b"x-request-id", exchange.request_id.encode())
        context = request_id.set(exchange.request_id)

        async def noting_receive() -> Message:
            message: Message = await receive()
            if message["type"] == "http.disconnect" and exchange.status is None:
                exchange.is_gone = True
            return message

        async def noting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                headers = [each for each in message.get("headers", ()) if each[0].lower() != identifier[0]]
                await send({**message, "headers": [*headers, identifier]})
                return
            await send(message)
            exchange.bytes_sent += len(message.get("body", b""))
            if not message.get("more_body", False):
                # Log now, not after the background tasks: the client does not wait for them.
                _write(scope, exchange)

        try:
            await app(scope, noting_receive, noting_send)
        except asyncio.CancelledError:
            exchange.is_gone |= exchange.status is None
            raise
        finally:
            _write(scope, exchange)
            request_id.reset(context)

    return middleware


def _request_id(scope: Scope) -> str:
    """The id sent by a trusted proxy, so that both logs contain the same id; otherwise, a new id."""
    if is_from_proxy(scope):
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        if _CLEAN_ID.fullmatch(text := given.decode("latin-1")):
            return text
    return uuid4().hex


def _write(scope: Scope, exchange: Exchange) -> None:
    if exchange.is_written or not logger.isEnabledFor(logging.INFO):
        return
    exchange.is_written = True
    method, path = scope["method"], _path(scope["path"], exchange.hidden)
    status = GONE if exchange.is_gone else exchange.status or 500
    logger.info(
        "%s %s %d",
        method,
        path,
        status,
        extra={
            "method": method,
            "path": path,
            "status": status,
            "milliseconds": round((perf_counter() - exchange.began) * 1000, 1),
            "bytes": exchange.bytes_sent,
            "client": address_of(scope),
            "user": exchange.user_id,
        },
    )


def _path(path: str, hidden: str | None) -> str:
    if hidden is None and len(path) <= _MAX_PART:
        return path
    parts = [_HIDDEN if each == hidden or len(each) > _MAX_PART else each for each in path.split("/")]
    return "/".join(parts)[:_MAX_PATH]

"""The middleware that every request passes through, in its order, and every response on its way out.

From the outside in, each with the reason for its place:

1. `log_requests`: sees every request, also one that is refused, and gives it its id.
2. `respond_to_head`: HEAD is GET from here on, so nothing further in has to think of it.
3. `well_formed` and 4. `security_headers`: hold for every response, whatever sends it.
5. `check_host`: under a name that is not served there is nothing, not even CORS.
6. CORS: outside of whatever sends an error, so that a front end can read it.
7. `limit_size` and 8. `limit_time`: before any work is done for the request.
9. `App`'s own: an exception of a middleware becomes a response, then your middleware, then the route.

Middleware of your own (`app.add_middleware`) is a part of 9. Change the headers in `_ALWAYS` freely; the
order is fixed.
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from hawkapi.middleware.cors import CORSMiddleware

from app.settings import Settings
from app.web.access_log import is_of_user, log_requests
from app.web.cookies import COOKIES
from app.web.framework.asgi import Application, Message
from app.web.problems import problem_response

logger = logging.getLogger("app.web")

MAX_URL_LENGTH = 8192
"""Bytes of path and query together. RFC 9110, section 4.1, asks for at least 8000."""
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    # URLs hold tokens: no other site learns which one a reader comes from.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
)
"""Headers of every response, errors too (ASVS 3.4). A header that a handler sets itself stays as it is.

The policy forbids everything: a response that is opened in a browser loads and runs nothing, and no other
site shows it in a frame. Pages allow what they need: `app/web/html.py`.
"""
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")
_EXEMPT = frozenset({"/livez", "/readyz", "/healthz"})
"""Load balancers and the container's own check name the host by its IP address."""
_ABOUT_A_BODY = frozenset({b"content-type", b"content-length"})


def build_stack(app: Application, settings: Settings | None) -> Application:
    """Wrap *app* in the middleware. Without *settings*, only in that which needs none."""
    if settings is not None:
        app = limit_time(app, body=settings.body_timeout, response=settings.request_timeout)
        app = limit_size(app, headers=settings.max_header_size)
        if settings.cors_origins:
            # An empty list would mean every origin to this class.
            app = CORSMiddleware(
                app,
                allow_origins=settings.cors_origins,
                allow_headers=["authorization", "content-type"],
                expose_headers=["Retry-After", "X-Request-ID"],
            )
        app = check_host(app, settings.allowed_hosts)
    app = security_headers(app, strict_transport_security(settings))
    return log_requests(respond_to_head(well_formed(app)))


class _HeadIsSent(BaseException):
    """Ends a stream that nobody will read."""


def respond_to_head(app: Application) -> Application:
    """HEAD: the head of the response to GET with its Content-Length, and no byte of a body.

    HawkAPI 0.2.0 sends two Content-Length headers there.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "HEAD":
            await app(scope, receive, send)
            return
        with suppress(_HeadIsSent):
            await app({**scope, "method": "GET"}, receive, _without_body(send))

    return middleware


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


def well_formed(app: Application) -> Application:
    """What HTTP demands of every response, whatever a handler returns, and the cookies of the request.

    No CR, LF or NUL in a header's value, which would let it end its header (CWE-113). In a 204 or 304 no
    body and no header about one (RFC 9110, sections 8.6 and 15.3.5). Caches keep no JSON unless its handler
    allows it: it is somebody's data, or tokens (RFC 6749, section 5.1; ASVS 14.3.2). The same holds for
    every response to a user who is logged in. A response that sets a cookie is never kept: a cache would
    give the cookie to others (CVE-2025-48947).
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        cookies: list[tuple[bytes, bytes]] = []
        scope[COOKIES] = cookies
        await app(scope, receive, _checked(scope, send, cookies))

    return middleware


def _checked(scope: Any, send: Any, cookies: list[tuple[bytes, bytes]]) -> Any:
    bodiless = False

    async def checked(message: Message) -> None:
        nonlocal bodiless
        if message["type"] == "http.response.start":
            bodiless = message["status"] in (204, 304)
            headers = [
                (name, value.translate(None, b"\r\n\0"))
                for name, value in [*message.get("headers", []), *cookies]
                if not (bodiless and name.lower() in _ABOUT_A_BODY)
            ]
            names = {name.lower(): value for name, value in headers}
            is_personal = b"json" in names.get(b"content-type", b"") or is_of_user(scope)
            if b"set-cookie" in names or (is_personal and b"cache-control" not in names):
                headers = [each for each in headers if each[0].lower() != b"cache-control"]
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        elif bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return checked


def strict_transport_security(settings: Settings | None) -> bytes:
    """The value of the header that keeps browsers to https (RFC 6797; ASVS 3.4.1), empty for none.

    Production only: a browser that has seen it once never again asks this host name over plain http.
    """
    if settings is None or settings.environment != "production" or not settings.hsts_max_age:
        return b""
    below = "; includeSubDomains" if settings.hsts_subdomains else ""
    return f"max-age={settings.hsts_max_age}{below}".encode()


def security_headers(app: Application, transport: bytes) -> Application:
    """Add `_ALWAYS`, and *transport*, the value of Strict-Transport-Security, unless it is empty."""
    always = (*_ALWAYS, (b"strict-transport-security", transport)) if transport else _ALWAYS

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [each for each in always if each[0] not in present]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, with_headers)

    return middleware


def check_host(app: Application, allowed: Iterable[str]) -> Application:
    """Respond with 400 unless the host is one of *allowed* (ALLOWED_HOSTS); an empty list allows any host.

    X-Forwarded-Host is read nowhere. Links are built from BASE_URL, so this is a second line of defence:
    caches and browsers (DNS rebinding) rely on the name as well.

    A request may name a host in its target too (`GET http://name/ HTTP/1.1`, `:authority` of HTTP/2), and
    then that one is meant, not the field Host (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1). Granian 2.8
    passes it on as Host where there is no such field, and drops it where there is one. So the two cannot be
    compared here, and Host counts: a proxy in front has to send the name that it went by as Host.
    """
    names = frozenset(allowed)
    as_sent = frozenset(f"[{name}]".encode() if ":" in name else name.encode() for name in names)

    def refusal(hosts: list[bytes]) -> str:
        if len(hosts) > 1:
            # The proxy in front may take another one of them than this application (RFC 9112, section 3.2).
            return "The request names more than one host."
        if not names or (hosts and (hosts[0] in as_sent or host_name(hosts[0].decode("latin-1")) in names)):
            return ""
        return "This host name is not served here."

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in _EXEMPT:
            sentence = refusal([value for name, value in scope["headers"] if name == b"host"])
            if sentence:
                await problem_response(400, sentence)(scope, receive, send)
                return
        await app(scope, receive, send)

    return middleware


def host_name(host: str) -> str:
    """The name in a Host header, without the port, in lower case; empty if *host* is not a host."""
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return ""
    if found["name"]:
        return found["name"]
    try:
        return str(ip_address(found["address"]))
    except ValueError:
        return ""


def limit_size(app: Application, *, headers: int) -> Application:
    """Respond with 414 or 431 to a request whose URL or headers are too large, before anything else is done.

    *headers*: bytes of all names and values together (MAX_HEADER_SIZE). MAX_BODY_SIZE holds where the body
    is read.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
        if len(path) + len(scope["query_string"]) > MAX_URL_LENGTH:
            response = problem_response(
                414, f"The address is longer than the {MAX_URL_LENGTH} bytes that are accepted."
            )
        elif sum([len(name) + len(value) for name, value in scope["headers"]]) > headers:
            response = problem_response(
                431, f"The headers are larger than the {headers} bytes that are accepted together."
            )
        else:
            response = app
        await response(scope, receive, send)

    return middleware


def limit_time(app: Application, *, body: float, response: float) -> Application:
    """Respond with 408 when the body takes longer than *body* seconds (BODY_TIMEOUT), with 504 when
    everything else takes longer than *response* (REQUEST_TIMEOUT).

    One deadline runs for each request: what is left for the body while the client sends it, and otherwise
    what is left until the response starts. A response that has started, such as a stream, is not limited.
    When the time is up the request is cancelled: its transaction is rolled back and its connection is given
    back. A commit that is under way then may still succeed, as always when a response is lost.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        clock = _Clock(receive, send, body, response)
        try:
            async with clock.limit:
                await app(scope, clock.receive, clock.send)
        except TimeoutError:
            if clock.response_began or not clock.limit.expired():
                raise
            if clock.is_receiving:
                # What is left of the body would be taken for the next request.
                headers = {"Connection": "close"} if scope.get("http_version", "1.1") < "2" else {}
                refusal = problem_response(
                    408, f"The body took longer than {body:g} s to arrive.", headers=headers
                )
            else:
                logger.error("a %s request was given up after %g s", scope["method"], response)
                refusal = problem_response(504, "This took too long and was given up.")
            await refusal(scope, receive, send)

    return middleware


class _Clock:
    def __init__(self, receive: Any, send: Any, body: float, response: float) -> None:
        self._receive = receive
        self._send = send
        self._now = asyncio.get_running_loop().time
        self._body_left = body
        self._body_is_there = False
        self.response_began = False
        self.is_receiving = False
        self.limit = asyncio.timeout(response)

    async def receive(self) -> Message:
        if self._body_is_there or self.response_began or self.limit.expired():
            return await self._receive()
        began = self._now()
        response_ends = self.limit.when() or began
        self.is_receiving = True
        self.limit.reschedule(began + self._body_left)
        message: Message = await self._receive()
        self.is_receiving = False
        self._body_is_there = not message.get("more_body", False)
        took = self._now() - began
        self._body_left -= took
        if not self.limit.expired():
            self.limit.reschedule(response_ends + took)
        return message

    async def send(self, message: Message) -> None:
        if not self.response_began:
            if self.limit.expired():
                # The request has been cancelled and does not know yet: it learns of it here, before its
                # response has begun.
                await asyncio.sleep(0)
            else:
                self.limit.reschedule(None)
            self.response_began = True
        await self._send(message)

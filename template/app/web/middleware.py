"""The middleware that every request and response passes through.

The layers, from the outermost to the innermost, with the reason for each one's position:

1. `log_requests`: sees every request, even rejected ones, and assigns each an id.
2. `respond_to_head`: turns HEAD into GET, so the inner layers do not need to handle HEAD.
3. `well_formed` and 4. `security_headers`: apply to every response, no matter which layer sends it.
5. `choose_language`: all layers below respond in the language of the request.
6. `errors_as_pages`: shows browsers the errors from all layers below as pages.
7. `check_host`: a request for a host name that is not served gets only an error, without CORS headers.
8. CORS: runs outside the layers below, so that a front end can read their errors.
9. `limit_size` and 10. `limit_time`: run before any work is done for the request.
11. `App`: runs your middleware, then the route, and turns their exceptions into responses.

Your own middleware (`app.add_middleware`) runs in layer 11. You may change the headers in `_ALWAYS`. Do not
change the order of the layers.
"""

import asyncio
import logging
import re
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import msgspec
from hawkapi.middleware.cors import CORSMiddleware

from app import i18n
from app.i18n import N_
from app.i18n import gettext as _
from app.settings import Settings
from app.web.access_log import is_of_user, log_requests
from app.web.cookies import COOKIES, read_cookies
from app.web.database_errors import waited_for_database
from app.web.framework.asgi import BODY_CLOCK, Application, Message
from app.web.framework.endpoint import CheckedRequest
from app.web.problems import PROBLEM_JSON, database_unavailable, problem_response

logger = logging.getLogger("app.web")

MAX_URL_LENGTH = 8192
"""Maximum combined length of path and query, in bytes. RFC 9110, section 4.1, recommends at least 8000."""
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    # URLs can contain tokens, so browsers must not send them to other sites.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
)
"""The headers on every response, including errors (ASVS 3.4). A header set by a handler takes precedence.

With this policy, a response that is opened in a browser cannot load resources, run scripts or be shown in a
frame. Pages set their own policy; see `app/web/html.py`.
"""
_HOST = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^:\[\]]+))(?::[0-9]*)?")
_EXEMPT = frozenset({"/livez", "/readyz", "/healthz"})
"""Paths exempt from the host check, because load balancers and the container's health check use an IP address
as the host."""
LANGUAGE_COOKIE = "language"
_ABOUT_A_BODY = frozenset({b"content-type", b"content-length"})


def build_stack(app: Application, settings: Settings | None) -> Application:
    """Wrap *app* in the middleware. If *settings* is None, add only the layers that do not need settings."""
    if settings is not None:
        app = limit_time(app, body=settings.body_timeout, response=settings.request_timeout)
        app = limit_size(app, headers=settings.max_header_size)
        if settings.cors_origins:
            # This class treats an empty list as allowing every origin.
            app = CORSMiddleware(
                app,
                allow_origins=settings.cors_origins,
                allow_headers=["authorization", "content-type"],
                expose_headers=["Retry-After", "X-Request-ID"],
            )
            app = allow_cookies(app, frozenset(each.encode() for each in settings.cors_origins))
        app = check_host(app, settings.allowed_hosts)
    app = choose_language(errors_as_pages(app))
    app = security_headers(app, strict_transport_security(settings))
    return log_requests(respond_to_head(well_formed(app)))


def allow_cookies(app: Application, origins: frozenset[bytes]) -> Application:
    """Let same-site pages whose origin is in *origins* send cookies and read the response.

    The browser determines which origins are on the same site (Sec-Fetch-Site). If an origin in
    CORS_ORIGINS belongs to another site, its pages must send access tokens instead. Preflight requests
    contain no cookies, and some browsers omit Sec-Fetch-Site from them, so the header is not required there.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        found = {name: value for name, value in scope["headers"] if name in (b"origin", b"sec-fetch-site")}
        site = found.get(b"sec-fetch-site", b"same-site" if scope["method"] == "OPTIONS" else b"")
        if site != b"same-site" or found.get(b"origin") not in origins:
            await app(scope, receive, send)
            return

        async def with_cookies(message: Message) -> None:
            if message["type"] == "http.response.start":
                allowed = (b"access-control-allow-credentials", b"true")
                message = {**message, "headers": [*message.get("headers", ()), allowed]}
            await send(message)

        await app(scope, receive, with_cookies)

    return middleware


class _HeadIsSent(BaseException):
    """Ends a stream that the client will not read."""


def respond_to_head(app: Application) -> Application:
    """Respond to HEAD with the headers of the GET response, including Content-Length, but without a body.

    HawkAPI 0.2.0 sends two Content-Length headers.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] != "HEAD":
            await app(scope, receive, send)
            return
        as_get = {**scope, "method": "GET"}
        try:
            with suppress(_HeadIsSent):
                await app(as_get, receive, _without_body(send))
        finally:
            # Layers added with `App.wrap` see only the HEAD request's scope, so set the route there too.
            if "route" in as_get:
                scope["route"] = as_get["route"]

    return middleware


def _without_body(send: Any) -> Any:
    complete = False

    async def head_only(message: Message) -> None:
        nonlocal complete
        if message["type"] != "http.response.body":
            await send(message)
            return
        if complete:
            # A stream that has been cut off still sends one final message. Drop that message.
            return
        complete = True
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if message.get("more_body", False):
            raise _HeadIsSent

    return head_only


def well_formed(app: Application) -> Application:
    """Make every response valid HTTP, keep private responses out of caches, and add the cookies.

    CR, LF and NUL are removed from header values, because they could end the header (CWE-113). A 204 or 304
    has no body and no header that describes one (RFC 9110, sections 8.6 and 15.3.5). JSON may contain
    personal data or tokens, so it is not cached unless the handler allows caching (RFC 6749, section 5.1;
    ASVS 14.3.2). The same applies to every response to a logged-in user. A response that sets a cookie is
    never cached, because a cache could give the cookie to other users (CVE-2025-48947).
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
    """The value of the Strict-Transport-Security header (RFC 6797; ASVS 3.4.1). Empty if it is not sent.

    The header is sent only in production, because a browser that has seen it uses only HTTPS for this host
    name until `max-age` has passed.
    """
    if settings is None or settings.environment != "production" or not settings.hsts_max_age:
        return b""
    below = "; includeSubDomains" if settings.hsts_subdomains else ""
    return f"max-age={settings.hsts_max_age}{below}".encode()


def security_headers(app: Application, transport: bytes) -> Application:
    """Add `_ALWAYS` and, unless *transport* is empty, Strict-Transport-Security with that value."""
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


def choose_language(app: Application) -> Application:
    """Use the language from the `language` cookie or, failing that, from Accept-Language (`app/i18n`).

    If a logged-in user has set a language, that language takes precedence (`app/users/dependencies.py`).
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        with i18n.using(_language_of(scope["headers"])):
            await app(scope, receive, send)

    return middleware


def _language_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    accepted = ""
    for name, value in headers:
        if name == b"cookie" and b"language=" in value:
            chosen = read_cookies(headers).get(LANGUAGE_COOKIE, "")
            if chosen in i18n.languages():
                return chosen
        elif name == b"accept-language":
            accepted = value.decode("latin-1")
    return i18n.language_for(accepted) if accepted else None


def errors_as_pages(app: Application) -> Application:
    """Show problem details as a page to clients that accept HTML but not JSON, as browsers do.

    `App.error_page` builds the page. The status and headers such as Retry-After do not change.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["app"].error_page is None or not _wants_html(scope):
            await app(scope, receive, send)
            return
        await app(scope, receive, _with_error_page(scope, receive, send))

    return middleware


def _wants_html(scope: Any) -> bool:
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return b"text/html" in accepted and b"json" not in accepted


def _with_error_page(scope: Any, receive: Any, send: Any) -> Any:
    start: Message = {}
    body = b""

    async def dressed(message: Message) -> None:
        nonlocal start, body
        if message["type"] == "http.response.start":
            if (b"content-type", PROBLEM_JSON.encode()) not in message.get("headers", ()):
                await send(message)
            else:
                start = message
            return
        if not start:
            await send(message)
            return
        body += message.get("body", b"")
        if not message.get("more_body", False):
            await _send_page(start, body)

    async def _send_page(start: Message, body: bytes) -> None:
        try:
            page = scope["app"].error_page(CheckedRequest(scope, receive), msgspec.json.decode(body))
        except Exception:
            # The error page's template is broken, but the problem details still report what happened.
            logger.exception("the error page cannot be rendered")
            await send(start)
            await send({"type": "http.response.body", "body": body})
            return

        async def with_first_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]} | _ABOUT_A_BODY
                kept = [each for each in start["headers"] if each[0].lower() not in own]
                message = {**message, "headers": [*message["headers"], *kept]}
            await send(message)

        await page(scope, receive, with_first_headers)

    return dressed


def check_host(app: Application, allowed: Iterable[str]) -> Application:
    """Respond with 400 unless the host is one of *allowed* (ALLOWED_HOSTS). An empty list allows any host.

    X-Forwarded-Host is never read. Links are built from BASE_URL, so this check is a second line of defense
    against attacks on caches and, through DNS rebinding, on browsers.

    A request may also name a host in its target (`GET http://name/ HTTP/1.1`, or `:authority` in HTTP/2).
    That name takes precedence over the Host field (RFC 9112, section 3.2.2; RFC 9113, section 8.3.1). Granian
    2.8 forwards the name as Host if the request has no Host field; otherwise, it drops the name. The two
    cannot be compared here, so the Host field is used. A proxy must therefore set that field to the name it
    used for routing.
    """
    names = frozenset(allowed)
    as_sent = frozenset(f"[{name}]".encode() if ":" in name else name.encode() for name in names)

    def refusal(hosts: list[bytes]) -> str:
        if len(hosts) > 1:
            # A proxy and this application might each use a different host (RFC 9112, section 3.2).
            return N_("The request contains more than one host.")
        if not names or (hosts and (hosts[0] in as_sent or host_name(hosts[0].decode("latin-1")) in names)):
            return ""
        return N_("This application does not serve this host name.")

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] not in _EXEMPT:
            sentence = refusal([value for name, value in scope["headers"] if name == b"host"])
            if sentence:
                await problem_response(400, sentence, code="invalid_host")(scope, receive, send)
                return
        await app(scope, receive, send)

    return middleware


def host_name(host: str) -> str:
    """The name in a Host header, in lower case and without the port. Empty if *host* is not valid."""
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
    """Respond with 414 if the URL is too long, or with 431 if the headers are too large.

    *headers*: the maximum combined size of all names and values, in bytes (MAX_HEADER_SIZE). MAX_BODY_SIZE is
    checked when the body is read.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        path: bytes = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogatepass")
        if len(path) + len(scope["query_string"]) > MAX_URL_LENGTH:
            sentence = _("The URL is too long. The maximum is {count} bytes.")
            response = problem_response(414, sentence.format(count=MAX_URL_LENGTH))
        elif sum([len(name) + len(value) for name, value in scope["headers"]]) > headers:
            sentence = _("The headers are too large. The maximum is {count} bytes in total.")
            response = problem_response(431, sentence.format(count=headers))
        else:
            response = app
        await response(scope, receive, send)

    return middleware


def limit_time(app: Application, *, body: float, response: float) -> Application:
    """Limit the time for receiving the body and the time until the response starts.

    Respond with 408 if the body takes longer than *body* seconds (BODY_TIMEOUT). Respond with 504 if
    everything else takes longer than *response* seconds (REQUEST_TIMEOUT), or with 503 if the request was
    waiting for the database. Only one timer runs at a time: the body's timer while the client is sending
    the body, and the response's timer otherwise. A response that has started, such as a stream, is not
    limited.

    A request that runs out of time is cancelled. Its transaction is rolled back and its connection returns to
    the pool. A commit that is already in progress may still succeed, as it may whenever a response is lost.
    """

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        clock = scope[BODY_CLOCK] = _Clock(receive, send, body, response)
        try:
            async with clock.limit:
                await app(scope, clock.receive, clock.send)
        except TimeoutError as error:
            if clock.response_began or not clock.limit.expired():
                raise
            if clock.is_receiving:
                # Otherwise, the server would interpret the rest of the body as the next request.
                headers = {"Connection": "close"} if scope.get("http_version", "1.1") < "2" else {}
                sentence = _("The body took longer than {seconds} s to arrive.")
                allowed = f"{clock.body_limit:g}"
                refusal = problem_response(408, sentence.format(seconds=allowed), headers=headers)
            elif waited_for_database(error):
                logger.error("a %s request waited %g s for the database", scope["method"], response)
                refusal = database_unavailable()
            else:
                logger.error("a %s request was cancelled after %g s", scope["method"], response)
                refusal = problem_response(504, "The request took too long and was cancelled.")
            await refusal(scope, receive, send)

    return middleware


class _Clock:
    def __init__(self, receive: Any, send: Any, body: float, response: float) -> None:
        self._receive = receive
        self._send = send
        self._now = asyncio.get_running_loop().time
        self.body_limit = body
        self._body_left = body
        self._body_is_there = False
        self.response_began = False
        self.is_receiving = False
        self.limit = asyncio.timeout(response)

    def allow(self, seconds: float) -> None:
        """Use *seconds* instead of BODY_TIMEOUT for this request, for example to accept large files."""
        self.body_limit = self._body_left = seconds

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
                # Before the response starts, let the cancellation reach the request.
                await asyncio.sleep(0)
            else:
                self.limit.reschedule(None)
            self.response_began = True
        await self._send(message)

"""Headers that every answer has, errors too (ASVS 3.4). One that a handler sets itself stays as it is.

The policy forbids everything: an answer that is opened in a browser, whatever it is, loads and runs nothing,
and no other site shows it in a frame. Pages allow what they need: `app/web/page.py`.
"""

from typing import Any

from app.settings import Settings
from app.web.interface import Application, Message

_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    # Addresses hold tokens: nobody is told which one a reader comes from.
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        b"default-src 'none'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
)


def strict_transport_security(settings: Settings | None) -> bytes:
    """The value of the header that keeps browsers to https (RFC 6797; ASVS 3.4.1), empty for none.

    Production alone: a browser that has seen it once never again asks this host name over plain http.
    """
    if settings is None or settings.environment != "production" or not settings.hsts_max_age:
        return b""
    below = "; includeSubDomains" if settings.hsts_subdomains else ""
    return f"max-age={settings.hsts_max_age}{below}".encode()


def security_headers(app: Application, transport: bytes) -> Application:
    """*transport*: what `strict_transport_security` says."""
    always = (*_ALWAYS, (b"strict-transport-security", transport)) if transport else _ALWAYS

    async def layer(scope: Any, receive: Any, send: Any) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                present = {name.lower() for name, _ in headers}
                headers += [each for each in always if each[0] not in present]
                message = {**message, "headers": headers}
            await send(message)

        await app(scope, receive, with_headers)

    return layer

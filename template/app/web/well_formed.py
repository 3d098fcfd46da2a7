"""What HTTP demands of every answer, whatever a handler returns, and the cookies of the request.

No CR, LF or NUL in a header's value, which would let it end its header (CWE-113), and in a 204 or 304
nothing of a body and no header that speaks of one (RFC 9110, sections 8.6 and 15.3.5). Caches keep no
JSON unless its handler lets them: it is somebody's data, or tokens (RFC 6749, section 5.1; ASVS 14.3.2).
The same holds for whatever is sent to a user who is logged in. What sets a cookie is never kept: a cache
would give the cookie to others (CVE-2025-48947).
"""

from typing import Any

from app.web.access import is_of_user
from app.web.cookies import COOKIES
from app.web.interface import Application, Message

_ABOUT_A_BODY = frozenset({b"content-type", b"content-length"})


def well_formed(app: Application) -> Application:
    async def layer(scope: Any, receive: Any, send: Any) -> None:
        cookies: list[tuple[bytes, bytes]] = []
        scope[COOKIES] = cookies
        await app(scope, receive, _checked(scope, send, cookies))

    return layer


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

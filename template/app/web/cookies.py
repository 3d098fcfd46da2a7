"""Set and read cookies. HawkAPI's responses store headers in a dict, which can hold only one Set-Cookie.

    set_cookie(request, "theme", "dark", max_age=86400)

This works for every response, including errors and streams, because the application adds the headers itself.

`request.cookies` contains the request's cookies, as `read_cookies` returns them.
"""

import re
from collections.abc import Iterable
from typing import Literal

from hawkapi import Request

COOKIES = "app.cookies"
"""The key in the ASGI scope for the response's Set-Cookie headers."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*")
_PATH = re.compile(r"[\x20-\x3A\x3C-\x7E]*")


def set_cookie(
    request: Request,
    name: str,
    value: str,
    *,
    max_age: int | None = None,
    path: str = "/",
    secure: bool = True,
    http_only: bool = True,
    same_site: Literal["Lax", "Strict", "None"] = "Lax",
) -> None:
    """Set a cookie in the response to *request*. *max_age* is in seconds; if None, the cookie lasts until the
    browser closes.

    Raises:
        ValueError: the name, value or path has characters that RFC 6265 does not allow. Encode them first.
    """
    if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value) and _PATH.fullmatch(path)):
        raise ValueError(f"The cookie {name!r} has characters that RFC 6265, section 4.1.1, does not allow.")
    parts = [f"{name}={value}", f"Path={path}", f"SameSite={same_site}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    request.scope[COOKIES].append((b"set-cookie", "; ".join(parts).encode("ascii")))


def delete_cookie(request: Request, name: str, *, path: str = "/", secure: bool = True) -> None:
    """Delete a cookie in the browser. *path* and *secure* must be the same as when the cookie was set."""
    set_cookie(request, name, "", max_age=0, path=path, secure=secure)


def read_cookies(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The cookies in an ASGI scope's *headers*. If a name occurs twice, the first cookie wins.

    Names are compared byte for byte, ignoring surrounding spaces and tabs (RFC 6265, section 5.2). HawkAPI
    0.2.0 also strips the bytes 0x85 and 0xA0 and uses the last cookie. Any host in the domain could then set
    `\\xa0__Host-session` for all hosts and replace the session (CWE-20; RFC 6265bis, section 4.1.3.2).

    HawkAPI passes its own request object to middleware hooks, so use this function in hooks.
    """
    # HTTP/2 clients may send each cookie in a separate field (RFC 9113, section 8.2.3).
    fields = [value for name, value in headers if name == b"cookie"]
    found: dict[str, str] = {}
    for pair in b";".join(fields).split(b";"):
        name, equals_sign, value = pair.partition(b"=")
        if equals_sign:
            found.setdefault(name.strip(b" \t").decode("latin-1"), _unquoted(value).decode("latin-1"))
    return found


def _unquoted(value: bytes) -> bytes:
    """*value* without the quotes that may surround it (RFC 6265, section 4.1.1)."""
    bare = value.strip(b" \t")
    return bare[1:-1] if len(bare) > 1 and bare[:1] == bare[-1:] == b'"' else bare

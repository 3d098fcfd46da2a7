"""Cookies of an answer. HawkAPI's responses keep headers in a dict, so they can carry one Set-Cookie at most.

    set_cookie(request, "theme", "dark", max_age=86400)

works with every answer, errors and streams included, because the application adds the headers itself.
"""

import re
from typing import Literal

from hawkapi import Request

COOKIES = "app.cookies"
"""Where a request keeps the Set-Cookie headers of its answer."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21\x23-\x2B\x2D-\x3A\x3C-\x5B\x5D-\x7E]*")


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
    """Send a cookie with the answer to *request*; *max_age* in seconds, None until the browser closes.

    Raises:
        ValueError: the name or the value holds what RFC 6265 does not allow; encode it first.
    """
    if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or ";" in path:
        raise ValueError(f"The cookie {name!r} holds what RFC 6265, section 4.1.1, does not allow.")
    parts = [f"{name}={value}", f"Path={path}", f"SameSite={same_site}"]
    if max_age is not None:
        parts.append(f"Max-Age={max_age}")
    if secure:
        parts.append("Secure")
    if http_only:
        parts.append("HttpOnly")
    request.scope[COOKIES].append((b"set-cookie", "; ".join(parts).encode("ascii")))


def delete_cookie(request: Request, name: str, *, path: str = "/", secure: bool = True) -> None:
    """Make the browser forget a cookie; *path* and *secure* as when it was set."""
    set_cookie(request, name, "", max_age=0, path=path, secure=secure)

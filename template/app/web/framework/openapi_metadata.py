"""Metadata for the OpenAPI document: a function's error responses and authentication."""

from collections.abc import Callable, Mapping
from typing import Any

from hawkapi.security.base import SecurityScheme

from app.web.problems import default_code

type Errors = dict[int, dict[str, str]]
"""The error codes for each status, each with a sentence that says when the code is sent."""


def responds[F: Callable[..., Any]](
    *responses: Mapping[int, str] | Mapping[int, Mapping[str, str]],
) -> Callable[[F], F]:
    """Document the error responses of a handler or dependency.

    Use `@responds({409: {"room_booked": "The room is booked."}})` for a `Problem` with this code, and
    `@responds({409: "The room is booked."})` for one without a code.
    """
    errors = [
        {
            status: {default_code(status): text} if isinstance(text, str) else dict(text)
            for status, text in each.items()
        }
        for each in responses
    ]

    def mark(function: F) -> F:
        function.__dict__["responses"] = joined(responses_of(function), *errors)
        return function

    return mark


def joined(*errors: Errors) -> Errors:
    """Merge *errors*. If several of them describe the same code, the last one wins."""
    found: Errors = {}
    for each in errors:
        for status, codes in each.items():
            found[status] = found.get(status, {}) | codes
    return found


def secured_by[F: Callable[..., Any]](
    name: str, scheme: dict[str, Any], *, optional: bool = False
) -> Callable[[F], F]:
    """Attach an OpenAPI security scheme to a dependency that authenticates requests."""

    def mark(function: F) -> F:
        function.__dict__["security"] = security_of(function) | {name: (scheme, optional)}
        return function

    return mark


def needs[F: Callable[..., Any]](what: str) -> Callable[[F], F]:
    """Mark a guard with *what* it requires, such as `a paid bill`. `app routes` shows *what* unless empty."""

    def mark(function: F) -> F:
        function.__dict__["needs"] = what
        return function

    return mark


def responses_of(function: Callable[..., Any]) -> Errors:
    return getattr(function, "responses", {})


def security_of(function: Callable[..., Any]) -> dict[str, tuple[dict[str, Any], bool]]:
    if isinstance(function, SecurityScheme):
        return {type(function).__name__: (function.openapi_scheme, False)}
    return getattr(function, "security", {})


def query_model_of(function: Callable[..., Any]) -> Any:
    """The Struct that a dependency made by `query(Struct)` reads, or None."""
    return getattr(function, "query_model", None)

"""Metadata for the OpenAPI document: the error responses of a function and how it authenticates."""

from collections.abc import Callable
from typing import Any

from hawkapi.security.base import SecurityScheme


def responds[F: Callable[..., Any]](responses: dict[int, str]) -> Callable[[F], F]:
    """Document error responses of a handler or dependency: `@responds({409: "The address is taken."})`."""

    def mark(function: F) -> F:
        function.__dict__["responses"] = responses_of(function) | responses
        return function

    return mark


def secured_by[F: Callable[..., Any]](
    name: str, scheme: dict[str, Any], *, optional: bool = False
) -> Callable[[F], F]:
    """Mark a dependency that authenticates, with its OpenAPI security scheme."""

    def mark(function: F) -> F:
        function.__dict__["security"] = security_of(function) | {name: (scheme, optional)}
        return function

    return mark


def responses_of(function: Callable[..., Any]) -> dict[int, str]:
    return getattr(function, "responses", {})


def security_of(function: Callable[..., Any]) -> dict[str, tuple[dict[str, Any], bool]]:
    if isinstance(function, SecurityScheme):
        return {type(function).__name__: (function.openapi_scheme, False)}
    return getattr(function, "security", {})


def query_model_of(function: Callable[..., Any]) -> Any:
    """The Struct that a dependency made by `query(Struct)` reads, or None."""
    return getattr(function, "query_model", None)

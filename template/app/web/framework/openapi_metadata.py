"""What code says of itself for the OpenAPI document: its error answers and how it authenticates."""

from collections.abc import Callable
from typing import Any

from hawkapi.security.base import SecurityScheme


def responds[F: Callable[..., Any]](answers: dict[int, str]) -> Callable[[F], F]:
    """Document error answers of a handler or a dependency: `@responds({409: "The address is taken."})`."""

    def mark(function: F) -> F:
        function.__dict__["answers"] = answers_of(function) | answers
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


def answers_of(function: Callable[..., Any]) -> dict[int, str]:
    return getattr(function, "answers", {})


def security_of(function: Callable[..., Any]) -> dict[str, tuple[dict[str, Any], bool]]:
    if isinstance(function, SecurityScheme):
        return {type(function).__name__: (function.openapi_scheme, False)}
    return getattr(function, "security", {})


def query_model_of(function: Callable[..., Any]) -> Any:
    """The Struct that a dependency made by `query(Struct)` reads, or None."""
    return getattr(function, "query_model", None)

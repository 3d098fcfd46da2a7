"""At registration, rejects handlers that HawkAPI 0.2.0 would run incorrectly."""

import inspect
from collections.abc import Callable, Set
from functools import lru_cache
from typing import Any, get_args, get_type_hints

import msgspec
from hawkapi.di.param_plan import DepCallablePlan
from hawkapi.routing.route import Route
from hawkapi.validation.constraints import ParamMarker


class RouteError(TypeError):
    """A handler cannot work as written. Raised when the handler is registered."""


def check_response(route: Route, response_type: Any, where: str) -> None:
    """Reject return types that cannot be sent, and HawkAPI options that have no effect here."""
    returns_value = response_type is not type(None) and not is_response_type(response_type)
    if returns_value:
        check_describable(response_type, f"{where}: the return value")
    excludes = (
        route.response_model_exclude_none,
        route.response_model_exclude_unset,
        route.response_model_exclude_defaults,
    )
    if any(excludes):
        raise RouteError(
            f"{where}: response_model_exclude_... has no effect here. Leave fields out with"
            " `class Model(msgspec.Struct, omit_defaults=True)`."
        )
    if route.status_code in (204, 304) and returns_value:
        raise RouteError(
            f"{where} has the status {route.status_code}, which has no body, but returns a value:"
            " set status_code=200, or return None."
        )


def hints_of(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return _hints_of(function)
    except Exception as error:
        raise RouteError(
            f"{where}: the annotations cannot be resolved ({error}). HawkAPI would ignore every Depends and"
            " marker of this handler. Import the types at run time, and do not use"
            " `from __future__ import annotations` in modules with handlers."
        ) from error


# Most handlers share their dependencies. Caching these results saves a third of the startup time.
@lru_cache(1024)
def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


def check_dependency(plan: DepCallablePlan, where: str) -> None:
    """Reject parameters other than `request` and dependencies, because HawkAPI does not fill them."""
    function = plan.callable
    name = getattr(function, "__qualname__", repr(function))
    # The parameters of a callable object, such as HawkAPI's HTTPBearer(), are those of its __call__.
    target = function if inspect.isroutine(function) else type(function).__call__
    target = getattr(target, "__func__", target)
    hints_of(target, f"{where}, dependency {name}")
    parameter = _unfilled(target, frozenset(spec.name for spec in plan.params if not spec.has_param_default))
    if parameter:
        raise RouteError(
            f"{where}: HawkAPI cannot fill the parameter {parameter!r} of the dependency {name}."
            " Take `request` there, or read the query with app.web.framework.parameters.query(Struct)."
        )
    for spec in plan.params:
        if spec.dep_plan is not None:
            check_dependency(spec.dep_plan, where)


@lru_cache(1024)
def _unfilled(function: Callable[..., Any], filled: Set[str]) -> str:
    """The name of the first parameter of *function* that gets no value, or an empty string."""
    hints = _hints_of(function)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in filled or parameter.name == "self":
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        marked = any(isinstance(each, ParamMarker) for each in get_args(hints.get(parameter.name)))
        if marked or parameter.default is inspect.Parameter.empty:
            return parameter.name
    return ""


def check_describable(
    annotation: Any, what: str, schema_hook: Callable[[type], dict[str, Any]] | None = None
) -> None:
    """Reject a type that msgspec can neither check nor describe in the OpenAPI document.

    *schema_hook*: describes types that msgspec does not know.
    """
    try:
        msgspec.json.schema_components([annotation], schema_hook=schema_hook)
    except TypeError as error:
        raise RouteError(
            f"{what} has a type that msgspec does not know ({annotation!r}). Use a msgspec.Struct or a"
            " standard type. For a handler that may also return a Response, set response_model=."
        ) from error


def is_response_type(annotation: Any) -> bool:
    return isinstance(annotation, type) and inspect.isfunction(annotation.__call__)

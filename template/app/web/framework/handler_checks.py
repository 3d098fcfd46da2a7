# pyright: reportPrivateUsage=false
# HawkAPI has no public list of a router's WebSocket handlers, mounts and nested routers.
"""Checks handlers when they are registered, and rejects those that HawkAPI 0.2.0 would run incorrectly."""

import inspect
from collections.abc import Callable, Iterator, Set
from functools import lru_cache, partial
from typing import Any, NoReturn, TypeAliasType, get_args, get_origin, get_type_hints

import msgspec
from hawkapi import Depends
from hawkapi.di.param_plan import DepCallablePlan
from hawkapi.routing.route import Route
from hawkapi.routing.router import Router
from hawkapi.security.scopes import Security
from hawkapi.validation.constraints import ParamMarker


class RouteError(TypeError):
    """Raised at registration if a handler cannot work as written, or if two routes clash."""


def where_of(route: Route) -> str:
    """The text that identifies *route* in messages."""
    handler = route.handler
    methods = "/".join(sorted(route.methods))
    return f"{methods} {route.path} ({handler.__module__}.{handler.__qualname__})"


def error_about_clash(router: Router, routes: list[Route]) -> RouteError | None:
    """An error that names a route in *router* and the route in *routes* with which it clashes.

    HawkAPI's own error does not say where the routes come from.
    """
    for route in router.routes:
        for other in routes:
            if how := _clash(route, other):
                return RouteError(
                    f"{where_of(route)} and {where_of(other)} {how}. If one of them is a users route, you can"
                    " also change USERS_PREFIX."
                )
    return None


def _clash(route: Route, other: Route) -> str:
    """The reason HawkAPI cannot serve both routes. Empty if it can."""
    paths = [each.path.replace(":str}", "}").strip("/").split("/") for each in (route, other)]
    for one, two in zip(*paths, strict=False):
        if one != two:
            are_parameters = all(each[:1] == "{" and each[-1:] == "}" for each in (one, two))
            how = f"have the parameters {one} and {two} at the same place: give them the same name and type"
            return how if are_parameters else ""
    is_same = len(paths[0]) == len(paths[1]) and not route.methods.isdisjoint(other.methods)
    return "have the same path: change one of them" if is_same else ""


def check_router(router: Router) -> None:
    """Reject WebSockets, mounts and routes that HawkAPI 0.2.0 cannot serve, or would serve without guards."""
    if router._ws_routes:
        refuse_websocket(next(iter(router._ws_routes)))
    if router._mounts and router._dependencies:
        raise RouteError(
            f"The application mounted at {next(iter(router._mounts))} would run without the guards of its"
            " router. Mount it with `app.mount`, and check requests in the mounted application."
        )
    served = {(route.path, route.methods) for route in router.routes}
    for nested in router._sub_routers:
        for route in nested.routes:
            if (router.prefix + route.path, route.methods) not in served:
                refuse_late_route(route.path)
        check_router(nested)


def refuse_websocket(path: str, **_: Any) -> NoReturn:
    raise RouteError(
        f"WebSocket {path}: HawkAPI 0.2.0 serves WebSockets without guards, limits or checks of Host and"
        " Origin. Send events to clients with EventSourceResponse, and receive data from them with POST."
    )


def refuse_late_route(path: str, *_: Any, **__: Any) -> NoReturn:
    raise RouteError(
        f"The route {path} was added too late: its router has already been included in another router or in"
        " the application."
    )


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


# Most handlers share dependencies, so caching these results saves a third of the startup time.
@lru_cache(1024)
def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    return get_type_hints(function, include_extras=True)


def check_markers(function: Callable[..., Any], where: str) -> None:
    """Reject a `Depends` or another marker that HawkAPI ignores.

    Otherwise, the dependency would not run, and in most cases the client could set the parameter in the query
    string. Call `hints_of` first to check that the annotations can be resolved.
    """
    for parameter, marker, is_used in _markers_of(function):
        if not is_used:
            raise RouteError(
                f"{where}: HawkAPI ignores a {type(marker).__name__} of the parameter {parameter!r}. Use a"
                " single marker, and put it directly inside Annotated. Write aliases as"
                " `Name = Annotated[...]`, without `type`, and put unions inside Annotated."
            )


@lru_cache(1024)
def _markers_of(function: Callable[..., Any]) -> list[tuple[str, Depends | ParamMarker, bool]]:
    """For each marker on a parameter: the parameter, the marker, and whether HawkAPI uses the marker."""
    found: list[tuple[str, Depends | ParamMarker, bool]] = []
    hints = _hints_of(function)
    for parameter in inspect.signature(function).parameters.values():
        annotation, default = hints.get(parameter.name), parameter.default
        usable = [each for each in get_args(annotation)[1:] if isinstance(each, Depends | ParamMarker)]
        if isinstance(default, Depends) and default.dependency is not None:
            usable.append(default)
        used = usable[0] if usable else None
        for each in (*_parts_of(annotation), default):
            if isinstance(each, Depends | ParamMarker):
                found.append((parameter.name, each, each is used))
    return found


def _parts_of(annotation: Any, within: tuple[TypeAliasType, ...] = ()) -> Iterator[Any]:
    """*annotation* and everything in it, including the contents of `type` aliases, which may be recursive."""
    yield annotation
    alias = get_origin(annotation) or annotation
    if isinstance(alias, TypeAliasType) and alias not in within:
        yield from _parts_of(alias.__value__, (*within, alias))
    for each in get_args(annotation):
        yield from _parts_of(each, within)


def check_dependency(plan: DepCallablePlan, where: str) -> None:
    """Reject parameters that HawkAPI does not fill: those other than `request` and dependencies."""
    function = plan.callable
    if isinstance(function, partial):
        raise RouteError(
            f"{where}: HawkAPI cannot read the parameters of a functools.partial. Write a dependency for"
            f" {function.func.__qualname__} as a function, or as an object with `__call__`."
        )
    name = getattr(function, "__qualname__", repr(function))
    if isinstance(function, type):
        raise RouteError(
            f"{where}: the dependency {name} is a class, whose parameters HawkAPI does not fill. Write a"
            " function, or use an instance of a class with `__call__`."
        )
    # The parameters of a callable object, such as HawkAPI's HTTPBearer(), are those of its __call__.
    target = function if inspect.isroutine(function) else type(function).__call__
    target = getattr(target, "__func__", target)
    hints_of(target, f"{where}, dependency {name}")
    check_markers(target, f"{where}, dependency {name}")
    for parameter, marker, _ in _markers_of(target):
        if isinstance(marker, Security) and marker.scopes:
            raise RouteError(
                f"{where}, dependency {name}: HawkAPI ignores the scopes in the parameter {parameter!r}. Use"
                " Security(..., scopes=...) only in `dependencies=[...]` and in the handler's signature."
            )
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
    """The first parameter of *function* that gets no value. Empty if there is none."""
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

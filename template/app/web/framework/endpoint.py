# pyright: reportPrivateUsage=false
# HawkAPI keeps its description of a handler only in the route's plan (`_handler_plan`).
"""Turns a handler into an endpoint, which reads the request, runs the handler and builds the response.

The framework routes the request and sends the response. In between, the endpoint works as follows:

1. Guards run first: `dependencies=[...]`, then parameters in the order of the handler's signature. A guard
that comes first can reject the request before its body is read.
2. A dependency runs once per request. A dependency with a `yield` finishes before the response is sent. If
the response is an error (400 or higher, raised or returned), an exception is raised at the dependency's
`yield`, so transactions roll back. An error raised while a dependency finishes becomes the response and is
never swallowed.
3. Every exception becomes problem details (`app/web/problems.py`).
4. `BackgroundTasks` run after the response, but only if the response is not an error.

Handlers that HawkAPI 0.2.0 would run incorrectly are rejected when they are registered (`handler_checks.py`).
"""

import asyncio
import inspect
import io
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, wraps
from itertools import count
from types import UnionType
from typing import Annotated, Any, Self, Union, cast, get_args, get_origin

import msgspec
from hawkapi import Request
from hawkapi.background import BackgroundTasks
from hawkapi.di.param_plan import DepCallablePlan, HandlerPlan, ParamSource, ParamSpec
from hawkapi.requests.form_data import FormData, UploadFile
from hawkapi.responses.file_response import FileResponse
from hawkapi.responses.json_response import JSONResponse
from hawkapi.responses.response import Response
from hawkapi.routing.route import Route
from hawkapi.security.scopes import SecurityScopes
from multipart import MultipartError, MultipartParser, parse_options_header

from app.web.cookies import read_cookies
from app.web.downloads import attachment
from app.web.framework import parameters
from app.web.framework.handler_checks import (
    RouteError,
    check_dependency,
    check_describable,
    check_markers,
    check_response,
    hints_of,
    where_of,
)
from app.web.framework.parameters import REQUIRED, Reader
from app.web.framework.uploads import MultipartReader, multipart_mark_of, schema_of_upload
from app.web.problems import Problem

_BY_THE_FRAMEWORK = frozenset(
    {ParamSource.DEPENDS_CONTAINER, ParamSource.CONTAINER_AUTO, ParamSource.BACKGROUND_TASKS}
)

_numbers = count()
_ABSENT = object()
"""The value that a reader returns if the parameter is absent and has a `default_factory`."""


class CheckedRequest(Request):
    """A request whose `json()` and `form()` raise a 400 for a malformed body.

    HawkAPI 0.2.0 responds with 500, truncates an uploaded file that contains the boundary text, and
    can return a cookie under the wrong name (see `read_cookies`).
    """

    @classmethod
    def from_request(cls, request: Request) -> Self:
        # A new view of the same connection. Nothing has been read from it yet.
        return cls(
            request.scope,
            request._receive,
            path_params=request.path_params,
            max_body_size=request._max_body_size,
        )

    @cached_property
    def cookies(self) -> dict[str, str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return read_cookies(self.scope["headers"])

    async def json(self) -> Any:
        try:
            return await super().json()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Problem(400, "The body is not valid JSON.", code="malformed_json") from None

    async def form(self) -> FormData:
        """The fields and files of a form. The whole body is kept in memory, up to MAX_BODY_SIZE."""
        media_type, options = parse_options_header(self.headers.get("content-type") or "")
        try:
            if media_type == "multipart/form-data":
                return _multipart(await self.body(), options.get("boundary", ""))
            return await super().form()
        except (MultipartError, UnicodeDecodeError, ValueError):
            raise Problem(400, "The form is malformed.", code="malformed_form") from None


def _multipart(body: bytes, boundary: str) -> FormData:
    if not boundary:
        raise Problem(400, "The form's Content-Type has no boundary.", code="malformed_form")
    fields: dict[str, str] = {}
    files: dict[str, UploadFile] = {}
    limit = max(len(body), 1)
    for part in MultipartParser(
        io.BytesIO(body), boundary, len(body), strict=True, spool_limit=limit, memory_limit=limit
    ):
        if part.filename is None:
            fields[part.name] = part.raw.decode("utf-8")
        else:
            files[part.name] = UploadFile(part.filename, part.content_type or "", part.raw)
    return FormData(fields, files)


@dataclass(frozen=True)
class Parameter:
    """A value that a handler takes from the request, for the OpenAPI document."""

    name: str
    location: str
    annotation: Any
    default: Any = REQUIRED


@dataclass
class Endpoint:
    """Everything known about a handler, including what the OpenAPI document needs."""

    route: Route
    handler: Callable[..., Any]
    response_type: Any
    guards: tuple[DepCallablePlan, ...]
    steps: list[tuple[str, Reader | MultipartReader | DepCallablePlan]] = field(default_factory=list[Any])
    parameters: list[Parameter] = field(default_factory=list[Parameter])
    is_async: bool = field(init=False)

    def __post_init__(self) -> None:
        self.is_async = inspect.iscoroutinefunction(self.handler)

    @property
    def body(self) -> Parameter | None:
        return next((each for each in self.parameters if each.location == "body"), None)

    def dependencies(self) -> list[Callable[..., Any]]:
        """Every callable that runs before the handler, including nested ones."""
        found: list[Callable[..., Any]] = []

        def collect(plan: DepCallablePlan) -> None:
            found.append(plan.callable)
            for spec in plan.params:
                if spec.dep_plan is not None:
                    collect(spec.dep_plan)

        for guard in self.guards:
            collect(guard)
        for _, step in self.steps:
            if isinstance(step, DepCallablePlan):
                collect(step)
        return found

    def needs(self) -> list[str]:
        """The guards' requirements (`needs`), excluding those implied by others. A function in
        `dependencies=[...]` that is not marked with `needs` is listed by name, unless it is a rate limit."""
        found: list[str] = []
        implied: set[str] = set()

        def collect(plan: DepCallablePlan, *, inside: bool) -> None:
            if what := getattr(plan.callable, "needs", ""):
                implied.add(what) if inside else found.append(what)
            for spec in plan.params:
                if spec.dep_plan is not None:
                    collect(spec.dep_plan, inside=inside or bool(what))

        for guard in self.guards:
            if not {"needs", "limit"} & getattr(guard.callable, "__dict__", {}).keys():
                found.append(getattr(guard.callable, "__name__", type(guard.callable).__name__))
            collect(guard, inside=False)
        for _, step in self.steps:
            if isinstance(step, DepCallablePlan):
                collect(step, inside=False)
        return [each for each in dict.fromkeys(found) if each not in implied]

    async def run(self, request: Request, given: Mapping[str, Any]) -> Any:
        """Resolve the dependencies, call the handler, build the response and finish the dependencies.

        Exceptions from the handler propagate."""
        # Guards identify the route by its pattern, because the same path can be written in many ways.
        request.scope["route"] = self.route
        response: Any = None
        failure: BaseException | None = None
        try:
            async with AsyncExitStack() as stack:
                try:
                    response = await self._call(request, given, stack)
                    if response.status_code >= 400:
                        raise _ErrorResponse(response)
                except BaseException as error:
                    failure = error
                    raise
            if failure is not None:
                # A dependency has caught the exception, but the exception still determines the response.
                raise failure
        except _ErrorResponse as error:
            return error.response
        return response

    async def _call(self, request: Request, given: Mapping[str, Any], stack: AsyncExitStack) -> Any:
        resolution = _Resolution(request, stack, self.route.required_scopes)
        for guard in self.guards:
            await resolution.value_of(guard)
        arguments = dict(given)
        for name, step in self.steps:
            if isinstance(step, DepCallablePlan):
                arguments[name] = await resolution.value_of(step)
            elif isinstance(step, MultipartReader):
                arguments[name] = await stack.enter_async_context(step.read(request))
            else:
                arguments[name] = await step(request)
        if self.is_async:
            return self._response(await self.handler(**arguments))
        result = await asyncio.to_thread(self.handler, **arguments)
        # If a decorator wraps an async handler in a plain function, the function returns a coroutine.
        return self._response(await result if inspect.isawaitable(result) else result)

    def _response(self, result: Any) -> Any:
        if isinstance(result, FileResponse):
            _encode_filename(result)
        if is_response(result):
            return result
        status = self.route.status_code
        if result is None:
            return Response(status_code=status if status != 200 else 204)
        if self.route.response_model is not None:
            result = _as_model(result, self.route.response_model)
        return JSONResponse(result, status_code=status)


def _encode_filename(response: FileResponse) -> None:
    # HawkAPI 0.2.0 fails if the name has characters outside Latin-1.
    if response.filename:
        response._headers = response.headers | {"Content-Disposition": attachment(response.filename)}
        response.filename = None


class _ErrorResponse(Exception):
    """Carries a returned error response through the dependencies so that they roll back."""

    def __init__(self, response: Any) -> None:
        self.response = response


class _Resolution:
    """The dependency values for one request, each computed once."""

    def __init__(self, request: Request, stack: AsyncExitStack, scopes: tuple[str, ...]) -> None:
        self._request = request
        self._stack = stack
        self._scopes = scopes
        self._values: dict[int, Any] = {}

    async def value_of(self, plan: DepCallablePlan) -> Any:
        key = id(plan.callable)
        if key not in self._values:
            self._values[key] = await self._compute(plan)
        return self._values[key]

    async def _compute(self, plan: DepCallablePlan) -> Any:
        arguments: dict[str, Any] = {}
        for spec in plan.params:
            if spec.source is ParamSource.REQUEST:
                arguments[spec.name] = self._request
            elif spec.dep_plan is not None:
                arguments[spec.name] = await self.value_of(spec.dep_plan)
            elif spec.source is ParamSource.SECURITY_SCOPES:
                arguments[spec.name] = SecurityScopes(scopes=self._scopes)
            elif spec.has_param_default:
                arguments[spec.name] = spec.param_default
        if plan.is_async_generator:
            manager = _manager_of(plan.callable)(**arguments)
            return await self._stack.enter_async_context(manager)
        if plan.is_generator:
            return self._stack.enter_context(_plain_manager_of(plan.callable)(**arguments))
        value = plan.callable(**arguments)
        return await value if inspect.isawaitable(value) else value


# Wrapping a function costs more than calling it, so each function is wrapped only once.
@lru_cache
def _manager_of(function: Callable[..., Any]) -> Callable[..., Any]:
    return asynccontextmanager(function)


@lru_cache
def _plain_manager_of(function: Callable[..., Any]) -> Callable[..., Any]:
    return contextmanager(function)


def wrap_route(route: Route, respond: Callable[[Request, Exception], Any]) -> Endpoint:
    """Turn *route* into an endpoint, in place. *respond* turns an exception into a response.

    Raises:
        RouteError: the handler cannot work as written. The message says what to change.
    """
    endpoint = _endpoint_of(route)
    plan = cast(HandlerPlan, route._handler_plan)
    from_framework = tuple(spec for spec in plan.params if spec.source in _BY_THE_FRAMEWORK)

    @wraps(route.handler)
    async def handle(request: Request, **given: Any) -> Any:
        request = CheckedRequest.from_request(request)
        try:
            response = await endpoint.run(request, given)
        except Exception as error:
            response = await respond(request, error)
        if response.status_code >= 400:
            # The transaction was rolled back, so the changes that the tasks rely on do not exist.
            for each in given.values():
                if isinstance(each, BackgroundTasks):
                    each._tasks.clear()
        return response

    # The route is frozen and already in the router's tree, so change it in place.
    for name, value in {
        "handler": handle,
        "dependencies": (),
        "_handler_plan": replace(
            plan,
            params=(ParamSpec(name="request", source=ParamSource.REQUEST), *from_framework),
            is_async=True,
            needs_body=False,
            has_cleanup_deps=False,
        ),
        # If a handler only returns a literal, HawkAPI serves that literal from a cache and skips every guard.
        "_static_response": None,
        "_trivial": False,
        "middleware": tuple(_made_once(each) for each in route.middleware or ()) or None,
    }.items():
        object.__setattr__(route, name, value)
    return endpoint


def _made_once(middleware: Any) -> Callable[[Any], Any]:
    """Wrap a route's middleware so that one instance handles all requests.

    HawkAPI itself creates a new instance for each request, so the middleware could not keep state between
    requests.
    """
    has_options = isinstance(middleware, tuple)
    kind, options = cast(tuple[Any, dict[str, Any]], middleware if has_options else (middleware, {}))
    key = f"app.middleware.{next(_numbers)}"

    async def go_on(scope: Any, receive: Any, send: Any) -> None:
        await scope[key](scope, receive, send)

    instance = kind(go_on, **options)

    def around(inner: Any) -> Any:
        async def call(scope: Any, receive: Any, send: Any) -> None:
            # Do not copy the scope: the route is added to it later, for the outer layers to read.
            scope[key] = inner
            await instance(scope, receive, send)

        return call

    return around


def _endpoint_of(route: Route) -> Endpoint:
    handler = route.handler
    where = where_of(route)
    hints = hints_of(handler, where)
    check_markers(handler, where)
    response_type = route.response_model or hints.get("return", Response)
    check_response(route, response_type, where)
    plan = route._handler_plan
    if plan is None:
        raise RouteError(f"{where}: HawkAPI did not make a plan for this handler.")
    endpoint = Endpoint(route, handler, response_type, route.dependencies)
    for guard in route.dependencies:
        check_dependency(guard, where)
    for spec in plan.params:
        _add_step(endpoint, spec, hints.get(spec.name, Any), where)
    if sum(each.location == "body" for each in endpoint.parameters) > 1:
        raise RouteError(f"{where} has more than one body parameter: combine them into one Struct.")
    return endpoint


def _add_step(endpoint: Endpoint, spec: ParamSpec, annotation: Any, where: str) -> None:
    factory = spec.marker_default_factory if spec.has_marker_default else None
    # The OpenAPI document shows one default value, but each request gets a new value.
    shown = _default_of(spec)
    default = shown if factory is None else _ABSENT
    source = spec.source
    if source in _BY_THE_FRAMEWORK:
        return
    if source is ParamSource.DEPENDS_CALLABLE:
        plan = cast(DepCallablePlan, spec.dep_plan)
        check_dependency(plan, where)
        endpoint.steps.append((spec.name, plan))
        return
    if source is ParamSource.REQUEST:

        async def itself(request: Request) -> Request:
            return request

        endpoint.steps.append((spec.name, itself))
        return
    if annotation is Request:
        raise RouteError(f"{where}: the parameter that takes the request must be named `request`.")
    name = spec.alias or spec.name
    mark = multipart_mark_of(annotation)
    check_describable(annotation, f"{where}: the parameter {name!r}", schema_of_upload if mark else None)
    if source in (ParamSource.PATH, ParamSource.IMPLICIT_PATH):
        location, reader = "path", parameters.path_reader(name, annotation)
    elif source is ParamSource.HEADER:
        name = spec.header_key or name
        location, reader = "header", parameters.header_reader(name, annotation, default)
    elif source is ParamSource.COOKIE:
        location, reader = "cookie", parameters.cookie_reader(name, annotation, default)
    elif mark is not None:
        location, reader = "body", MultipartReader(annotation, mark, where)
    elif source is ParamSource.BODY or (source is ParamSource.IMPLICIT_QUERY and _is_body(annotation)):
        location, reader = "body", parameters.body_reader(annotation, default)
    else:
        location, reader = "query", parameters.query_reader(name, annotation, default)
    endpoint.steps.append((spec.name, reader if factory is None else _with_new_default(reader, factory)))
    endpoint.parameters.append(Parameter(name, location, annotation, shown))


def _with_new_default(reader: Any, factory: Callable[[], Any]) -> Callable[[Request], Awaitable[Any]]:
    async def read(request: Request) -> Any:
        value = await reader(request)
        return factory() if value is _ABSENT else value

    return read


def _default_of(spec: ParamSpec) -> Any:
    if spec.has_marker_default:
        factory = spec.marker_default_factory
        return factory() if factory is not None else spec.marker_default
    return spec.param_default if spec.has_param_default else REQUIRED


def _is_body(annotation: Any) -> bool:
    """Whether an unmarked parameter must be the body: a Struct or dict, possibly optional or in a list."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _is_body(arguments[0])
    if origin in (Union, UnionType, list, set, tuple):
        return any(_is_body(each) for each in arguments)
    kind = origin or annotation
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct | dict)


def is_response(value: Any) -> bool:
    """Whether *value* is already a response: an instance of a HawkAPI class, or your own ASGI callable."""
    return hasattr(value, "status_code") and callable(value)


def _as_model(result: object, model: Any) -> Any:
    """*result* with exactly *model*'s fields, even if *result* or a nested value is a database row or an
    instance of a subclass."""
    filled = msgspec.convert(result, model, from_attributes=True)
    return msgspec.convert(msgspec.to_builtins(filled), model)

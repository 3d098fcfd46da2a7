# pyright: reportPrivateUsage=false
# HawkAPI 0.2 has no public API for some of these overrides, so HawkAPI is pinned below 0.3. The template's
# repository tests each override, so a test fails if an upgrade breaks one.
"""The ASGI application: HawkAPI with its known bugs fixed. Template-owned.

Services are on `app.state` (settings, db, mail, users, ...), never in module globals, so two applications in
one process share no state.
"""

import inspect
import logging
from collections.abc import Callable, Set
from functools import cached_property
from typing import Any, NoReturn

import msgspec
from hawkapi import HawkAPI, Request
from hawkapi.responses.response import Response
from hawkapi.routing.route import Route
from hawkapi.routing.router import Router

from app.i18n import gettext as _
from app.services import Services
from app.settings import Settings
from app.web import middleware
from app.web.access_log import hide, response_has_begun
from app.web.database_errors import MIGRATIONS_ARE_PENDING, log_missing_migration
from app.web.framework.asgi import Application, Message
from app.web.framework.endpoint import CheckedRequest, Endpoint, is_response, wrap_route
from app.web.framework.handler_checks import (
    RouteError,
    check_router,
    error_about_clash,
    refuse_late_route,
    refuse_websocket,
)
from app.web.framework.openapi import build_document
from app.web.html import HtmlPages
from app.web.problems import (
    NOTHING_HERE,
    UNEXPECTED,
    ClientDisconnected,
    Problem,
    problem_for,
    problem_response,
)

logger = logging.getLogger("app.web")


class App(HawkAPI):
    """A HawkAPI application. Every route is an `Endpoint`, and every error response is problem details."""

    state: Services

    def __init__(
        self,
        *,
        title: str,
        version: str,
        description: str,
        max_body_size: int,
        debug: bool = False,
        settings: Settings | None = None,
    ) -> None:
        """*settings* contains the request limits (`app/web/middleware.py`). If None, there are no limits."""
        self.state = Services()
        self.state.html = HtmlPages(title)
        if settings is not None:
            self.state.settings = settings
        self._stack = middleware.build_stack(self._respond, settings)
        self.endpoints: list[Endpoint] = []
        self.tag_descriptions: dict[str, str] = {}
        """The descriptions of the OpenAPI tags, in the order in which /docs shows them."""
        self.error_page: Callable[[Request, dict[str, Any]], Response] | None = None
        """Builds the page that browsers get instead of problem details. None if there is no such page."""
        self.message_page: Callable[[Request, str], Response] | None = None
        """Redirects to a page that shows the named message once. None if the application has no such page."""
        self._methods_of: dict[str, set[str]] = {}
        self._handlers_for: dict[type[Exception], Callable[[Request, Any], Any]] = {}
        # app/web/docs.py replaces the framework's documentation pages, which load scripts from a CDN.
        # app/web/health.py replaces the health routes, which respond with 500 when a check raises.
        super().__init__(
            title=title,
            version=version,
            description=description,
            max_body_size=max_body_size,
            debug=debug,
            openapi_url=None,
            docs_url=None,
            redoc_url=None,
            scalar_url=None,
            health_url=None,
            readyz_url=None,
            livez_url=None,
        )

    # Routes

    def add_route(self, path: str, handler: Any, **options: Any) -> Route:
        route = super().add_route(path, handler, **options)
        self._harden_new_routes()
        return route

    def include_router(self, router: Router) -> None:
        check_router(router)
        before = list(self.routes)
        try:
            super().include_router(router)
        except ValueError as error:
            raise error_about_clash(router, before) or error from None
        self._harden_new_routes()
        _close(router)

    def include_controller(self, controller_class: type) -> None:
        super().include_controller(controller_class)
        self._harden_new_routes()

    def websocket(self, path: str, **options: Any) -> NoReturn:
        refuse_websocket(path)

    def _harden_new_routes(self) -> None:
        known = {id(endpoint.route) for endpoint in self.endpoints}
        for route in self.routes:
            if id(route) not in known:
                if route.permissions and self.permission_policy is None:
                    raise RouteError(
                        f"{route.path}: `permissions=` has no effect, because the application has no"
                        " permission_policy. Use a guard, such as `dependencies=[Depends(superuser)]`."
                    )
                self.endpoints.append(wrap_route(route, self._response_to))
                if "{" not in route.path:
                    self._methods_of.setdefault(route.path.rstrip("/"), set()).update(route.methods)

    def openapi(self, api_version: str | None = None) -> dict[str, Any]:
        """The OpenAPI 3.1 document for one API version, or for all versions."""
        endpoints = [
            each for each in self.endpoints if api_version is None or each.route.version == api_version
        ]
        document = build_document(
            endpoints,
            title=self.title,
            version=self.version,
            description=self.description,
            tag_descriptions=self.tag_descriptions,
        )
        for plugin in self._plugins:
            document = plugin.on_schema_generated(document)
        return document

    @cached_property
    def openapi_json(self) -> bytes:
        """The OpenAPI document for all API versions, as JSON."""
        # Building the document takes tens of milliseconds, and the process handles no requests meanwhile.
        return msgspec.json.encode(self.openapi())

    @property
    def readiness_checks(self) -> dict[str, Callable[..., Any]]:
        """The /readyz checks, keyed by name. Add one with `@app.readiness_check("name")`."""
        return self._readiness_checks

    # Errors

    def exception_handler(
        self, exc_class: type[Exception]
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a handler for an exception class. If several handlers match, the one for the most specific
        class is used."""

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            self._handlers_for[exc_class] = handler
            return handler

        return register

    async def _response_to(self, request: Request, error: Exception) -> Any:
        for plugin in self._plugins:
            plugin.on_exception(request, error)
        for kind in type(error).__mro__:
            handler = self._handlers_for.get(kind)
            if handler is None:
                continue
            try:
                response = handler(request, error)
                response = await response if inspect.isawaitable(response) else response
            except Exception as second:
                return problem_for(second)
            if is_response(response):
                return response
            logger.error("the handler for %s did not return a response", kind.__name__)
            return problem_response(500, UNEXPECTED)
        if self._is_in_development() and log_missing_migration(logger, error):
            return problem_response(503, MIGRATIONS_ARE_PENDING, code="migrations_pending")
        response = problem_for(error)
        if self.debug and response.status_code == 500:
            told = f"{type(error).__name__}: {error}"
            return problem_response(500, told)
        return response

    def _is_in_development(self) -> bool:
        settings: Settings | None = getattr(self.state, "settings", None)
        return settings is not None and settings.environment == "development"

    async def _handle_exception(self, request: Request, exc: Exception) -> Any:
        return await self._response_to(CheckedRequest.from_request(request), exc)

    def _build_response(
        self,
        result: Any,
        status_code: int,
        response_model: type[Any] | None = None,
        **options: Any,
    ) -> Any:
        # HawkAPI 0.2.0 recognizes only two of its own response classes and fails on streams and files.
        if is_response(result):
            return result
        return super()._build_response(result, status_code, response_model, **options)

    # Life cycle

    def on_startup(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Run *func* before the first request. If *func* raises, the error is logged and startup fails."""

        async def logged() -> None:
            try:
                result = func()
                if inspect.isawaitable(result):
                    await result
            except Exception:
                # The server prints only the exception's message.
                logger.exception("startup failed in %s", getattr(func, "__qualname__", func))
                raise

        super().on_startup(logged)
        return func

    # Requests

    def wrap(self, layer: Callable[[Application], Application]) -> None:
        """Put *layer* around all middleware, so that *layer* sees every request and every response."""
        self._stack = layer(self._stack)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["app"] = self
        if scope["type"] == "http":
            await self._stack(scope, receive, send)
            return
        if scope["type"] == "websocket":
            # Close the WebSocket before it is accepted, so that the server responds with 403.
            await send({"type": "websocket.close"})
            return
        if scope["type"] == "lifespan":
            self._wait_for_requests_first()
        await super().__call__(scope, receive, send)

    async def _respond(self, scope: Any, receive: Any, send: Any) -> None:
        """Run your middleware and the route, and turn exceptions into responses."""
        receive = _whole_body_or_error(receive)
        try:
            if "\0" in scope["path"]:
                raise Problem(400, "The URL contains the character U+0000.", code="invalid_url")
            await super().__call__(scope, receive, send)
        except Exception as error:
            if response_has_begun(scope):
                # Make the server close the connection. Otherwise, the client would consider the response
                # complete.
                logger.exception("an error occurred after the response had started")
                raise
            response = await self._response_to(CheckedRequest(scope, receive), error)
            await response(scope, receive, send)

    async def _core_handler_inner(self, scope: Any, receive: Any, send: Any) -> None:
        result = self._tree.lookup(scope["path"], scope["method"])
        if result is not None and result.params and (allowed := self._static_methods(scope["path"])):
            # A request to `/users/login` with the wrong method must not match `/users/{user_id}`.
            await _wrong_method(allowed)(scope, receive, send)
            return
        if result is None and not self._is_mounted(scope["path"]):
            await self._no_route(scope["path"])(scope, receive, send)
            return
        if result is not None and "token" in result.params:
            hide(scope, str(result.params["token"]))
        await super()._core_handler_inner(scope, receive, send)

    def _is_mounted(self, path: str) -> bool:
        return any(path == each or path.startswith(each + "/") for each in self._mounts)

    def _no_route(self, path: str) -> Response:
        if allowed := self._static_methods(path) or self._tree.find_allowed_methods(path):
            return _wrong_method(allowed)
        return problem_response(404, NOTHING_HERE)

    def _static_methods(self, path: str) -> Set[str]:
        """The methods of the routes that have exactly this path and no path parameters."""
        return self._methods_of.get(path.removesuffix("/"), frozenset())

    def _wait_for_requests_first(self) -> None:
        # Shutdown hooks run in reverse order. HawkAPI registers its wait for running requests first, so the
        # wait would come last, after the database has been closed.
        hooks = self._hooks.shutdown_hooks
        hooks.remove(self._wait_for_in_flight)
        hooks.append(self._wait_for_in_flight)


def _wrong_method(allowed: Set[str]) -> Response:
    methods = ", ".join(sorted(allowed))
    sentence = _("This URL allows only {methods}.").format(methods=methods)
    return problem_response(405, sentence, headers={"Allow": methods})


def _whole_body_or_error(receive: Any) -> Any:
    """Raise if the client disconnects in the middle of the body, which HawkAPI would treat as complete."""
    complete = False

    async def checked() -> Message:
        nonlocal complete
        message: Message = await receive()
        if message["type"] == "http.request":
            complete = not message.get("more_body", False)
        elif message["type"] == "http.disconnect" and not complete:
            raise ClientDisconnected
        return message

    return checked


def _close(router: Router) -> None:
    """Refuse further routes: the application has already copied the routes and would ignore new ones."""
    router.add_route = router.websocket = router.mount = refuse_late_route
    for nested in router._sub_routers:
        _close(nested)


def services_of_request(request: Request) -> Services:
    """The services of the application that handles *request*."""
    return request.scope["app"].state

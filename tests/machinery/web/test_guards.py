"""Guards run before any response, whatever the handler looks like, and before a body is read."""

from functools import wraps
from typing import Annotated, Any

import msgspec
from hawkapi import Depends, Request
from hawkapi.middleware import Middleware
from hawkapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from hawkapi.routing.router import Router
from hawkapi.validation.constraints import Query

from app.web import Problem


class Thing(msgspec.Struct):
    name: str


async def nobody(request: Request) -> None:
    raise Problem(401, "Log in.")


def login_required(handler: Any) -> Any:
    @wraps(handler)
    async def refuse() -> Any:
        raise Problem(401, "Log in.")

    return refuse


async def test_a_literal_response_does_not_skip_the_dependencies_of_its_route(web, http):
    @web.get("/", dependencies=[Depends(nobody)])
    async def handler() -> JSONResponse:
        return JSONResponse({"secret": 1})

    assert (await http.get("/")).status_code == 401


async def test_a_literal_response_does_not_skip_the_dependencies_of_its_router(web, http):
    router = Router(dependencies=[Depends(nobody)])

    @router.get("/")
    async def handler() -> PlainTextResponse:
        return PlainTextResponse("secret")

    web.include_router(router)

    assert (await http.get("/")).status_code == 401


async def test_a_literal_response_does_not_skip_the_dependencies_of_an_outer_router(web, http):
    inner, outer = Router(), Router(prefix="/outer", dependencies=[Depends(nobody)])

    @inner.get("/inner")
    async def handler() -> HTMLResponse:
        return HTMLResponse("<b>secret</b>")

    outer.include_router(inner)
    web.include_router(outer)

    assert (await http.get("/outer/inner")).status_code == 401


async def test_a_literal_response_does_not_skip_a_decorator(web, http):
    @web.get("/")
    @login_required
    async def handler() -> JSONResponse:
        return JSONResponse({"secret": 1})

    assert (await http.get("/")).status_code == 401


async def test_a_literal_response_still_works(web, http):
    @web.get("/")
    async def handler() -> JSONResponse:
        return JSONResponse({"open": 1})

    assert (await http.get("/")).json() == {"open": 1}


async def test_a_guard_in_the_signature_refuses_without_reading_the_body(web, raw):
    @web.post("/")
    async def handler(user: Annotated[None, Depends(nobody)], body: Thing) -> None: ...

    answer = await raw(web, "POST", "/")

    assert (answer.status, answer.received) == (401, 0)


async def test_a_guard_of_the_route_refuses_without_reading_the_body(web, raw):
    @web.post("/", dependencies=[Depends(nobody)])
    async def handler(body: Thing) -> None: ...

    answer = await raw(web, "POST", "/")

    assert (answer.status, answer.received) == (401, 0)


async def test_a_guard_of_the_router_refuses_before_parameters_are_checked(web, http):
    router = Router(dependencies=[Depends(nobody)])

    @router.get("/")
    async def handler(number: int) -> None: ...

    web.include_router(router)

    assert (await http.get("/?number=x")).status_code == 401


async def test_guards_run_in_the_order_router_route_signature(web, http):
    seen: list[str] = []

    def note(name: str) -> Any:
        async def guard(request: Request) -> None:
            seen.append(name)

        return Depends(guard)

    router = Router(dependencies=[note("router")])

    @router.get("/", dependencies=[note("route")])
    async def handler(guard: Annotated[None, note("signature")]) -> None:
        seen.append("handler")

    web.include_router(router)
    await http.get("/")

    assert seen == ["router", "route", "signature", "handler"]


async def test_a_controller_is_guarded_like_every_route(web, http):
    from hawkapi.routing.controllers import Controller, get

    class Things(Controller):
        prefix = "/things"

        @get("/")
        async def list(self, guard: Annotated[None, Depends(nobody)]) -> dict[str, int]:
            return {"secret": 1}

    web.include_controller(Things)

    assert (await http.get("/things")).status_code == 401


async def test_a_plain_decorator_around_an_async_handler_works(web, http):
    def plain(handler: Any) -> Any:
        return wraps(handler)(lambda: handler())

    @web.get("/")
    @plain
    async def handler() -> Thing:
        return Thing("a")

    assert (await http.get("/")).json() == {"name": "a"}


async def test_a_sync_handler_runs_outside_the_event_loop(web, http):
    import threading

    @web.get("/")
    def handler() -> dict[str, bool]:
        return {"loop": threading.current_thread() is threading.main_thread()}

    assert (await http.get("/")).json() == {"loop": False}


async def test_a_route_creates_its_middleware_once(web, http):
    """By itself, HawkAPI creates one for each request, so a limit would never be reached."""

    class Counter(Middleware):
        def __init__(self, app: Any, start: int) -> None:
            super().__init__(app)
            self.count = start

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            self.count += 1
            scope["count"] = self.count
            await self.app(scope, receive, send)

    @web.get("/", middleware=[(Counter, {"start": 10}), (Counter, {"start": 20})])
    async def handler(request: Request) -> int:
        return request.scope["count"]

    assert [(await http.get("/")).json(), (await http.get("/")).json()] == [21, 22]


async def test_a_route_with_middleware_is_known_to_the_layers_around_it(web, http):
    """Otherwise, metrics and traces would report the route as unmatched."""
    found = []

    def note(app: Any) -> Any:
        async def layer(scope: Any, receive: Any, send: Any) -> None:
            await app(scope, receive, send)
            found.append(scope["route"].path)

        return layer

    class PassOn(Middleware):
        pass

    web.wrap(note)

    @web.get("/it", middleware=[PassOn])
    async def handler() -> int:
        return 1

    assert (await http.get("/it")).json() == 1
    assert found == ["/it"]


async def test_each_request_gets_its_own_default(web, http):
    """HawkAPI's own resolver does the same. Otherwise, one user would see what another one added."""

    @web.get("/tags")
    async def handler(tag: Annotated[list[str], Query(default_factory=list)]) -> list[str]:
        tag.append("added")
        return tag

    assert [(await http.get("/tags")).json() for _ in range(3)] == [["added"]] * 3
    assert (await http.get("/tags", params={"tag": ["a", "b"]})).json() == ["a", "b", "added"]

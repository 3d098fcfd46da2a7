"""Unusable handlers are rejected at registration, with a message that explains what to do."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import msgspec
import pytest
from hawkapi import Depends, Header, Query, Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router
from hawkapi.security.scopes import Security

from app.web import App
from app.web.framework.handler_checks import RouteError


class Thing(msgspec.Struct):
    name: str


class Foreign:
    """A class unknown to msgspec."""


async def unresolved(thing: "NotImported") -> None: ...  # type: ignore[name-defined] # noqa: F821


async def misnamed(req: Request) -> None: ...


async def two_bodies(first: Thing, second: Thing) -> None: ...


async def returns_a_body() -> Thing: ...  # type: ignore[empty-body]


async def returns_foreign() -> Foreign: ...  # type: ignore[empty-body]


async def returns_either() -> Thing | Response: ...  # type: ignore[empty-body]


async def takes_foreign(value: Foreign) -> None: ...


async def implicit_query(limit: int) -> None: ...


async def implicit_struct(thing: Thing | None = None, *, other: Annotated[int, "note"]) -> None: ...


async def unresolved_dependency(thing: "NotImported" = None) -> None: ...  # type: ignore[name-defined] # noqa: F821


async def nested(inner: Annotated[None, Depends(implicit_query)]) -> None: ...


async def needs_implicit(value: Annotated[None, Depends(implicit_query)]) -> None: ...


async def needs_struct(value: Annotated[None, Depends(implicit_struct)]) -> None: ...


async def needs_nested(value: Annotated[None, Depends(nested)]) -> None: ...


async def needs_unresolved(value: Annotated[None, Depends(unresolved_dependency)]) -> None: ...


async def fine() -> None: ...


async def scoped(user: Annotated[None, Security(fine, scopes=["read"])]) -> None: ...


async def scoped_by_default(user: None = Security(fine, scopes=["read"])) -> None: ...  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("handler", "options", "sentence"),
    [
        (unresolved, {}, "the annotations cannot be resolved"),
        (misnamed, {}, "must be named `request`"),
        (two_bodies, {}, "more than one body parameter: combine them into one Struct"),
        (returns_a_body, {"status_code": 204}, "which has no body, but returns a value"),
        (returns_foreign, {}, "the return value has a type that msgspec does not know"),
        (returns_either, {}, "set response_model="),
        (takes_foreign, {}, "the parameter 'value' has a type that msgspec does not know"),
        (needs_implicit, {}, "cannot fill the parameter 'limit' of the dependency implicit_query"),
        (needs_struct, {}, "cannot fill the parameter 'other' of the dependency implicit_struct"),
        (needs_nested, {}, "cannot fill the parameter 'limit' of the dependency implicit_query"),
        (needs_unresolved, {}, "the annotations cannot be resolved"),
        (fine, {"dependencies": [Depends(implicit_query)]}, "cannot fill the parameter 'limit'"),
        (fine, {"dependencies": [Depends(partial(implicit_query, 1))]}, "cannot read the parameters of a"),
        (fine, {"dependencies": [Depends(Foreign)]}, "the dependency Foreign is a class"),
        (fine, {"dependencies": [Depends(scoped)]}, "ignores the scopes in the parameter 'user'"),
        (fine, {"dependencies": [Depends(scoped_by_default)]}, "ignores the scopes in the parameter 'user'"),
        (returns_a_body, {"response_model_exclude_none": True}, "has no effect here"),
    ],
)
def test_an_unusable_handler_is_refused(web: App, handler: Any, options: Any, sentence: str):
    with pytest.raises(RouteError, match="GET /things") as error:
        web.add_route("/things", handler, methods={"GET"}, **options)

    assert sentence in str(error.value)


async def who(request: Request) -> str: ...  # type: ignore[empty-body]


Me = Annotated[str, Depends(who)]
type MeAlias = Annotated[str, Depends(who)]
type Guarded = Annotated[None, Depends(who)]
type From[T] = Annotated[T, Depends(who)]
type Agent = Annotated[str, Header()]
type Json = dict[str, Json] | list[Json] | str | None
MISSING = inspect.Parameter.empty


def taking(annotation: Any, default: Any) -> Callable[..., Any]:
    """A handler with the parameter `value`."""
    signature = inspect.Parameter("value", inspect.Parameter.KEYWORD_ONLY, default=default)

    async def handler(**given: Any) -> None: ...

    handler.__signature__ = inspect.Signature([signature])  # type: ignore[attr-defined]
    handler.__annotations__ = {"value": annotation, "return": None}
    return handler


@pytest.mark.parametrize("place", ["handler", "dependency"])
@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        pytest.param(MeAlias, MISSING, id="in an alias"),
        pytest.param(Guarded, None, id="in the alias of a guard without a value"),
        pytest.param(From[str], MISSING, id="in a generic alias"),
        pytest.param(Agent, "", id="a header in an alias"),
        pytest.param(Me | None, None, id="in a union"),
        pytest.param(MeAlias | None, None, id="in an alias in a union"),
        pytest.param(list[Me], (), id="in a list"),
        pytest.param(Annotated[Me, Depends(fine)], MISSING, id="after another"),
        pytest.param(Me, Depends(fine), id="as the default beside another"),
        pytest.param(Annotated[str, Header()], Depends(who), id="as the default beside a header"),
        pytest.param(str, Depends(), id="without a function, as the default"),
        pytest.param(str, Header(), id="a header as the default"),
    ],
)
def test_an_ignored_marker_is_refused(web: App, annotation: Any, default: Any, place: str):
    """Its dependency would not run, and the client could choose the value."""
    function = taking(annotation, default)
    handler, guards = (function, []) if place == "handler" else (fine, [Depends(function)])

    with pytest.raises(RouteError, match=r"HawkAPI ignores a (Depends|Header) of the parameter 'value'"):
        web.add_route("/things", handler, methods={"GET"}, dependencies=guards)


async def returns_a_union() -> Me | None: ...


@pytest.mark.parametrize(
    ("annotation", "default"),
    [
        pytest.param(Me, MISSING, id="a plain alias"),
        pytest.param(str, Depends(who), id="as the default"),
        pytest.param(Annotated[str | None, Depends(who)], None, id="around a union"),
        pytest.param(Annotated[Json, Depends(who)], MISSING, id="around an alias that contains itself"),
        pytest.param(Annotated[str, Security(who, scopes=["read"])], MISSING, id="with scopes"),
        pytest.param(Annotated[None, Depends(returns_a_union)], MISSING, id="in the type of a result"),
        pytest.param(Annotated[list[int], Query()], MISSING, id="a query parameter"),
    ],
)
def test_a_marker_that_hawkapi_uses_is_accepted(web: App, annotation: Any, default: Any):
    assert web.add_route("/things", taking(annotation, default), methods={"GET"})


def test_the_message_names_the_handler(web: App):
    with pytest.raises(RouteError, match=r"test_route_errors\.misnamed"):
        web.add_route("/things", misnamed, methods={"GET"})


def test_the_default_of_a_dependency_is_kept(web: App):
    async def dependency(request: Request, limit: int = 5) -> int:
        return limit

    async def handler(value: Annotated[int, Depends(dependency)]) -> int:
        return value

    assert web.add_route("/things", handler, methods={"GET"})


LATE = [
    pytest.param(lambda router: router.get("/late")(fine), id="route"),
    pytest.param(lambda router: router.websocket("/late"), id="WebSocket"),
    pytest.param(lambda router: router.mount("/late", fine), id="mount"),
]


@pytest.mark.parametrize("add", LATE)
def test_adding_a_route_to_an_included_router_is_refused(web: App, add: Any):
    router, nested = Router(), Router()
    router.include_router(nested)
    web.include_router(router)

    for each in (router, nested):
        with pytest.raises(RouteError, match="/late was added too late"):
            add(each)


def test_a_route_added_to_a_nested_router_after_it_was_included_is_refused(web: App):
    parent, nested = Router(prefix="/outer"), Router(prefix="/inner")
    nested.get("/early")(fine)
    parent.include_router(nested)
    nested.get("/late")(fine)

    with pytest.raises(RouteError, match="/inner/late was added too late"):
        web.include_router(parent)


@pytest.mark.parametrize(
    ("first", "second", "how"),
    [
        ("/things", "/things", "have the same path"),
        ("/things/{id:int}", "/things/{id:int}", "have the same path"),
        ("/things/{id}/parts", "/things/{key}", "have the parameters {key} and {id} at the same place"),
        ("/things/{id}", "/things/{id:int}/parts", "have the parameters {id:int} and {id} at the same place"),
    ],
)
def test_routes_of_two_routers_that_clash_are_named(web: App, first: str, second: str, how: str):
    router = Router()
    router.get(second)(scoped)
    # These routes do not clash with `second`.
    web.get("/things/other/{another}")(fine)
    web.put("/things")(fine)
    web.get(first)(fine)

    with pytest.raises(RouteError) as error:
        web.include_router(router)

    assert str(error.value).startswith(
        f"GET/HEAD {second} ({__name__}.scoped) and GET/HEAD {first} ({__name__}.fine) {how}"
    )


def test_permissions_without_a_policy_are_refused(web: App):
    with pytest.raises(RouteError, match="Use a guard"):
        web.add_route("/things", fine, methods={"GET"}, permissions=["things:read"])


def test_a_websocket_is_refused(web: App):
    parent, nested = Router(), Router(prefix="/live")
    nested.websocket("/feed")(fine)
    parent.include_router(nested)

    with pytest.raises(RouteError, match="WebSocket /live/feed: HawkAPI"):
        web.include_router(parent)
    with pytest.raises(RouteError, match="WebSocket /feed: HawkAPI"):
        web.websocket("/feed")


@pytest.mark.parametrize("guarded", ["parent", "nested"])
def test_a_mount_that_would_skip_the_guards_of_its_router_is_refused(web: App, guarded: str):
    guards = [Depends(fine)]
    parent = Router(dependencies=guards if guarded == "parent" else None)
    nested = Router(dependencies=guards if guarded == "nested" else None)
    nested.mount("/files", fine)
    parent.include_router(nested)

    with pytest.raises(RouteError, match="mounted at /files would run without the guards"):
        web.include_router(parent)

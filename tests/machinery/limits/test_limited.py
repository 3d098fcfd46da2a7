"""`limited("10/m")` on a route: who is counted, the responses, and the OpenAPI document."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Annotated, Any

import httpx
import msgspec
import pytest
from hawkapi import Depends
from hawkapi.routing.router import Router

from app import clock
from app.limits import MemoryLimiter, Rate, limited, too_many
from app.web import App

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Thing(msgspec.Struct):
    name: str


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOON)


@pytest.fixture
def limited_app(make_app) -> App:
    """An application whose GET / allows three requests an hour per network."""
    return make_app()


@pytest.fixture
async def http(limited_app: App, visit) -> AsyncIterator[httpx.AsyncClient]:
    async with visit(limited_app) as client:
        yield client


async def statuses(client: httpx.AsyncClient, *paths: str, **options: Any) -> list[int]:
    return [(await client.get(path, **options)).status_code for path in paths]


async def test_requests_over_the_limit_are_refused_with_retry_after(http: httpx.AsyncClient):
    await statuses(http, *"///")

    answer = await http.get("/")

    assert answer.status_code == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "1200"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "code": "rate_limited",
        "detail": "Too many requests from your network. Try again in 20 minutes.",
    }


async def test_with_rate_limits_off_nothing_is_refused(make_app, visit):
    async with visit(make_app(rate_limits=False)) as client:
        assert await statuses(client, *"/////") == [200] * 5


async def test_a_client_that_waits_is_served_again(http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch):
    await statuses(http, *"////")

    monkeypatch.setattr(clock, "now", lambda: NOON + timedelta(seconds=1200))

    assert await statuses(http, *"//") == [200, 429]


async def test_each_network_is_counted_separately(limited_app: App, http: httpx.AsyncClient, visit):
    await statuses(http, *"////")

    async with visit(limited_app, "203.0.113.10") as other:
        assert await statuses(other, *"////") == [200, 200, 200, 429]


async def test_addresses_of_one_ipv6_network_share_a_count(limited_app: App, visit):
    for number in range(3):
        async with visit(limited_app, f"2001:db8::{number}") as one:
            await one.get("/")

    async with (
        visit(limited_app, "2001:db8::ffff:0:0:1") as same,
        visit(limited_app, "2001:db8:0:1::") as other,
    ):
        assert (await statuses(same, "/"), await statuses(other, "/")) == ([429], [200])


async def test_clients_without_a_known_address_share_a_count(limited_app: App, visit):
    async with visit(limited_app, "testclient") as first, visit(limited_app, "") as second:
        assert await statuses(first, *"//") + await statuses(second, *"//") == [200, 200, 200, 429]


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip"])
async def test_a_forged_header_does_not_change_the_client(http: httpx.AsyncClient, name: str):
    """Checklist 10: a spoofed X-Forwarded-For does not bypass the limit."""
    answers = [await http.get("/", headers={name: f"198.51.100.{each}"}) for each in range(4)]

    assert [each.status_code for each in answers] == [200, 200, 200, 429]


async def test_clients_behind_a_proxy_are_counted_separately(make_app, visit):
    app = make_app(trusted_proxies=[ip_network("203.0.113.9")])
    ada, bob = {"x-forwarded-for": "198.51.100.1"}, {"x-forwarded-for": "198.51.100.2"}
    async with visit(app) as proxy:
        assert await statuses(proxy, *"////", headers=ada) == [200, 200, 200, 429]
        assert await statuses(proxy, "/", headers=bob) == [200]


async def test_each_route_is_counted_separately_by_its_pattern(limited_app: App, http: httpx.AsyncClient):
    guard = Depends(limited("2/h"))

    @limited_app.get("/things/{name}", dependencies=[guard])
    async def thing(name: str) -> str:
        return name

    @limited_app.get("/others", dependencies=[guard])
    async def others() -> str:
        return ""

    assert await statuses(http, "/things/1", "/things/2", "/things/%33", "/others") == [200, 200, 429, 200]


async def test_a_guard_of_a_router_counts_each_of_its_routes(limited_app: App, http: httpx.AsyncClient):
    router = Router(prefix="/api", dependencies=[Depends(limited("1/h"))])

    @router.get("/a")
    async def a() -> str:
        return ""

    @router.get("/b")
    async def b() -> str:
        return ""

    limited_app.include_router(router)

    assert await statuses(http, "/api/a", "/api/a", "/api/b") == [200, 429, 200]


async def test_head_counts_like_get(http: httpx.AsyncClient):
    heads = [(await http.head("/")).status_code for _ in range(3)]

    assert heads + await statuses(http, "/") == [200, 200, 200, 429]


async def test_two_limits_are_both_enforced(limited_app: App, http: httpx.AsyncClient):
    guards = [Depends(limited("2/m")), Depends(limited("3/h"))]

    @limited_app.get("/both", dependencies=guards)
    async def both() -> str:
        return ""

    answers = await statuses(http, "/both", "/both", "/both")

    assert answers == [200, 200, 429]


async def test_a_limit_refuses_before_the_body_is_read(limited_app: App, http: httpx.AsyncClient):
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("nobody has to read the body for this")
        yield b""

    @limited_app.post("/things", dependencies=[Depends(limited("1/h"))])
    async def add(body: Thing) -> Thing:
        return body

    @limited_app.post("/signed", status_code=200)
    async def sign(guard: Annotated[None, Depends(limited("1/h"))], body: Thing) -> Thing:
        return body

    for path in ("/things", "/signed"):
        await http.post(path, json={"name": "a"})
        assert (await http.post(path, content=body())).status_code == 429


@pytest.mark.parametrize("text", ["10", "often", "0/m"])
def test_an_invalid_rate_is_refused_at_definition(text: str):
    with pytest.raises(ValueError):
        limited(text)


async def test_the_openapi_document_lists_the_responses(limited_app: App):
    responses = limited_app.openapi()["paths"]["/"]["get"]["responses"]

    assert {"429", "503"} <= set(responses)


@pytest.mark.parametrize(
    ("seconds", "header", "words"),
    [
        (0.000001, "1", "1 second"),
        (1, "1", "1 second"),
        (1.1, "2", "2 seconds"),
        (34, "34", "34 seconds"),
        (120, "120", "120 seconds"),
        (121, "121", "3 minutes"),
        (7200, "7200", "120 minutes"),
        (7201, "7201", "3 hours"),
        (86_400, "86400", "24 hours"),
    ],
)
def test_the_wait_is_given_in_whole_seconds_and_in_words(seconds: float, header: str, words: str):
    """The wait is rounded up, so a retry after that time is not rejected again."""
    problem = too_many(seconds, detail="Too many attempts for this account.")

    assert problem.headers == {"Retry-After": header}
    assert problem.detail == f"Too many attempts for this account. Try again in {words}."


# An application's limiter


async def test_without_redis_the_limiter_counts_in_memory(limited_app: App):
    assert isinstance(limited_app.state.limiter, MemoryLimiter)


async def test_two_applications_count_separately(make_app, visit):
    first, second = make_app(), make_app()
    await first.state.limiter.acquire("ada", Rate(1, 60))

    assert await second.state.limiter.acquire("ada", Rate(1, 60)) == 0.0


async def test_processes_count_together_in_redis(make_app, visit, redis_url, prefix, patience):
    """Two applications with the same secret act as two processes of one application."""
    rate, key = Rate(1, 5), f"processes {prefix}"
    await make_app(redis_url).state.limiter.acquire(key, rate)

    assert await make_app(redis_url).state.limiter.acquire(key, rate) > 0


async def test_the_connection_is_closed_with_the_application(make_app, started, server, patience):
    app = make_app(server.url)

    async with started(app):
        await app.state.limiter.peek("ada", Rate(1, 60))
        while_running = await app.state.limiter._limiter._redis.client_list()

    assert len(while_running) == 1
    assert not app.state.limiter._limiter._redis.connection_pool._available_connections[0].is_connected

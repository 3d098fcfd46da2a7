"""CORS_ORIGINS: which other sites' pages may send requests and read responses, errors included."""

import pytest
from hawkapi import Request

from app.web import Problem

FRONT = "https://front.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture
def open_to(app_with, connected):
    """`async with open_to([...]) as client:` a client of an application with these CORS_ORIGINS."""

    def build(origins, **settings):
        web = app_with(cors_origins=origins, **settings)

        @web.post("/{status:int}")
        async def handler(status: int, request: Request) -> int:
            await request.body()
            if status == 500:
                raise RuntimeError
            if status > 299:
                raise Problem(status, "No.", headers={"Retry-After": "1"})
            return 1

        return connected(web)

    return build


def cors_headers(answer):
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_without_origins_there_is_no_cors(open_to, method):
    async with open_to([]) as client:
        answer = await client.request(method, "/200", headers={"Origin": FRONT, **PREFLIGHT})

    assert cors_headers(answer) == {}


@pytest.mark.parametrize("status", [201, 400, 401, 404, 413, 429, 500])
async def test_an_allowed_origin_may_read_every_response(open_to, status):
    async with open_to([FRONT]) as client:
        answer = await client.post(f"/{status}", headers={"Origin": FRONT})

    assert answer.status_code == status
    assert cors_headers(answer) == {
        "access-control-allow-origin": FRONT,
        "access-control-expose-headers": "Retry-After, X-Request-ID",
    }
    assert "Origin" in answer.headers["vary"].split(", ")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "content", "extra", "status"),
    [
        ("/200", b"x" * 1001, {}, 413),
        ("/" + "a" * 9000, b"", {}, 414),
        ("/200", b"", {"X-Long": "a" * 20_000}, 431),
        ("/nowhere/at/all", b"", {}, 404),
    ],
)
async def test_an_allowed_origin_may_read_early_refusals(open_to, path, content, extra, status):
    async with open_to([FRONT]) as client:
        answer = await client.post(path, content=content, headers={"Origin": FRONT, **extra})

    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == FRONT


async def test_an_allowed_origin_may_read_a_timeout(app_with, raw, never):
    web = app_with(cors_origins=[FRONT], request_timeout=0.05)

    @web.get("/")
    async def handler() -> None:
        await never()

    answer = await raw(web, "GET", "/", headers=[(b"origin", FRONT.encode())])

    assert (answer.status, answer.headers[b"access-control-allow-origin"]) == (504, FRONT.encode())


async def test_a_preflight_allows_tokens_but_no_cookies(open_to):
    async with open_to([FRONT]) as client:
        cross_site = {"Origin": FRONT, "Sec-Fetch-Site": "cross-site"}
        answer = await client.options("/200", headers={**cross_site, **PREFLIGHT})

    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRONT
    assert answer.headers["access-control-allow-headers"] == "authorization, content-type"
    assert "DELETE" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("method", "origin", "site", "allowed"),
    [
        ("POST", FRONT, "same-site", "true"),
        ("OPTIONS", FRONT, "same-site", "true"),
        ("OPTIONS", FRONT, None, "true"),
        ("POST", FRONT, None, None),
        ("POST", FRONT, "cross-site", None),
        ("OPTIONS", FRONT, "cross-site", None),
        ("POST", "https://other.example", "same-site", None),
        ("OPTIONS", "https://other.example", "same-site", None),
    ],
)
async def test_only_pages_of_the_same_site_may_send_cookies(open_to, method, origin, site, allowed):
    """Checklist 35."""
    headers = {"Origin": origin, **PREFLIGHT} | ({"Sec-Fetch-Site": site} if site else {})
    async with open_to([FRONT]) as client:
        answer = await client.request(method, "/200", headers=headers)

    assert answer.headers.get("access-control-allow-credentials") == allowed


async def test_a_preflight_has_the_headers_of_every_response(open_to):
    async with open_to([FRONT]) as client:
        answer = await client.options("/200", headers={"Origin": FRONT, **PREFLIGHT})

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://front.example",
        "https://front.example.evil.example",
        "null",
        f"{FRONT}:8443",
    ],
)
async def test_other_origins_are_allowed_nothing(open_to, origin):
    async with open_to([FRONT]) as client:
        answers = [
            await client.post("/200", headers={"Origin": origin}),
            await client.options("/200", headers={"Origin": origin, **PREFLIGHT}),
        ]

    assert [cors_headers(answer) for answer in answers] == [{}, {}]


async def test_an_unserved_host_name_allows_nothing(open_to):
    async with open_to([FRONT], allowed_hosts=["app.example"]) as client:
        answers = [
            await client.post("/200", headers={"Origin": FRONT}),
            await client.options("/200", headers={"Origin": FRONT, **PREFLIGHT}),
        ]

    assert [(answer.status_code, cors_headers(answer)) for answer in answers] == [(400, {}), (400, {})]

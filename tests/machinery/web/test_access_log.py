"""The access log line of each request, and the request id in every line and in the response."""

import asyncio
import logging
from ipaddress import ip_network

import pytest
from hawkapi import Request
from hawkapi.responses import StreamingResponse

from app.logs import request_id
from app.web import Problem
from app.web.access_log import note_user

TRUSTED = {"trusted_proxies": [ip_network("203.0.113.9")]}
DROPPED = ({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"})
LONG = "a" * 37


@pytest.fixture
def busy(app_with):
    """`busy(**settings)`: an application with routes that end in different ways."""

    def build(**settings):
        web = app_with(**settings)

        @web.get("/ok")
        async def ok() -> dict[str, int]:
            return {"a": 1}

        @web.get("/no")
        async def no() -> None:
            raise Problem(409, "Taken.")

        @web.get("/broken")
        async def broken() -> None:
            raise RuntimeError

        @web.get("/stream")
        async def stream() -> StreamingResponse:
            async def chunks():
                yield b"one"
                yield b"three"

            return StreamingResponse(chunks())

        @web.get("/mine")
        async def mine(request: Request) -> None:
            note_user(request, "user-7")

        @web.post("/body")
        async def body(body: dict[str, int]) -> None: ...

        @web.get("/links/{token}")
        async def link(token: str) -> None: ...

        @web.get("/things/{id}")
        async def thing(id: str) -> None: ...

        @web.get("/wait")
        async def wait() -> None:
            await asyncio.Event().wait()

        return web

    return build


# What is logged


@pytest.mark.parametrize(
    ("method", "path", "status", "sent"),
    [
        ("GET", "/ok", 200, 7),
        ("HEAD", "/ok", 200, 0),
        ("GET", "/mine", 204, 0),
        ("GET", "/stream", 200, 8),
    ],
)
async def test_a_request_has_one_line(busy, raw, access_lines, method, path, status, sent):
    await raw(busy(), method, path)

    [line] = access_lines()
    assert line.levelno == logging.INFO
    assert line.getMessage() == f"{method} {path} {status}"
    assert (line.method, line.path, line.status, line.bytes) == (method, path, status, sent)
    assert (line.client, line.user) == ("203.0.113.9", "user-7" if path == "/mine" else None)
    assert 0 <= line.milliseconds < 60_000


@pytest.mark.parametrize(
    ("method", "path", "status", "settings"),
    [
        ("GET", "/nowhere", 404, {}),
        ("POST", "/ok", 405, {}),
        ("GET", "/no", 409, {}),
        ("GET", "/broken", 500, {}),
        ("GET", "/ok", 400, {"allowed_hosts": ["app.example"]}),
        ("GET", "/wait", 504, {"request_timeout": 0.05}),
        ("GET", "/a\0b", 400, {}),
    ],
)
async def test_a_refused_request_has_a_line_too(busy, raw, access_lines, method, path, status, settings):
    await raw(busy(**settings), method, path)

    [line] = access_lines()
    assert (line.method, line.path, line.status) == (method, path, status)


async def test_a_raising_middleware_still_leaves_a_line(busy, raw, access_lines):
    web = busy()

    class Raising:
        def __init__(self, app): ...

        async def __call__(self, scope, receive, send):
            raise RuntimeError

    web.add_middleware(Raising)

    await raw(web, "GET", "/ok")

    assert [line.status for line in access_lines()] == [500]


async def test_a_preflight_has_a_line_too(busy, raw, access_lines):
    origin = [(b"origin", b"https://front.example")]

    await raw(busy(cors_origins=["https://front.example"]), "OPTIONS", "/ok", headers=origin)

    assert [line.status for line in access_lines()] == [200]


async def test_a_broken_stream_is_logged_with_the_status_sent(web, raw, access_lines):
    @web.get("/")
    async def handler() -> StreamingResponse:
        async def chunks():
            yield b"one"
            raise RuntimeError

        return StreamingResponse(chunks())

    with pytest.raises(RuntimeError):
        await raw(web, "GET", "/")

    assert [(line.status, line.bytes) for line in access_lines()] == [(200, 3)]


async def test_a_client_that_disconnects_during_the_body_is_499(busy, raw, access_lines):
    headers = [(b"content-type", b"application/json")]

    await raw(busy(), "POST", "/body", incoming=DROPPED, headers=headers)

    assert [line.status for line in access_lines()] == [499]


async def test_a_request_cancelled_before_its_response_is_499(busy, raw, access_lines):
    request = asyncio.create_task(raw(busy(), "GET", "/wait"))
    await asyncio.sleep(0)

    request.cancel()
    await asyncio.wait([request])

    assert request.cancelled()
    assert [line.status for line in access_lines()] == [499]


async def test_time_after_the_response_is_not_counted(web, raw, access_lines):
    seen = []

    class After:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app(scope, receive, send)
            seen.extend(access_lines())

    web.add_middleware(After)

    await raw(web, "GET", "/")

    assert len(seen) == len(access_lines()) == 1


async def test_the_client_is_the_one_behind_the_proxy(busy, raw, access_lines):
    await raw(busy(**TRUSTED), "GET", "/ok", headers=[(b"x-forwarded-for", b"198.51.100.7")])

    assert [line.client for line in access_lines()] == ["198.51.100.7"]


# What is not logged


async def test_no_query_string_is_logged(busy, raw, access_lines):
    await raw(busy(), "GET", "/ok", query=b"secret=1")

    [line] = access_lines()
    assert "secret" not in str(vars(line))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("token", ["x", "short", LONG])
async def test_a_token_in_the_path_is_not_logged(busy, raw, access_lines, method, token):
    await raw(busy(), method, f"/links/{token}")

    assert [line.path for line in access_lines()] == ["/links/..."]


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        (f"/lnks/{LONG}", "/lnks/..."),
        (f"/{LONG}/more/{LONG}", "/.../more/..."),
        (f"/links/{LONG}/", "/links/.../"),
        (f"/links/{LONG}/more", "/links/.../more"),
        ("/things/6f1c0b6e-5d1c-4c0e-9a53-5a0ad6a5f1a3", "/things/6f1c0b6e-5d1c-4c0e-9a53-5a0ad6a5f1a3"),
        ("/things/x", "/things/x"),
        ("//", "//"),
    ],
)
async def test_a_token_in_a_misspelled_path_is_not_logged(busy, raw, access_lines, path, logged):
    await raw(busy(), "GET", path)

    assert [line.path for line in access_lines()] == [logged]


async def test_a_long_path_is_cut(busy, raw, access_lines):
    await raw(busy(), "GET", "/a" * 4000)

    assert [len(line.path) for line in access_lines()] == [1024]


# The id


async def test_every_response_has_its_own_id(busy, raw):
    web = busy()

    answers = [
        await raw(web, "GET", path) for path in ("/ok", "/ok", "/no", "/nowhere", "/broken", "/stream")
    ]

    assert len({answer.headers[b"x-request-id"] for answer in answers}) == len(answers)


async def test_code_that_logs_for_a_request_has_its_id(app_with, raw):
    web, seen = app_with(), []

    @web.get("/")
    async def handler() -> None:
        seen.append(request_id.get())
        await asyncio.sleep(0)
        seen.append(await asyncio.to_thread(request_id.get))

    answers = [await raw(web, "GET", "/") for _ in range(2)]

    expected = [answer.headers[b"x-request-id"].decode() for answer in answers]
    assert seen == [expected[0], expected[0], expected[1], expected[1]]
    assert request_id.get() == ""


async def test_concurrent_requests_keep_their_own_ids(app_with, raw):
    web, meeting = app_with(), asyncio.Barrier(10)

    @web.get("/")
    async def handler() -> str:
        await meeting.wait()
        return request_id.get()

    answers = await asyncio.gather(*[raw(web, "GET", "/") for _ in range(10)])

    assert [answer.body.strip(b'"') for answer in answers] == [
        answer.headers[b"x-request-id"] for answer in answers
    ]


@pytest.mark.parametrize("given", [b"abc", b"A-1._", b"a" * 64])
async def test_a_valid_id_from_a_proxy_is_used(busy, raw, given):
    answer = await raw(busy(**TRUSTED), "GET", "/ok", headers=[(b"x-request-id", given)])

    assert answer.headers[b"x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"a" * 65, b"a b", b"a\nb", b"abc\n", b"a;b", b"\xe4", b'a"b'])
async def test_an_invalid_id_from_a_proxy_is_replaced(busy, raw, given):
    answer = await raw(busy(**TRUSTED), "GET", "/ok", headers=[(b"x-request-id", given)])

    assert answer.headers[b"x-request-id"] != given
    assert len(answer.headers[b"x-request-id"]) == 32


@pytest.mark.parametrize("settings", [{}, {"trusted_proxies": [ip_network("203.0.113.8")]}])
async def test_an_id_from_any_other_client_is_replaced(busy, raw, settings):
    answer = await raw(busy(**settings), "GET", "/ok", headers=[(b"x-request-id", b"abc")])

    assert answer.headers[b"x-request-id"] != b"abc"

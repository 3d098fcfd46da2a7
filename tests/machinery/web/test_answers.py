"""Responses: streams and files work, a 204 is empty, and exactly the response model's fields are sent."""

from typing import Any

import msgspec
import pytest
from hawkapi import Request
from hawkapi.responses import FileResponse, JSONResponse, RedirectResponse, StreamingResponse
from hawkapi.responses.response import Response
from hawkapi.responses.sse import EventSourceResponse, ServerSentEvent

from app.web import Problem, set_cookie


class Public(msgspec.Struct):
    name: str


class Private(Public):
    password: str = "s3cret"


class Page(msgspec.Struct):
    items: list[Public]


class Row:
    """Like a mapped object: it has attributes and is neither a Struct nor a dict."""

    name = "a"
    password = "s3cret"


async def test_a_stream_arrives(web, http):
    @web.get("/")
    async def handler() -> StreamingResponse:
        async def chunks():
            yield b"one,"
            yield b"two"

        return StreamingResponse(chunks(), content_type="text/csv")

    answer = await http.get("/")

    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (200, "one,two", "text/csv")


async def test_a_file_arrives(web, http, tmp_path):
    (tmp_path / "a.txt").write_text("content")

    @web.get("/")
    async def handler() -> FileResponse:
        return FileResponse(tmp_path / "a.txt", filename="b.txt")

    answer = await http.get("/")

    assert (answer.status_code, answer.text) == (200, "content")
    assert "b.txt" in answer.headers["content-disposition"]


async def test_server_sent_events_arrive(web, http):
    @web.get("/")
    async def handler() -> EventSourceResponse:
        async def events():
            yield ServerSentEvent(data="hello", event="greeting")

        return EventSourceResponse(events())

    answer = await http.get("/")

    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.text == "event: greeting\ndata: hello\n\n"


async def test_a_custom_response_class_is_sent_unchanged(web, http):
    class Teapot:
        status_code = 418

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 418, "headers": []})
            await send({"type": "http.response.body", "body": b"short and stout"})

    @web.get("/")
    async def handler() -> Teapot:
        return Teapot()

    answer = await http.get("/")

    assert (answer.status_code, answer.text) == (418, "short and stout")


async def test_a_redirect_arrives(web, http):
    @web.get("/")
    async def handler() -> RedirectResponse:
        return RedirectResponse("/there")

    assert (await http.get("/")).headers["location"] == "/there"


@pytest.mark.parametrize("result", [None, Response(status_code=204), JSONResponse({"a": 1}, status_code=204)])
async def test_204_has_no_body_and_no_body_headers(web, raw, result):
    @web.delete("/", status_code=204)
    async def handler() -> Response:
        return result

    answer = await raw(web, "DELETE", "/")

    assert (answer.status, answer.body) == (204, b"")
    assert not answer.headers.keys() & {b"content-type", b"content-length", b"transfer-encoding"}


async def test_none_becomes_204_without_an_explicit_status(web, http):
    @web.get("/")
    async def handler() -> None: ...

    assert (await http.get("/")).status_code == 204


async def test_304_has_no_body(web, raw):
    @web.get("/")
    async def handler() -> Response:
        return Response(b"cached", status_code=304, headers={"ETag": '"1"'})

    answer = await raw(web, "GET", "/")

    assert (answer.body, answer.headers[b"etag"]) == (b"", b'"1"')
    assert not answer.headers.keys() & {b"content-type", b"content-length", b"transfer-encoding"}


@pytest.mark.parametrize(
    ("model", "result", "expected"),
    [
        pytest.param(Public, Private("a"), {"name": "a"}, id="a subclass"),
        pytest.param(list[Public], [Private("a")], [{"name": "a"}], id="a list of a subclass"),
        pytest.param(Public | None, Private("a"), {"name": "a"}, id="an optional subclass"),
        pytest.param(Page, Page([Private("a")]), {"items": [{"name": "a"}]}, id="a nested subclass"),
        pytest.param(dict[str, Public], {"x": Private("a")}, {"x": {"name": "a"}}, id="a dict of a subclass"),
        pytest.param(Public, Row(), {"name": "a"}, id="a row"),
        pytest.param(list[Public], [Row()], [{"name": "a"}], id="a list of rows"),
        pytest.param(Public, {"name": "a", "password": "s3cret"}, {"name": "a"}, id="a dict"),
    ],
)
async def test_only_fields_of_the_response_model_are_sent(web, http, model, result, expected):
    async def handler() -> Any:
        return result

    web.add_route("/", handler, methods={"GET"}, response_model=model)

    assert (await http.get("/")).json() == expected


async def test_the_return_annotation_is_the_response_model(web, http):
    @web.get("/")
    async def handler() -> Public:
        return Private("a")

    assert (await http.get("/")).json() == {"name": "a"}


async def test_an_invalid_response_is_500_not_400(web, http):
    @web.get("/")
    async def handler() -> Public:
        return {"name": 1}  # type: ignore[return-value]

    assert (await http.get("/")).status_code == 500


@pytest.mark.parametrize("kind", [Response, JSONResponse])
async def test_a_line_break_cannot_split_a_header(web, raw, kind):
    @web.get("/")
    async def handler() -> Any:
        return kind("", headers={"Location": "/a\r\nSet-Cookie: admin=1\0"})

    answer = await raw(web, "GET", "/")

    assert answer.headers[b"location"] == b"/aSet-Cookie: admin=1"
    assert b"set-cookie" not in answer.headers


async def test_the_request_can_be_injected_by_name(web, http):
    @web.get("/")
    async def handler(request: Request) -> str:
        return request.path

    assert (await http.get("/")).json() == "/"


async def test_json_is_not_cached(web, http):
    """RFC 6749, section 5.1; ASVS 14.3.2."""

    @web.get("/")
    async def handler() -> Public:
        return Public("a")

    answers = [await http.get("/"), await http.get("/nowhere")]

    assert [answer.headers["cache-control"] for answer in answers] == ["no-store", "no-store"]


async def test_a_handler_may_allow_caching(web, http):
    @web.get("/")
    async def handler() -> JSONResponse:
        return JSONResponse({"a": 1}, headers={"Cache-Control": "max-age=60"})

    assert (await http.get("/")).headers.get_list("cache-control") == ["max-age=60"]


@pytest.mark.parametrize(
    "response",
    [
        Response("x", content_type="text/html"),
        Response("x", content_type="text/css", headers={"Cache-Control": "public, max-age=60"}),
        Response(status_code=204),
        Response(status_code=303, headers={"Location": "/"}),
        Response(status_code=304, headers={"cache-control": "max-age=60"}),
    ],
    ids=lambda response: f"{response.status_code} {response.content_type}",
)
async def test_responses_that_set_a_cookie_are_not_cached(web, http, response):
    """Advisory 37: otherwise a cache would give the cookie to others."""

    @web.get("/")
    async def handler(request: Request) -> Response:
        set_cookie(request, "a", "1")
        return response

    answer = await http.get("/")

    assert answer.headers["set-cookie"].startswith("a=1")
    assert answer.headers.get_list("cache-control") == ["no-store"]


@pytest.mark.parametrize(
    "error", [Problem(403, "No.", headers={"Cache-Control": "public"}), RuntimeError("no")]
)
async def test_an_error_that_sets_a_cookie_is_not_cached(web, http, error):
    """Advisory 37."""

    @web.get("/")
    async def handler(request: Request) -> None:
        set_cookie(request, "a", "1")
        raise error

    assert (await http.get("/")).headers.get_list("cache-control") == ["no-store"]


async def test_other_responses_keep_their_headers(web, http):
    @web.get("/")
    async def handler() -> Response:
        return Response("x", content_type="text/css")

    assert "cache-control" not in (await http.get("/")).headers

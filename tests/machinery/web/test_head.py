"""HEAD: the headers of GET, Content-Length included, without a body."""

import asyncio

import pytest
from hawkapi.responses import FileResponse, StreamingResponse

from app.web import Problem


async def test_head_has_the_headers_of_get_and_no_body(web, raw):
    @web.get("/")
    async def handler() -> dict[str, int]:
        return {"a": 1}

    get = await raw(web, "GET", "/")
    head = await raw(web, "HEAD", "/")

    # Each request has its own id.
    own = {b"x-request-id": b""}
    assert (head.status, head.headers | own) == (get.status, get.headers | own)
    assert (get.headers[b"content-length"], head.body) == (b"7", b"")


async def test_head_of_an_error_has_its_headers_and_no_body(web, raw):
    @web.get("/")
    async def handler() -> None:
        raise Problem(409, "Taken.")

    head = await raw(web, "HEAD", "/")

    assert (head.status, head.body) == (409, b"")
    assert int(head.headers[b"content-length"]) > 0


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/posted", 405)])
async def test_head_without_a_get_route_has_no_body(web, raw, path, status):
    @web.post("/posted")
    async def handler() -> None: ...

    head = await raw(web, "HEAD", path)

    assert (head.status, head.body) == (status, b"")


async def test_head_of_a_file_has_its_length_and_no_body(web, raw, tmp_path):
    (tmp_path / "a.txt").write_text("content")

    @web.get("/")
    async def handler() -> FileResponse:
        return FileResponse(tmp_path / "a.txt")

    head = await raw(web, "HEAD", "/")

    assert (head.status, head.headers[b"content-length"], head.body) == (200, b"7", b"")


async def test_head_of_an_endless_stream_ends_once_and_closes_the_stream(web, raw):
    closed: list[bool] = []

    @web.get("/")
    async def handler() -> StreamingResponse:
        async def forever():
            try:
                while True:
                    await asyncio.sleep(0)
                    yield b"x"
            finally:
                closed.append(True)

        return StreamingResponse(forever())

    async with asyncio.timeout(2):
        head = await raw(web, "HEAD", "/")

    assert [each["type"] for each in head.messages] == ["http.response.start", "http.response.body"]
    assert (head.messages[1]["more_body"], head.body, closed) == (False, b"", [True])

"""JSONStream: a document that is sent in parts, and cut off if it cannot be finished."""

import pytest

from app.web.streaming import JSONStream


@pytest.fixture
def numbers(web):
    """GET /3 streams the numbers up to 2, and fails at 3."""
    closed = []

    async def parts(end):
        try:
            for number in range(end):
                yield str(number).encode()
            raise RuntimeError("the database is gone")
        finally:
            closed.append(True)

    @web.get("/{end:int}")
    async def handler(end: int) -> JSONStream:
        return JSONStream(parts(end), {"X-Own": "1"})

    return closed


async def test_the_parts_are_sent_one_by_one(web, raw):
    async def parts():
        yield b"[1,"
        yield b"2]"

    @web.get("/")
    async def handler() -> JSONStream:
        return JSONStream(parts(), {"X-Own": "1"})

    answer = await raw(web, "GET", "/")

    assert [each.get("body") for each in answer.messages] == [None, b"[1,", b"2]", b""]
    assert (answer.headers[b"content-type"], answer.headers[b"x-own"]) == (b"application/json", b"1")
    assert answer.headers[b"cache-control"] == b"no-store"


async def test_a_stream_has_one_content_type(web, raw):
    async def parts():
        yield b"1"

    @web.get("/")
    async def handler() -> JSONStream:
        return JSONStream(parts(), {"Content-Type": "application/x-ndjson"})

    headers = (await raw(web, "GET", "/")).messages[0]["headers"]

    assert [value for name, value in headers if name == b"content-type"] == [b"application/x-ndjson"]


async def test_an_error_before_the_first_part_is_a_response(web, raw, numbers):
    answer = await raw(web, "GET", "/0")

    assert (answer.status, answer.headers[b"content-type"]) == (500, b"application/problem+json")
    assert numbers == [True]


async def test_a_later_error_does_not_end_the_document(web, numbers, caplog):
    """The server cuts the connection off when an exception reaches it."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/2", "query_string": b"", "headers": []}
    with pytest.raises(RuntimeError):
        await web(scope | {"client": ("203.0.113.9", 1), "http_version": "1.1"}, receive, send)

    assert [each.get("more_body") for each in sent] == [None, True, True]
    assert "an error occurred after the response had started" in caplog.text
    assert numbers == [True]

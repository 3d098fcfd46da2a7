"""Forms with files: typed, limited while they arrive, and gone after the request."""

import asyncio
import os
import threading
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any

import msgspec
import pytest
from hawkapi import Depends, Request

from app.web import ContentTypes, FromMultipart, Problem, Upload
from app.web.framework import uploads
from app.web.framework.handler_checks import RouteError
from tests.web.conftest import raw_call

MULTIPART = "multipart/form-data; boundary=frontier"
END = b"--frontier--\r\n"
MAX_SIZE = 3_000_000


class Picture(msgspec.Struct):
    title: Annotated[str, msgspec.Meta(min_length=2)]
    file: Annotated[Upload, ContentTypes("image/png", "text/*")]
    year: int = 2026
    others: list[Upload] = []
    cover: Upload | None = None


def part(disposition: str, content: bytes, content_type: str = "") -> bytes:
    head = f"--frontier\r\nContent-Disposition: form-data; {disposition}\r\n"
    head += f"Content-Type: {content_type}\r\n" if content_type else ""
    return head.encode() + b"\r\n" + content + b"\r\n"


TITLE = part('name="title"', b"Sea")
FILE = part('name="file"; filename="a.png"', b"PNG", "image/png")


@pytest.fixture
def pictures(web):
    """An application with a route for forms up to `MAX_SIZE`. Other bodies can have at most 1000 bytes."""

    @web.post("/", status_code=200)
    async def handler(body: Annotated[Picture, FromMultipart(max_size=MAX_SIZE)]) -> dict[str, Any]:
        files = {each.filename: (await each.read()).decode() for each in (body.file, *body.others)}
        return {"title": body.title, "year": body.year, "files": files, "type": body.file.content_type}

    return web


@pytest.fixture
def opened(monkeypatch) -> list[Any]:
    """The temporary files, in the order in which they were opened."""
    files = []

    class Recorded(SpooledTemporaryFile[bytes]):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            files.append(self)

    monkeypatch.setattr(uploads, "SpooledTemporaryFile", Recorded)
    return files


def messages(body: bytes, size: int) -> Iterator[dict[str, Any]]:
    """*body* as a client sends it in chunks, without its length."""
    for start in range(0, max(len(body), 1), size):
        yield {
            "type": "http.request",
            "body": body[start : start + size],
            "more_body": start + size < len(body),
        }


async def send(app: Any, body: bytes, *, size: int = 65536, headers: Any = (), **options: Any) -> Any:
    content_type = (b"content-type", MULTIPART.encode())
    incoming = list(messages(body, size))
    return await raw_call(app, "POST", "/", incoming=incoming, headers=[content_type, *headers], **options)


def code_of(answer: Any) -> str:
    return msgspec.json.decode(answer.body)["code"]


# What arrives


async def test_fields_and_files_arrive_as_their_types(pictures, http):
    files = [
        ("file", ("größe.txt", "Straße", "text/plain")),
        ("others", ("b", b"2nd")),
        ("others", ("c", b"3rd")),
    ]

    answer = await http.post("/", data={"title": "Meer", "year": "1999"}, files=files)

    assert answer.json() == {
        "title": "Meer",
        "year": 1999,
        "files": {"größe.txt": "Straße", "b": "2nd", "c": "3rd"},
        "type": "text/plain",
    }


type Png = Annotated[Upload, ContentTypes("image/png")]


class Album(msgspec.Struct):
    cover: Png
    pictures: tuple[Upload, ...]
    tags: set[str]


async def test_aliases_sets_and_tuples_arrive(web, http):
    @web.post("/", status_code=200)
    async def handler(body: Annotated[Album, FromMultipart(max_size=MAX_SIZE)]) -> list[Any]:
        return [body.cover.filename, [each.filename for each in body.pictures], sorted(body.tags)]

    files = [
        ("cover", ("a.png", b"a", "image/png")),
        ("pictures", ("b.png", b"b", "image/png")),
        ("pictures", ("c.png", b"c", "image/png")),
    ]

    answer = await http.post("/", data={"tags": ["sea", "sun"]}, files=files)

    assert answer.json() == ["a.png", ["b.png", "c.png"], ["sea", "sun"]]


async def test_the_content_type_of_an_alias_is_checked(web, http):
    @web.post("/")
    async def handler(body: Annotated[Album, FromMultipart(max_size=MAX_SIZE)]) -> None: ...

    answer = await http.post("/", files=[("cover", ("a.txt", b"a", "text/plain"))])

    assert answer.status_code == 415


@pytest.mark.parametrize("size", [1, 7, 65536])
async def test_chunks_may_end_anywhere(pictures, size):
    content = b"a\r\n--frontie\n--frontier\r--frontier after\r\n"
    body = TITLE + part('name="file"; filename="a"', content, "text/plain") + END

    answer = await send(pictures, body, size=size)

    assert msgspec.json.decode(answer.body)["files"] == {"a": content.decode()}


async def test_a_file_field_that_a_browser_leaves_empty_is_absent(pictures, http):
    body = TITLE + FILE + part('name="cover"; filename=""', b"", "application/octet-stream") + END

    answer = await http.post("/", content=body, headers={"Content-Type": MULTIPART})

    assert answer.status_code == 200


async def test_parts_that_the_struct_does_not_have_are_not_stored(pictures, opened):
    body = TITLE + part('name="other"; filename="x"', b"x" * 100_000) + part('name="text"', b"y") + FILE + END

    assert (await send(pictures, body)).status == 200
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\fakepath\\\\a.png", "a.png"),
        ("a\u202eb\x07", "ab"),
        ("x" * 300, "x" * 255),
    ],
)
async def test_a_file_name_is_only_a_name(pictures, sent, name):
    body = TITLE + part(f'name="file"; filename="{sent}"', b"", "image/png") + END

    assert list(msgspec.json.decode((await send(pictures, body)).body)["files"]) == [name]


async def test_a_file_can_be_saved(web, http, tmp_path):
    @web.post("/", status_code=204)
    async def handler(body: Annotated[Picture, FromMultipart(max_size=MAX_SIZE)]) -> None:
        await body.file.save(tmp_path / "saved")

    content = os.urandom(2_000_000)
    await http.post("/", data={"title": "Sea"}, files={"file": ("a", content, "image/png")})

    assert (tmp_path / "saved").read_bytes() == content


# What is rejected


@pytest.mark.parametrize(
    ("content", "field", "code"),
    [
        (FILE + END, "title", "missing"),
        (TITLE + END, "file", "missing"),
        (part('name="title"', b"S") + FILE + END, "title", "invalid"),
        (TITLE + FILE + part('name="year"', b"x") + END, "year", "invalid"),
        (TITLE + part('name="file"', b"PNG") + END, "file", "invalid"),
        (part('name="title"; filename="t"', b"Sea") + FILE + END, "title", "invalid"),
        (part('name="title"', b"Sea\0") + FILE + END, "title", "invalid"),
    ],
    ids=["no text", "no file", "short", "no number", "text for a file", "a file for text", "NUL"],
)
async def test_an_invalid_field_is_400_and_named(pictures, opened, content, field, code):
    answer = await send(pictures, content)

    [error] = msgspec.json.decode(answer.body)["errors"]
    assert (answer.status, error["field"], error["code"]) == (400, field, code)
    assert all(each.closed for each in opened)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no part at all",
        TITLE + FILE,
        FILE[:60],
        b"--frontier\r\nnot a header\r\n\r\nx\r\n" + END,
        part('name="title"', b"\xff\xff") + FILE + END,
        b"".join(part(f'name="{number}"', b"") for number in range(300)) + END,
    ],
    ids=["empty", "no part", "no end", "cut short", "no header", "no UTF-8", "too many parts"],
)
async def test_a_malformed_form_is_400(pictures, opened, content):
    answer = await send(pictures, content)

    assert (answer.status, code_of(answer)) == (400, "malformed_form")
    assert all(each.closed for each in opened)


async def test_a_form_without_a_boundary_is_400(pictures, http):
    answer = await http.post("/", content=END, headers={"Content-Type": "multipart/form-data"})

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_form")


async def test_json_is_415(pictures, http):
    answer = await http.post("/", json={"title": "Sea"})

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["image/jpeg", "IMAGE", ""])
async def test_a_file_of_another_type_is_415_and_not_stored(pictures, opened, content_type):
    body = TITLE + part('name="file"; filename="a"', b"x", content_type) + END

    answer = await send(pictures, body)

    assert (answer.status, code_of(answer)) == (415, "unsupported_media_type")
    assert "must have one of these types: image/png, text/*." in msgspec.json.decode(answer.body)["detail"]
    assert opened == []


# Limits


async def test_a_form_may_be_larger_than_other_bodies(pictures, http):
    content = b"x" * (MAX_SIZE - 10_000)

    answer = await http.post("/", data={"title": "Sea"}, files={"file": ("a", content, "text/plain")})

    assert len(answer.json()["files"]["a"]) == len(content)


async def test_a_form_with_too_large_a_content_length_is_413_before_it_is_read(pictures):
    answer = await send(pictures, TITLE, headers=[(b"content-length", str(MAX_SIZE + 1).encode())])

    assert (answer.status, code_of(answer), answer.received) == (413, "body_too_large", 0)
    assert str(MAX_SIZE) in msgspec.json.decode(answer.body)["detail"]


async def test_a_form_is_413_as_soon_as_it_becomes_too_large(pictures, opened):
    body = TITLE + part('name="file"; filename="a"', b"x" * 10 * MAX_SIZE, "text/plain") + END

    answer = await send(pictures, body, size=100_000)

    assert (answer.status, code_of(answer)) == (413, "body_too_large")
    assert answer.received == MAX_SIZE // 100_000 + 1
    assert [each.closed for each in opened] == [True]


async def test_text_of_a_form_is_limited_like_other_bodies(pictures):
    half = part('name="title"', b"x" * 600)

    answer = await send(pictures, half + half + FILE + END)

    assert (answer.status, code_of(answer)) == (413, "body_too_large")


async def test_a_guard_refuses_before_the_form_is_read(web):
    async def guard(request: Request) -> None:
        raise Problem(403, "No.")

    @web.post("/")
    async def handler(
        allowed: Annotated[None, Depends(guard)],
        body: Annotated[Picture, FromMultipart(max_size=MAX_SIZE)],
    ) -> None: ...

    answer = await send(web, TITLE + FILE + END)

    assert (answer.status, answer.received) == (403, 0)


@pytest.mark.parametrize(("body_timeout", "seconds", "status"), [(0.05, 60, 204), (60, 0.05, 408)])
async def test_a_route_has_its_own_time_limit(app_with, body_timeout, seconds, status):
    web = app_with(body_timeout=body_timeout)

    @web.post("/", status_code=204)
    async def handler(
        body: Annotated[Picture, FromMultipart(max_size=MAX_SIZE, seconds=seconds)],
    ) -> None: ...

    chunks = list(messages(TITLE + FILE + END, 50))
    sent = []

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.1 if len(chunks) == 1 else 0)
        return chunks.pop(0)

    async def keep(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(b"content-type", MULTIPART.encode())],
        "client": ("203.0.113.9", 50000),
        "server": ("test", 80),
    }
    await web(scope, receive, keep)

    assert sent[0]["status"] == status
    assert status == 204 or b"0.05 s" in sent[1]["body"]


# What is left behind


async def test_the_files_are_gone_after_the_response(pictures, opened, http):
    await http.post("/", data={"title": "Sea"}, files={"file": ("a", b"x" * 2_000_000, "text/plain")})

    assert [each.closed for each in opened] == [True]


async def test_the_files_are_gone_after_an_error(web, opened, http):
    @web.post("/")
    async def handler(body: Annotated[Picture, FromMultipart(max_size=MAX_SIZE)]) -> None:
        raise Problem(409, "No.")

    answer = await http.post("/", data={"title": "Sea"}, files={"file": ("a", b"x", "text/plain")})

    assert (answer.status_code, [each.closed for each in opened]) == (409, [True])


async def test_the_files_are_gone_after_a_disconnect(pictures, opened):
    start = {"type": "http.request", "body": TITLE + FILE[:-2], "more_body": True}

    answer = await raw_call(
        pictures, "POST", "/", incoming=[start], headers=[(b"content-type", MULTIPART.encode())]
    )

    assert (answer.status, code_of(answer)) == (400, "incomplete_body")
    assert [each.closed for each in opened] == [True]


async def test_a_cancelled_request_waits_for_the_thread_and_leaves_no_file(pictures, opened, monkeypatch):
    writing, go_on, written = threading.Event(), threading.Event(), []
    write = SpooledTemporaryFile.write

    def slow(self: Any, content: bytes) -> int:
        writing.set()
        go_on.wait(5)
        written.append(write(self, content))
        return written[-1]

    monkeypatch.setattr(SpooledTemporaryFile, "write", slow)
    body = TITLE + part('name="file"; filename="a"', b"x" * 2_000_000, "text/plain") + END
    request = asyncio.create_task(send(pictures, body, size=len(body)))
    await asyncio.to_thread(writing.wait, 5)

    request.cancel()
    await asyncio.sleep(0.01)
    was_closed = opened[0].closed
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert (was_closed, written, opened[0].closed) == (False, [2_000_000], True)


async def test_a_large_file_is_written_and_read_in_threads(pictures, http, monkeypatch):
    """A file of up to 1 MB is kept in memory, where writing does not wait for a disk."""
    loop, sizes = threading.get_ident(), []
    write = SpooledTemporaryFile.write

    def watched(self: Any, content: bytes) -> int:
        sizes.append((self.tell() + len(content) > 1024 * 1024, threading.get_ident() == loop))
        return write(self, content)

    monkeypatch.setattr(SpooledTemporaryFile, "write", watched)
    body = TITLE + part('name="file"; filename="a"', b"x" * 2_000_000, "text/plain") + END

    assert (await send(pictures, body)).status == 200
    assert set(sizes) == {(False, True), (True, False)}


# The route and its OpenAPI document


def test_a_form_with_files_is_documented(pictures):
    document = pictures.openapi()
    operation = document["paths"]["/"]["post"]

    assert operation["requestBody"] == {
        "description": "At most 3000000 bytes.",
        "required": True,
        "content": {
            "multipart/form-data": {
                "encoding": {"file": {"contentType": "image/png, text/*"}},
                "schema": {"$ref": "#/components/schemas/Picture"},
            }
        },
    }
    fields = document["components"]["schemas"]["Picture"]["properties"]
    assert fields["file"] == {"type": "string", "format": "binary"}
    assert fields["others"]["items"] == {"type": "string", "format": "binary"}
    assert set(operation["responses"]) == {"200", "400", "408", "413", "415", "504", "default"}
    codes = operation["responses"]["400"]["content"]["application/problem+json"]["schema"]["allOf"][1]
    assert "malformed_form" in codes["properties"]["code"]["enum"]
    assert "malformed_json" not in codes["properties"]["code"]["enum"]


async def no_struct(body: Annotated[dict[str, str], FromMultipart(max_size=1)]) -> None: ...


async def json_with_a_file(body: Picture) -> None: ...


@pytest.mark.parametrize(
    ("handler", "advice"),
    [(no_struct, "must be a msgspec.Struct"), (json_with_a_file, "msgspec does not know")],
)
def test_a_body_that_cannot_hold_files_is_refused(web, handler, advice):
    with pytest.raises(RouteError, match=advice):
        web.post("/")(handler)

"""Forms and uploads: malformed ones are rejected, and file contents arrive unchanged."""

from typing import Annotated, Any

import msgspec
import pytest
from hawkapi import Request

from app.web import FromForm


class Password(msgspec.Struct):
    password: Annotated[str, msgspec.Meta(min_length=3)]
    times: int = 1


class Choices(msgspec.Struct):
    newsletter: str = ""


FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=frontier"}


@pytest.fixture
def passwords(web):
    @web.post("/", status_code=200)
    async def handler(body: Annotated[Password, FromForm()]) -> Password:
        return body

    return web


@pytest.fixture
def uploads(web):
    @web.post("/", status_code=200)
    async def handler(request: Request) -> dict[str, Any]:
        form = await request.form()
        return {"fields": form.fields, "files": {name: file.data for name, file in form.files.items()}}

    return web


def part(disposition: str, content: bytes) -> bytes:
    return f"--frontier\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + content + b"\r\n"


END = b"--frontier--\r\n"


async def test_a_form_fills_a_struct_that_allows_it(passwords, http):
    answer = await http.post("/", data={"password": "a b&c", "times": "2"})

    assert answer.json() == {"password": "a b&c", "times": 2}


async def test_json_fills_a_struct_that_allows_forms(passwords, http):
    assert (await http.post("/", json={"password": "abc"})).json()["password"] == "abc"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"password=%ff%ff%ff", id="not UTF-8"),
        pytest.param(b"password=\xff\xff\xff", id="not ASCII"),
        pytest.param(b"password=abc%00", id="NUL"),
        pytest.param(b"password=%ED%A0%80%ED%A0%80", id="lone surrogates"),
        pytest.param(b"password=ab", id="a constraint"),
        pytest.param(b"other=abc", id="a field is missing"),
        pytest.param(b"password=abc&times=x", id="another type"),
        pytest.param(b"&".join([b"a=1"] * 201), id="too many fields"),
        pytest.param(b"", id="empty"),
    ],
)
async def test_an_invalid_form_is_400(passwords, http, content):
    assert (await http.post("/", content=content, headers=FORM)).status_code == 400


async def test_a_form_without_a_checked_box_is_empty(web, http):
    @web.post("/choices", status_code=200)
    async def handler(body: Annotated[Choices, FromForm()]) -> Choices:
        return body

    @web.post("/optional", status_code=200)
    async def optional(body: Annotated[Choices | None, FromForm()] = None) -> bool:
        return body is None

    form = await http.post("/choices", content=b"", headers=FORM)
    json = await http.post("/choices", content=b"", headers={"Content-Type": "application/json"})
    absent = await http.post("/optional", content=b"", headers=FORM)

    assert (form.status_code, form.json()) == (200, {"newsletter": ""})
    assert (json.status_code, absent.json()) == (400, True)


async def test_multipart_is_refused_where_a_struct_is_expected(passwords, http):
    content = part('name="password"', b"abc") + END

    assert (await http.post("/", content=content, headers=MULTIPART)).status_code == 415


async def test_multipart_fields_and_files_arrive(uploads, http):
    answer = await http.post("/", data={"title": "größe"}, files={"file": ("a.txt", b"content")})

    assert answer.json() == {"fields": {"title": "größe"}, "files": {"file": "Y29udGVudA=="}}


async def test_a_file_may_contain_the_boundary_text(uploads, http):
    content = part('name="file"; filename="a"', b"before --frontier after") + END

    answer = await http.post("/", content=content, headers=MULTIPART)

    assert answer.json()["files"] == {"file": "YmVmb3JlIC0tZnJvbnRpZXIgYWZ0ZXI="}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no part at all", id="no part"),
        pytest.param(part('name="a"', b"b"), id="no end"),
        pytest.param(b"--frontier\r\n", id="cut short"),
        pytest.param(b"--frontier\r\nnot a header\r\n\r\nx\r\n" + END, id="no header"),
        pytest.param(part('filename="a"', b"b") + END, id="no name"),
        pytest.param(part('name="a"', b"\xff") + END, id="a field that is not UTF-8"),
    ],
)
async def test_malformed_multipart_is_400(uploads, http, content):
    assert (await http.post("/", content=content, headers=MULTIPART)).status_code == 400


async def test_multipart_without_a_boundary_is_400(uploads, http):
    answer = await http.post("/", content=END, headers={"Content-Type": "multipart/form-data"})

    assert answer.status_code == 400


async def test_an_oversized_upload_is_413(uploads, http):
    assert (await http.post("/", files={"file": ("a", b"x" * 1001)})).status_code == 413


async def test_a_malformed_form_read_by_the_handler_is_400(uploads, http):
    assert (await http.post("/", content=b"\xff=1", headers=FORM)).status_code == 400

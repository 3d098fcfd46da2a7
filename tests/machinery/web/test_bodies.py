"""JSON bodies: whatever is sent, the value is correct or the response is a 4xx that names the problem."""

from decimal import Decimal
from typing import Annotated, Any

import msgspec
import pytest
from hawkapi import Request

JSON = {"Content-Type": "application/json"}


class Thing(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=20)]
    number: Annotated[int, msgspec.Meta(ge=0)] = 0


class Price(msgspec.Struct):
    amount: Decimal


class Tagged(Price):
    tags: Any = None


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    name: str


@pytest.fixture
def things(web):
    @web.post("/", status_code=200)
    async def handler(body: Thing) -> Thing:
        return body

    return web


async def test_a_body_arrives_as_its_struct(things, http):
    answer = await http.post("/", json={"name": "a", "number": 3})

    assert answer.json() == {"name": "a", "number": 3}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"{", id="cut short"),
        pytest.param(b'{"name": "a"} x', id="more after the end"),
        pytest.param(b'{"name": "\xff"}', id="not UTF-8"),
        pytest.param(b'{"name": "\\ud800"}', id="lone surrogate"),
        pytest.param(b'\xef\xbb\xbf{"name": "a"}', id="byte order mark"),
        pytest.param(b'{"name": "a\x00"}', id="raw NUL"),
        pytest.param(b"[" * 900, id="deep nesting"),
        pytest.param(b'{"other":' + b"[" * 900, id="deep nesting in an unknown field"),
        pytest.param(b'{"name": "a", "number": 1e99999}', id="number out of range"),
        pytest.param(b"NaN", id="not a number"),
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="another type"),
        pytest.param(b"{}", id="a field is missing"),
        pytest.param(b'{"name": 1}', id="a field of another type"),
        pytest.param(b'{"name": "a", "number": -1}', id="a constraint"),
        pytest.param(b'{"name": "a\\u0000b"}', id="escaped NUL"),
        pytest.param(b'{"na\\u0000me": "a"}', id="escaped NUL in a name"),
    ],
)
async def test_an_invalid_body_is_400(things, http, content):
    answer = await http.post("/", content=content, headers=JSON)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["status"], answer.json()["title"]) == (400, "Bad Request")


async def test_nesting_far_deeper_than_the_stack_is_400(new_app, connected):
    app = new_app()
    app.max_body_size = 1_000_000

    @app.post("/")
    async def handler(body: dict[str, Any]) -> None: ...

    async with connected(app) as client:
        answer = await client.post("/", content=b'{"a":' + b"[" * 900_000, headers=JSON)

    assert answer.status_code == 400


async def test_deep_nesting_beside_a_decimal_is_400(new_app, connected):
    app = new_app()
    app.max_body_size = 10_000

    @app.post("/")
    async def handler(body: Tagged) -> None: ...

    async with connected(app) as client:
        answer = await client.post(
            "/", content=b'{"amount": "1", "tags": ' + b"[" * 900 + b"]" * 900 + b"}", headers=JSON
        )

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_an_escaped_backslash_before_u0000_is_not_nul(things, http):
    answer = await http.post("/", content=rb'{"name": "a\\u0000"}', headers=JSON)

    assert answer.json()["name"] == r"a\u0000"


async def test_the_last_duplicate_key_wins(things, http):
    answer = await http.post("/", content=b'{"name": "a", "name": "b"}', headers=JSON)

    assert answer.json()["name"] == "b"


async def test_an_unknown_field_is_400_where_the_struct_forbids_it(web, http):
    @web.post("/")
    async def handler(body: Strict) -> None: ...

    assert (await http.post("/", json={"name": "a", "admin": True})).status_code == 400


async def test_the_response_names_the_field_without_its_value(things, http):
    answer = await http.post("/", json={"name": "correct horse battery staple"})

    assert answer.json()["errors"][0]["field"] == "name"
    assert "horse" not in answer.text


@pytest.mark.parametrize("media_type", ["text/plain", "", "application/x-www-form-urlencoded", "text/json"])
async def test_a_body_of_another_type_is_415(things, http, media_type):
    answer = await http.post("/", content=b'{"name": "a"}', headers={"Content-Type": media_type})

    assert answer.status_code == 415


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "APPLICATION/JSON", "a/b+json"])
async def test_every_json_media_type_is_accepted(things, http, media_type):
    answer = await http.post("/", content=b'{"name": "a"}', headers={"Content-Type": media_type})

    assert answer.status_code == 200


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-Infinity", "1e400", "-1e400"])
async def test_a_decimal_must_be_finite(web, http, number):
    """SQLite stores a Decimal as a float, and 1e400 as Infinity."""

    @web.post("/")
    async def handler(body: dict[str, list[Price]]) -> None: ...

    answer = await http.post("/", json={"prices": [{"amount": "1.5"}, {"amount": number}]})

    assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
    assert (await http.post("/", json={"prices": [{"amount": "1.5"}]})).status_code == 201


async def test_a_body_can_be_a_list(web, http):
    @web.post("/", status_code=200)
    async def handler(body: list[Thing]) -> int:
        return len(body)

    assert (await http.post("/", json=[{"name": "a"}, {"name": "b"}])).json() == 2


async def test_a_body_can_be_a_dict(web, http):
    @web.post("/", status_code=200)
    async def handler(body: dict[str, int]) -> dict[str, int]:
        return body

    assert (await http.post("/", json={"a": 1})).json() == {"a": 1}


async def test_an_optional_body_arrives(web, http):
    @web.post("/", status_code=200)
    async def handler(body: Thing | None = None) -> bool:
        return body is None

    assert (await http.post("/", json={"name": "a"})).json() is False
    assert (await http.post("/")).json() is True


async def test_an_oversized_body_is_413(things, http):
    assert (await http.post("/", content=b" " * 1001, headers=JSON)).status_code == 413


async def test_an_oversized_body_read_by_the_handler_is_413(web, http):
    @web.post("/")
    async def handler(request: Request) -> int:
        return len(await request.body())

    assert (await http.post("/", content=b" " * 1001)).status_code == 413


@pytest.mark.parametrize("content", [b"{", b'"\xff"', b'"\\ud800"', b"[" * 900, b""])
async def test_malformed_json_read_by_the_handler_is_400(web, http, content):
    @web.post("/")
    async def handler(request: Request) -> None:
        await request.json()

    assert (await http.post("/", content=content)).status_code == 400


async def test_a_truncated_upload_is_not_complete(web, raw):
    taken: list[bytes] = []

    @web.post("/")
    async def handler(request: Request) -> None:
        taken.append(await request.body())

    first = {"type": "http.request", "body": b"first half", "more_body": True}
    answer = await raw(web, "POST", "/", incoming=[first])

    assert (answer.status, taken) == (400, [])


async def test_a_truncated_json_body_is_not_complete(things, raw):
    first = {"type": "http.request", "body": b'{"name": "a"}', "more_body": True}
    answer = await raw(
        things, "POST", "/", incoming=[first], headers=[(b"content-type", b"application/json")]
    )

    assert answer.status == 400

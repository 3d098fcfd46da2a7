"""All errors in a body or a query are reported together, field by field."""

import enum
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import msgspec
import pytest
from hawkapi import Depends

from app.web import FromForm, query
from app.web.framework.field_errors import field_errors

JSON = {"Content-Type": "application/json"}


class Address(msgspec.Struct, forbid_unknown_fields=True):
    street: str
    city: Annotated[str, msgspec.Meta(max_length=10)]


class Item(msgspec.Struct):
    number: int
    parts: "list[Item]" = []


class Order(msgspec.Struct, rename="camel"):
    first_name: str
    address: Address
    other_address: Address | None = None
    items: list[Item] = []
    tags: Annotated[list[str], msgspec.Meta(max_length=2)] = []
    counts: dict[int, int] = {}
    sizes: set[Literal["s", "m"]] = set()


class Range(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is more than high")


class Page(msgspec.Struct):
    word: str
    limit: Annotated[int, msgspec.Meta(ge=1)] = 20
    ids: list[int] = []


ADDRESS = {"street": "a", "city": "b"}
ORDER = {"firstName": "Ada", "address": ADDRESS}


@pytest.fixture
def errors(web, http):
    """`await errors(body)`: the field and the code of each error of an order."""

    @web.post("/orders")
    async def order(body: Order) -> None: ...

    async def send(body):
        answer = await http.post("/orders", content=msgspec.json.encode(body), headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (400, "validation_failed")
        return [(each["field"], each["code"]) for each in answer.json()["errors"]]

    return send


async def test_every_missing_field_is_named(errors):
    assert await errors({}) == [("firstName", "missing"), ("address", "missing")]


async def test_missing_and_wrong_fields_are_named_together(errors):
    assert await errors({"firstName": 1, "items": "x"}) == [
        ("firstName", "invalid"),
        ("address", "missing"),
        ("items", "invalid"),
    ]


async def test_a_field_of_a_nested_struct_has_a_path(errors):
    address = {"city": "x" * 11, "country": "y"}

    assert await errors({"firstName": 1, "address": address, "otherAddress": {}}) == [
        ("firstName", "invalid"),
        ("address.street", "missing"),
        ("address.city", "invalid"),
        ("address.country", "invalid"),
        ("otherAddress.street", "missing"),
        ("otherAddress.city", "missing"),
    ]


async def test_a_field_in_a_list_item_has_an_index(errors):
    items = [{"number": 1}, {"number": "x"}, {}, {"number": 1, "parts": [{}]}]

    assert await errors(ORDER | {"items": items}) == [
        ("items[1].number", "invalid"),
        ("items[2].number", "missing"),
        ("items[3].parts[0].number", "missing"),
    ]


async def test_too_many_items_are_one_error(errors):
    assert await errors(ORDER | {"tags": ["a", "b", "c"]}) == [("tags", "invalid")]


async def test_mistyped_values_are_named(errors):
    assert await errors(ORDER | {"counts": {"1": "x"}, "sizes": ["s", "xl"]}) == [
        ("counts[...]", "invalid"),
        ("sizes[1]", "invalid"),
    ]


async def test_valid_values_beside_an_invalid_one_are_not_named(errors):
    good = {"counts": {"1": 2}, "sizes": ["s"], "items": [{"number": 1}], "otherAddress": None}

    assert await errors(ORDER | good | {"firstName": None}) == [("firstName", "invalid")]


@pytest.mark.parametrize("body", [[], None, "x", 1])
async def test_a_body_that_is_not_an_object_is_one_error(errors, body):
    assert await errors(body) == [("body", "invalid")]


async def test_at_most_fifty_errors_are_listed(errors):
    assert len(await errors(ORDER | {"items": [{}] * 60})) == 50


async def test_only_the_first_error_is_reported_at_great_depth(errors):
    deep = {"number": 1, "parts": [{"number": 1, "parts": [{}, {}]}]}

    assert await errors({"address": ADDRESS, "items": [deep]}) == [
        ("firstName", "missing"),
        ("items[0].parts[0].parts[0]", "invalid"),
        ("items[0].parts[0].parts[1]", "invalid"),
    ]


async def test_the_rest_of_the_body_must_be_json(web, http):
    @web.post("/")
    async def handler(body: Order) -> None: ...

    answer = await http.post("/", content=b'{"firstName": 1, ', headers=JSON)

    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")


async def test_an_error_of_the_struct_itself_is_reported(web, http):
    @web.post("/")
    async def handler(body: Range) -> None: ...

    answer = await http.post("/", json={"low": 2, "high": 1})

    assert answer.json()["errors"] == [
        {"field": "body", "message": "low is more than high", "code": "invalid"}
    ]


async def test_every_field_of_a_form_is_named(web, http):
    @web.post("/")
    async def handler(body: Annotated[Range, FromForm()]) -> None: ...

    answer = await http.post("/", data={"low": "x"})

    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [
        ("low", "invalid"),
        ("high", "missing"),
    ]


async def test_every_parameter_of_a_query_is_named(web, http):
    @web.get("/")
    async def handler(page: Annotated[Page, Depends(query(Page))]) -> None: ...

    answer = await http.get("/?limit=0&ids=1&ids=x")

    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [
        ("word", "missing"),
        ("limit", "invalid"),
        ("ids[1]", "invalid"),
    ]


# The messages


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        ("x" * 41, Annotated[str, msgspec.Meta(max_length=40)], "At most 40 characters are allowed."),
        ("x", Annotated[str, msgspec.Meta(min_length=2)] | None, "At least 2 characters are required."),
        ([1, 2], Annotated[list[int], msgspec.Meta(max_length=1)], "At most 1 entries are allowed."),
        ([], Annotated[list[int], msgspec.Meta(min_length=1)], "At least 1 entries are required."),
        ("5", Annotated[int, msgspec.Meta(le=4)], "The value must be at most 4."),
        ("5", Annotated[int, msgspec.Meta(ge=6)], "The value must be at least 6."),
        ("5.5", Annotated[float, msgspec.Meta(lt=5.5)], "The value must be less than 5.5."),
        ("5.5", Annotated[float, msgspec.Meta(gt=5.5)], "The value must be greater than 5.5."),
        ("5", Annotated[int, msgspec.Meta(multiple_of=2)], "The value must be a multiple of 2."),
        ("x", Annotated[str, msgspec.Meta(pattern="^[{]$")], "This does not have the required format."),
        ("x", int | None, "This must be a whole number."),
        ("x", float, "This must be a number."),
        ("x", Decimal, "This must be a number."),
        ("x", bool, "This must be true or false."),
        (5, str, "This must be text."),
        (5, list[int], "This must be a list."),
        (5, dict[str, int], "This must be an object."),
        ("secret", Colour, "This is not one of the accepted values."),
        ("secret", Literal["a", "b"], "This is not one of the accepted values."),
        ("x", datetime, "This must be a time such as 2026-11-25T08:30:00Z."),
        ("x", date, "This must be a date such as 2026-11-25."),
        ("x", UUID, "This value is not valid."),
        ("x", timedelta, "This value is not valid."),
        ("x", bytes, "This value is not valid."),
        ({"low": 2, "high": 1}, Range, "low is more than high"),
    ],
    ids=str,
)
def test_each_message_is_a_sentence_and_not_the_parsers_message(value, kind, sentence):
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(value, kind, strict=False)

    [error] = field_errors(value, kind, refused.value, name="body", strict=False)

    assert error.message == sentence

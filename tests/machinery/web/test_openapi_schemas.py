"""The schemas of the OpenAPI document match the validation."""

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from openapi_spec_validator import validate

from app.web import App


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Node(msgspec.Struct):
    children: "list[Node]" = []


class Everything(msgspec.Struct, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=9, description="What it is called.")]
    colour: Colour
    size: Literal["s", "m"]
    price: Decimal
    day: date
    note: str | None = None
    count: Annotated[int, msgspec.Meta(ge=0, description="How many.")] = 3


class Sparse(msgspec.Struct, omit_defaults=True):
    name: str
    note: str = ""
    size: int | msgspec.UnsetType = msgspec.UNSET


class Full(msgspec.Struct):
    name: str
    note: str = ""
    size: int | msgspec.UnsetType = msgspec.UNSET
    inner: Sparse | None = None


def document(app: App) -> Any:
    """The document of *app*, validated."""
    found = app.openapi()
    validate(found)
    return found


def schema_of(app: App, name: str) -> Any:
    return document(app)["components"]["schemas"][name]["properties"]


@pytest.fixture
def everything(web):
    @web.post("/things")
    async def handler(body: Everything) -> Everything:
        return body

    return web


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("name", {"type": "string", "minLength": 1, "maxLength": 9, "description": "What it is called."}),
        ("colour", {"$ref": "#/components/schemas/Colour"}),
        ("size", {"enum": ["m", "s"]}),
        ("price", {"type": "string", "format": "decimal"}),
        ("day", {"type": "string", "format": "date"}),
        ("note", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("count", {"type": "integer", "minimum": 0, "description": "How many. Default: 3."}),
    ],
)
def test_a_field_has_its_schema(everything, field, expected):
    assert schema_of(everything, "Everything")[field] == expected


def test_a_struct_declares_required_and_forbidden_fields(everything):
    schema = document(everything)["components"]["schemas"]["Everything"]

    assert schema["required"] == ["name", "colour", "size", "price", "day"]
    assert schema["additionalProperties"] is False


def test_a_response_requires_the_fields_it_always_has(web):
    @web.get("/full", status_code=200)
    async def full() -> Full:
        return Full("a")

    schemas = document(web)["components"]["schemas"]

    assert schemas["Full"]["required"] == ["name", "note", "inner"]
    assert schemas["Sparse"]["required"] == ["name"]


def test_structs_shared_with_requests_keep_optional_fields(web):
    @web.post("/full")
    async def full(body: list[Full]) -> Full:
        return body[0]

    assert document(web)["components"]["schemas"]["Full"]["required"] == ["name"]


def test_an_enum_lists_its_values(everything):
    assert document(everything)["components"]["schemas"]["Colour"]["enum"] == ["blue", "red"]


def test_a_struct_may_be_recursive(web):
    @web.post("/nodes")
    async def handler(body: Node) -> Node:
        return body

    assert schema_of(web, "Node")["children"]["items"] == {"$ref": "#/components/schemas/Node"}


def test_two_structs_with_the_same_name_stay_separate(web):
    first = msgspec.defstruct("Item", [("a", int)], module="one")
    second = msgspec.defstruct("Item", [("b", int)], module="two")

    async def take(body: first) -> second: ...  # type: ignore[valid-type]

    web.add_route("/items", take, methods={"POST"})

    assert set(schema_of(web, "one.Item")) == {"a"}
    assert set(schema_of(web, "two.Item")) == {"b"}

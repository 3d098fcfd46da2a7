"""Query, header, cookie and path parameters: missing, mistyped and out-of-range values cause a 4xx."""

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from hawkapi import Depends
from hawkapi.validation.constraints import Cookie, Header, Query

from app.web import SmallInt, query


class Colour(Enum):
    RED = "red"


type Numbers = list[int]


class Page(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    tags: list[str] = []
    word: Annotated[str, msgspec.Meta(max_length=5)] | None = None


TYPES = [
    pytest.param(int, "5", 5, id="int"),
    pytest.param(float, "1.5", 1.5, id="float"),
    pytest.param(bool, "true", True, id="bool"),
    pytest.param(bool, "0", False, id="bool as a digit"),
    pytest.param(date, "2026-01-31", "2026-01-31", id="date"),
    pytest.param(
        UUID, "0b4e2a52-3bd9-4d2f-8c5c-51b6a9a5a4b1", "0b4e2a52-3bd9-4d2f-8c5c-51b6a9a5a4b1", id="UUID"
    ),
    pytest.param(Colour, "red", "red", id="Enum"),
    pytest.param(list[int], "1&value=2", [1, 2], id="list"),
    pytest.param(list[int] | None, "1", [1], id="optional list"),
    pytest.param(Numbers, "1&value=2", [1, 2], id="alias of a list"),
    pytest.param(int | None, "7", 7, id="Optional"),
    pytest.param(Annotated[int, msgspec.Meta(ge=1)], "1", 1, id="constrained"),
    pytest.param(Annotated[int, Query(alias="value")], "3", 3, id="Query marker"),
    pytest.param(SmallInt, "2147483647", 2147483647, id="SmallInt"),
    pytest.param(str, "1&value=2", "1", id="the first of several"),
]

REFUSED = [
    pytest.param(int, "x", id="int"),
    pytest.param(int, "1_000", id="int with an underscore"),
    pytest.param(int, "%D9%A3", id="an Arabic digit"),
    pytest.param(int, "", id="empty"),
    pytest.param(float, "nan", id="not a number"),
    pytest.param(list[float], "1&value=-inf", id="infinity in a list"),
    pytest.param(Decimal, "NaN", id="not a decimal number"),
    pytest.param(Decimal, "sNaN", id="signaling NaN"),
    pytest.param(Decimal, "-Infinity", id="infinite decimal"),
    pytest.param(bool, "yes", id="bool"),
    pytest.param(date, "31.1.2026", id="date"),
    pytest.param(UUID, "5", id="UUID"),
    pytest.param(Colour, "blue", id="Enum"),
    pytest.param(list[int], "1&value=x", id="list"),
    pytest.param(Annotated[int, msgspec.Meta(ge=1)], "0", id="constrained"),
    pytest.param(SmallInt, "2147483648", id="SmallInt"),
    pytest.param(SmallInt, "-2147483649", id="negative SmallInt"),
    pytest.param(str, "a%00b", id="NUL"),
    pytest.param(str, "%ff", id="not UTF-8"),
    pytest.param(str, "%ED%A0%80", id="lone surrogate"),
]


@pytest.mark.parametrize(("kind", "text", "expected"), TYPES)
async def test_a_query_parameter_arrives_as_its_type(web, http, kind, text, expected):
    async def handler(value: kind) -> Any:
        return value

    web.add_route("/", handler, methods={"GET"})

    assert (await http.get(f"/?value={text}")).json() == expected


@pytest.mark.parametrize(("kind", "text"), REFUSED)
async def test_an_invalid_query_parameter_is_400(web, http, kind, text):
    async def handler(value: kind) -> Any:
        return value

    web.add_route("/", handler, methods={"GET"})
    answer = await http.get(f"/?value={text}")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize("kind", [int, list[str], Annotated[str, Header()], Annotated[str, Cookie()]])
async def test_a_missing_required_parameter_is_400_and_named(web, http, kind):
    async def handler(value: kind) -> None: ...

    web.add_route("/", handler, methods={"GET"})
    answer = await http.get("/")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "value")


@pytest.mark.parametrize("kind", [int, Annotated[int, Header()], Annotated[int, Cookie()]])
async def test_a_missing_parameter_has_its_default(web, http, kind):
    async def handler(value: kind = 7) -> Any:
        return value

    web.add_route("/", handler, methods={"GET"})

    assert (await http.get("/")).json() == 7


async def test_a_header_arrives_as_its_type(web, http):
    @web.get("/")
    async def handler(x_count: Annotated[int, Header()]) -> int:
        return x_count

    assert (await http.get("/", headers={"X-Count": "3"})).json() == 3
    assert (await http.get("/", headers={"X-Count": "x"})).status_code == 400


async def test_a_cookie_arrives_as_its_type(web, http):
    @web.get("/")
    async def handler(count: Annotated[int, Cookie()]) -> int:
        return count

    assert (await http.get("/", headers={"Cookie": "count=3"})).json() == 3
    assert (await http.get("/", headers={"Cookie": "count=x"})).status_code == 400


@pytest.mark.parametrize(
    ("text", "status"), [("?limit=100&tags=a&tags=b", 200), ("?limit=101", 400), ("", 200)]
)
async def test_the_query_is_validated_by_a_struct(web, http, text, status):
    @web.get("/")
    async def handler(page: Annotated[Page, Depends(query(Page))]) -> Page:
        return page

    assert (await http.get("/" + text)).status_code == status


async def test_a_query_with_too_many_fields_is_400(web, http):
    @web.get("/")
    async def handler(value: int = 0) -> int:
        return value

    assert (await http.get("/?" + "a=1&" * 201)).status_code == 400


@pytest.mark.parametrize("text", ["0", "x", "5.0", " 5", "0_5", "05", "+5", "\u0665", "9" * 5000])
async def test_an_invalid_path_parameter_is_404(web, http, text):
    @web.get("/{number:int}")
    async def handler(number: Annotated[int, msgspec.Meta(ge=1, le=9)]) -> int:
        return number

    assert (await http.get("/5")).json() == 5
    assert (await http.get("/" + text)).status_code == 404


async def test_a_path_parameter_of_any_type_arrives_as_its_type(web, http):
    @web.get("/{day}/{colour}/{number}")
    async def handler(day: date, colour: Colour, number: int) -> list[Any]:
        return [day, colour, number]

    assert (await http.get("/2026-01-31/red/5")).json() == ["2026-01-31", "red", 5]
    assert (await http.get("/2026-01-31/blue/5")).status_code == 404


async def test_nul_in_a_path_is_400(web, http):
    @web.get("/{name}")
    async def handler(name: str) -> str:
        return name

    assert (await http.get("/a%00b")).status_code == 400


async def test_the_response_does_not_echo_the_value(web, http):
    @web.get("/")
    async def handler(token: UUID) -> None: ...

    assert "s3cret" not in (await http.get("/?token=s3cret")).text

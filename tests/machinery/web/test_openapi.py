"""The OpenAPI document is valid and matches what the routes accept and return."""

from typing import Annotated, Any

import msgspec
import pytest
from hawkapi import Depends, Request
from hawkapi.responses import StreamingResponse
from hawkapi.responses.response import Response
from hawkapi.responses.sse import EventSourceResponse
from hawkapi.security.http_bearer import HTTPBearer
from hawkapi.validation.constraints import Cookie, Header
from openapi_spec_validator import validate

from app.web import App, FromForm, query, responds, secured_by


class Page(msgspec.Struct):
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    word: str | None = None


def document(app: App) -> Any:
    """The document of *app*, validated."""
    found = app.openapi()
    validate(found)
    return found


def codes_of(response: Any) -> set[str]:
    problem, one_of_these = response["content"]["application/problem+json"]["schema"]["allOf"]
    assert problem == {"$ref": "#/components/schemas/ProblemDetails"}
    return set(one_of_these["properties"]["code"]["enum"])


def test_operation_ids_are_handler_names(web):
    async def thing(request: Request) -> None: ...

    web.add_route("/thing", thing, methods={"GET"})
    web.add_route("/things/{shelf}/{id:int}", thing, methods={"GET", "DELETE"})
    web.add_route("/thing-again", thing, methods={"GET"})
    web.add_route("/thing-once-more", thing, methods={"GET"})
    paths = document(web)["paths"]

    assert paths["/thing"]["get"]["operationId"] == "thing"
    assert paths["/things/{shelf}/{id}"]["delete"]["operationId"] == "thing_by_shelf_and_id"
    assert paths["/things/{shelf}/{id}"]["get"]["operationId"] == "thing_get"
    assert paths["/thing-again"]["get"]["operationId"] == "thing_2"
    assert paths["/thing-once-more"]["get"]["operationId"] == "thing_3"


def test_parameters_are_documented_by_location(web):
    @web.get("/things/{id:int}")
    async def handler(
        id: int,
        x_trace: Annotated[str, Header()],
        theme: Annotated[str, Cookie()] = "dark",
        tags: list[str] | None = None,
    ) -> None: ...

    found = document(web)["paths"]["/things/{id}"]["get"]["parameters"]

    assert found == [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}},
        {"name": "x-trace", "in": "header", "required": True, "schema": {"type": "string"}},
        {"name": "theme", "in": "cookie", "required": False, "schema": {"type": "string", "default": "dark"}},
        {
            "name": "tags",
            "in": "query",
            "required": False,
            "schema": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
        },
    ]


def test_an_unused_path_segment_is_documented(web):
    @web.get("/things/{id:int}")
    async def handler(request: Request) -> None: ...

    found = document(web)["paths"]["/things/{id}"]["get"]["parameters"]

    assert found == [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]


def test_a_query_struct_is_documented_field_by_field(web):
    @web.get("/things")
    async def handler(page: Annotated[Page, Depends(query(Page))]) -> None: ...

    limit, word = document(web)["paths"]["/things"]["get"]["parameters"]

    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert (word["name"], word["required"]) == ("word", False)


def test_a_body_is_documented_with_its_errors(web):
    @web.post("/things")
    async def handler(body: Page) -> Page:
        return body

    operation = document(web)["paths"]["/things"]["post"]

    assert operation["requestBody"]["required"] is True
    assert set(operation["responses"]) == {"201", "400", "408", "413", "415", "504", "default"}
    assert codes_of(operation["responses"]["400"]) >= {"validation_failed", "malformed_json"}
    assert codes_of(operation["responses"]["413"]) == {"body_too_large"}


def test_a_body_that_accepts_forms_is_documented_as_both(web):
    @web.post("/things")
    async def handler(body: Annotated[Page, FromForm()]) -> None: ...

    content = document(web)["paths"]["/things"]["post"]["requestBody"]["content"]

    assert set(content) == {"application/json", "application/x-www-form-urlencoded"}


def test_the_page_returned_to_a_form_is_documented_beside_the_json(web):
    @web.post("/things", status_code=201, response_model=Page)
    async def handler(body: Annotated[Page, FromForm()]) -> Page | Response: ...

    responses = document(web)["paths"]["/things"]["post"]["responses"]

    assert set(responses["201"]["content"]) == {"application/json", "text/html"}
    assert set(responses["400"]["content"]) == {"application/problem+json", "text/html"}


def test_an_optional_body_is_not_required(web):
    @web.post("/things")
    async def handler(body: Page | None = None) -> None: ...

    assert document(web)["paths"]["/things"]["post"]["requestBody"]["required"] is False


def test_errors_declared_by_handlers_and_dependencies_are_documented(web):
    @responds({429: "Too often."})
    async def limit(request: Request) -> None: ...

    @web.get("/things", dependencies=[Depends(limit)])
    @responds({409: "The name is taken."})
    async def handler(request: Request) -> None: ...

    answers = document(web)["paths"]["/things"]["get"]["responses"]

    assert (answers["409"]["description"], answers["429"]["description"]) == (
        "The name is taken. `already_exists`: A value is already taken.",
        "Too often.",
    )


def test_codes_of_a_handler_and_its_dependencies_are_documented_together(web):
    @responds({403: {"members_only": "For members."}})
    async def member(request: Request) -> None: ...

    @web.get("/things", dependencies=[Depends(member)])
    @responds({403: {"too_young": "For adults."}}, {409: "The name is taken."})
    async def handler(request: Request) -> None: ...

    answers = document(web)["paths"]["/things"]["get"]["responses"]

    assert answers["403"]["description"] == "`members_only`: For members. `too_young`: For adults."
    assert codes_of(answers["403"]) == {"members_only", "too_young", "forbidden"}
    assert codes_of(answers["409"]) == {"conflict", "already_exists"}


@pytest.mark.parametrize("as_guard", [True, False])
def test_a_route_behind_a_login_is_documented_as_such(web, as_guard):
    @responds({401: "No token."})
    @secured_by("bearer", {"type": "http", "scheme": "bearer"})
    async def login(request: Request) -> None: ...

    async def user(token: Annotated[None, Depends(login)]) -> None: ...

    async def guarded(request: Request) -> None: ...

    async def handler(user: Annotated[None, Depends(user)]) -> None: ...

    guards = [Depends(user)]
    web.add_route("/things", *((guarded,) if as_guard else (handler,)), methods={"GET"}, dependencies=guards)
    found = document(web)
    operation = found["paths"]["/things"]["get"]

    assert operation["security"] == [{"bearer": []}]
    assert operation["responses"]["401"]["description"] == "No token."
    assert found["components"]["securitySchemes"] == {"bearer": {"type": "http", "scheme": "bearer"}}


def test_an_optional_login_is_documented_as_such(web):
    @secured_by("bearer", {"type": "http", "scheme": "bearer"}, optional=True)
    async def login(request: Request) -> None: ...

    @web.get("/things")
    async def handler(user: Annotated[None, Depends(login)]) -> None: ...

    assert document(web)["paths"]["/things"]["get"]["security"] == [{}, {"bearer": []}]


def test_a_security_scheme_of_the_framework_is_documented(web):
    @web.get("/things")
    async def handler(token: Annotated[Any, Depends(HTTPBearer())]) -> None: ...

    assert document(web)["paths"]["/things"]["get"]["security"] == [{"HTTPBearer": []}]


@pytest.mark.parametrize(
    ("annotation", "status", "schema"),
    [
        (None, "204", None),
        (int, "200", {"type": "integer"}),
        (dict, "200", {"type": "object"}),
        (StreamingResponse, "200", None),
        (EventSourceResponse, "200", None),
    ],
)
def test_the_return_annotation_documents_the_success(web, annotation, status, schema):
    async def handler(request: Request) -> annotation: ...

    web.add_route("/things", handler, methods={"GET"})
    answer = document(web)["paths"]["/things"]["get"]["responses"][status]

    assert answer.get("content", {}).get("application/json", {}).get("schema") == schema


def test_an_unannotated_handler_is_documented_without_guessing(web):
    @web.get("/things")
    async def handler(request):
        return {}

    assert document(web)["paths"]["/things"]["get"]["responses"]["200"] == {"description": "Success"}


def test_errors_of_any_request_are_documented(web):
    """They are about the host name, timeouts and sizes. A route without a body has no errors about bodies."""

    @web.get("/things")
    async def handler(request: Request) -> int:
        return 1

    found = document(web)["paths"]["/things"]["get"]["responses"]

    assert list(found) == ["200", "400", "504", "default"]
    assert found["default"]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    }
    assert all(status in found["default"]["description"] for status in ("414", "431", "503"))


def test_the_docstring_is_the_description(web):
    @web.get("/things", tags=["things"])
    async def handler(request: Request) -> None:
        """List things

        In no order.
        """

    operation = document(web)["paths"]["/things"]["get"]

    assert (operation["summary"], operation["description"]) == ("List things", "In no order.")
    assert operation["tags"] == ["things"]


def test_a_hidden_route_is_left_out(web):
    @web.get("/things", include_in_schema=False)
    async def handler(request: Request) -> None: ...

    assert document(web)["paths"] == {}

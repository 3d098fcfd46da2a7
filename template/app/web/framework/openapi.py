"""The OpenAPI 3.1 document, built from the `Endpoint`s that handle requests, so it always matches the code.

HawkAPI's own document gets most schemas wrong and lacks error responses, defaults and dependencies' security
schemes. Handlers use `@responds({409: "..."})` to declare what cannot be derived. Dependencies that
authenticate requests are marked with `@secured_by(...)`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args, get_type_hints

import msgspec

from app.web.framework.endpoint import Endpoint, Parameter
from app.web.framework.handler_checks import is_response_type
from app.web.framework.openapi_metadata import (
    Errors,
    joined,
    query_model_of,
    responses_of,
    security_of,
)
from app.web.framework.openapi_schemas import schemas_of
from app.web.framework.parameters import REQUIRED, accepts_form
from app.web.framework.uploads import MULTIPART, content_types_of, multipart_mark_of
from app.web.problems import ProblemDetails, describe, describe_others

_UNAVAILABLE = {
    "database_unavailable": "The database is not available. Retry-After indicates when to try again.",
    "migrations_pending": "The database lacks a table or column. Sent only in development.",
}
_OTHERS = (
    "Any other error: `url_too_long` (414), `headers_too_large` (431), `internal_error` (500),"
    " `database_unavailable` (503)."
)


@dataclass(frozen=True)
class _Slot:
    """A place in the document where a type's schema is filled in."""

    owner: dict[str, Any]
    annotation: Any
    default: Any = REQUIRED
    is_response: bool = False


def build_document(
    endpoints: Iterable[Endpoint],
    *,
    title: str,
    version: str,
    description: str,
    tag_descriptions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The document for *endpoints*. Routes with `include_in_schema=False` are left out.

    Tags are listed in the order of *tag_descriptions*, followed by those without a description.
    """
    slots: list[_Slot] = []
    schemes: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    tags: dict[str, None] = {}
    identifiers: set[str] = set()
    for endpoint in endpoints:
        route = endpoint.route
        if not route.include_in_schema:
            continue
        path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path).rstrip("/") or "/"
        tags.update(dict.fromkeys(route.tags))
        for method in sorted(route.methods - {"HEAD", "OPTIONS"}):
            operation = _operation(endpoint, method.lower(), path, slots, schemes)
            operation["operationId"] = _identifier(endpoint, method.lower(), path, identifiers)
            paths.setdefault(path, {})[method.lower()] = operation
    sent = [slot.annotation for slot in slots if not slot.is_response]
    received = [slot.annotation for slot in slots if slot.is_response]
    schemas, components = schemas_of(sent, [*received, ProblemDetails])
    ordered = sorted(slots, key=lambda slot: slot.is_response)
    for slot, schema in zip(ordered, schemas, strict=False):
        slot.owner["schema"] = _with_default(schema, slot.default)
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description},
        "paths": paths,
        "tags": _tags(tags, tag_descriptions or {}),
        "components": {"schemas": components},
    }
    if schemes:
        document["components"]["securitySchemes"] = schemes
    return document


def _tags(used: Iterable[str], descriptions: Mapping[str, str]) -> list[dict[str, str]]:
    described = [{"name": tag, "description": text} for tag, text in descriptions.items() if tag in used]
    return described + [{"name": tag} for tag in used if tag not in descriptions]


def _operation(
    endpoint: Endpoint, method: str, path: str, slots: list[_Slot], schemes: dict[str, Any]
) -> dict[str, Any]:
    route = endpoint.route
    summary, _, description = inspect.cleandoc(endpoint.handler.__doc__ or "").partition("\n")
    operation: dict[str, Any] = {
        "summary": route.summary or summary or f"{method.upper()} {path}",
        "responses": {},
    }
    if text := (route.description or description).strip():
        operation["description"] = text
    if route.tags:
        operation["tags"] = list(route.tags)
    if route.deprecated:
        operation["deprecated"] = True
    _add_parameters(operation, endpoint, slots)
    _add_body(operation, endpoint, slots)
    _add_success(operation, endpoint, slots)
    _add_security(operation, endpoint, schemes)
    for status, codes in sorted(_error_responses(endpoint, method).items()):
        operation["responses"].setdefault(str(status), describe(status, codes))
    operation["responses"]["default"] = describe_others(_OTHERS)
    if _responds_to_forms_with_pages(endpoint):
        for status in (str(route.status_code), "400"):
            operation["responses"][status]["content"]["text/html"] = {"schema": {"type": "string"}}
        operation["responses"]["303"] = {
            "description": "Sent after a form submission if the application has pages. `Location` is the URL"
            " of the page with the result."
        }
    return operation


def _add_parameters(operation: dict[str, Any], endpoint: Endpoint, slots: list[_Slot]) -> None:
    found = [each for each in endpoint.parameters if each.location != "body"]
    for dependency in endpoint.dependencies():
        if (model := query_model_of(dependency)) is not None:
            found.extend(
                Parameter(field.encode_name, "query", field.type, _field_default(field))
                for field in msgspec.structs.fields(model)
            )
    # A path parameter that is used only in a dependency must still be in the document.
    taken = {each.name for each in found if each.location == "path"}
    left = [name for name in re.findall(r"\{(\w+)", endpoint.route.path) if name not in taken]
    found.extend(Parameter(name, "path", str) for name in left)
    for each in found:
        parameter: dict[str, Any] = {
            "name": each.name,
            "in": each.location,
            "required": each.location == "path" or each.default is REQUIRED,
        }
        slots.append(_Slot(parameter, each.annotation, each.default))
        operation.setdefault("parameters", []).append(parameter)


def _add_body(operation: dict[str, Any], endpoint: Endpoint, slots: list[_Slot]) -> None:
    body = endpoint.body
    if body is None:
        return
    if (mark := multipart_mark_of(body.annotation)) is not None:
        form: dict[str, Any] = {}
        if types := content_types_of(body.annotation):
            form["encoding"] = {name: {"contentType": accepted} for name, accepted in types.items()}
        slots.append(_Slot(form, body.annotation))
        operation["requestBody"] = {
            "description": f"At most {mark.max_size} bytes.",
            "required": True,
            "content": {MULTIPART: form},
        }
        return
    content: dict[str, Any] = {"application/json": {}}
    if accepts_form(body.annotation):
        content["application/x-www-form-urlencoded"] = {}
    for media in content.values():
        slots.append(_Slot(media, body.annotation))
    operation["requestBody"] = {"required": body.default is REQUIRED, "content": content}


def _add_success(operation: dict[str, Any], endpoint: Endpoint, slots: list[_Slot]) -> None:
    status = endpoint.route.status_code
    response: dict[str, Any] = {"description": "Success"}
    if endpoint.response_type is type(None):
        status = 204 if status == 200 else status
    elif not is_response_type(endpoint.response_type):
        media: dict[str, Any] = {}
        response["content"] = {"application/json": media}
        slots.append(_Slot(media, endpoint.response_type, is_response=True))
    operation["responses"][str(status)] = response


def _add_security(operation: dict[str, Any], endpoint: Endpoint, schemes: dict[str, Any]) -> None:
    for dependency in endpoint.dependencies():
        for name, (scheme, optional) in security_of(dependency).items():
            schemes[name] = scheme
            requirements: list[dict[str, list[str]]] = operation.setdefault("security", [])
            if optional and {} not in requirements:
                requirements.append({})
            if {name: []} not in requirements:
                requirements.append({name: []})


def _takes_cookie(endpoint: Endpoint) -> bool:
    schemes = [scheme for each in endpoint.dependencies() for scheme, _ in security_of(each).values()]
    return any(scheme.get("in") == "cookie" for scheme in schemes)


def _responds_to_forms_with_pages(endpoint: Endpoint) -> bool:
    """Whether *endpoint* accepts a form and can return either a page or a model to encode as JSON."""
    if endpoint.body is None or not accepts_form(endpoint.body.annotation):
        return False
    returned = get_args(get_type_hints(endpoint.handler).get("return"))
    return any(is_response_type(each) for each in returned)


def _error_responses(endpoint: Endpoint, method: str) -> Errors:
    """The errors that the framework itself may return for *endpoint*, and those that the endpoint's code
    declares."""
    found: Errors = {400: {"invalid_host": "This application does not serve this host name."}, 504: {}}
    if endpoint.parameters or any(query_model_of(each) for each in endpoint.dependencies()):
        found[400] |= {
            "validation_failed": "`errors` lists what is missing or invalid.",
            "unstorable_value": "A value, such as a number that is too large, cannot be stored.",
        }
    if endpoint.body is not None:
        found[400]["incomplete_body"] = "The body ended early."
        found |= {408: {}, 413: {}, 415: {}}
        takes_files = multipart_mark_of(endpoint.body.annotation) is not None
        if not takes_files:
            found[400]["malformed_json"] = "The body is not valid JSON."
        if takes_files or accepts_form(endpoint.body.annotation):
            found[400]["malformed_form"] = "The body is not a valid form."
    if "{" in endpoint.route.path:
        found[400]["invalid_url"] = "The URL contains the character U+0000."
        found[404] = {}
    if method != "get" and _takes_cookie(endpoint):
        found[403] = {
            "cross_site_request": "The request is authenticated by a cookie but was not sent by a page of"
            " this application."
        }
    declared = [responses_of(each) for each in (*endpoint.dependencies(), endpoint.handler)]
    found = joined(*declared, found)
    # The database can reject any statement.
    also = {409: {"already_exists": "A value is already taken."}, 503: _UNAVAILABLE}
    return joined(found, {status: codes for status, codes in also.items() if status in found})


def _identifier(endpoint: Endpoint, method: str, path: str, taken: set[str]) -> str:
    """The handler's name. If the name is taken, the path parameters, the method or a number is appended."""
    name = endpoint.handler.__name__
    parameters = "_and_".join(re.findall(r"\{(\w+)", path))
    candidates = (
        name,
        *([f"{name}_by_{parameters}"] if parameters else []),
        f"{name}_{method}",
        *(f"{name}_{number}" for number in range(2, len(taken) + 3)),
    )
    free = next(each for each in candidates if each not in taken)
    taken.add(free)
    return free


def _field_default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return cast(Callable[[], Any], field.default_factory)()
    return REQUIRED


def _with_default(schema: dict[str, Any], default: Any) -> dict[str, Any]:
    if default is REQUIRED or default is None:
        return schema
    try:
        return {**schema, "default": msgspec.to_builtins(default)}
    except TypeError:
        return schema

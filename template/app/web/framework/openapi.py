"""The OpenAPI 3.1 document, made from the `Endpoint`s that handle requests, so it always matches them.

HawkAPI's own document gets most schemas wrong and lacks error responses, defaults and the security of
dependencies. Handlers declare what cannot be derived with `@responds({409: "..."})`. A dependency that
authenticates is marked with `@secured_by(...)`.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args, get_type_hints

import msgspec

from app.web.framework.endpoint import Endpoint, Parameter
from app.web.framework.handler_checks import is_response_type
from app.web.framework.openapi_metadata import query_model_of, responses_of, security_of
from app.web.framework.parameters import REQUIRED, accepts_form
from app.web.problems import ProblemDetails, describe

_REF = "#/components/schemas/{name}"


@dataclass(frozen=True)
class _Slot:
    """A place in the document that needs the schema of a type."""

    owner: dict[str, Any]
    annotation: Any
    default: Any = REQUIRED


def build_document(
    endpoints: Iterable[Endpoint],
    *,
    title: str,
    version: str,
    description: str,
    tag_descriptions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The document for *endpoints*; routes with `include_in_schema=False` are left out.

    The tags are in the order of *tag_descriptions*, and those without a description follow.
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
            operation["operationId"] = _unique(operation["operationId"], identifiers)
            paths.setdefault(path, {})[method.lower()] = operation
    types = [slot.annotation for slot in slots]
    schemas, components = msgspec.json.schema_components([*types, ProblemDetails], ref_template=_REF)
    for slot, schema in zip(slots, schemas, strict=False):
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
        "operationId": f"{method}_{re.sub(r'[^A-Za-z0-9]+', '_', path).strip('_') or 'root'}",
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
    for status, text in sorted(_error_responses(endpoint).items()):
        response = describe(status)
        if text:
            response["description"] = text
        operation["responses"].setdefault(str(status), response)
    operation["responses"]["default"] = {
        **describe(500),
        "description": "Any other error: URL too long (414), headers too large (431), 500 or 503.",
    }
    if method != "get" and _takes_cookie(endpoint):
        refused = {
            **describe(403),
            "description": "Authenticated by a cookie, but not sent by a page of this application.",
        }
        operation["responses"].setdefault("403", refused)
    if _responds_to_forms_with_pages(endpoint):
        for status in (str(route.status_code), "400"):
            operation["responses"][status]["content"]["text/html"] = {"schema": {"type": "string"}}
    return operation


def _add_parameters(operation: dict[str, Any], endpoint: Endpoint, slots: list[_Slot]) -> None:
    found = [each for each in endpoint.parameters if each.location != "body"]
    for dependency in endpoint.dependencies():
        if (model := query_model_of(dependency)) is not None:
            found.extend(
                Parameter(field.encode_name, "query", field.type, _field_default(field))
                for field in msgspec.structs.fields(model)
            )
    # Only a dependency may use a path parameter, but the document must still list it.
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
        slots.append(_Slot(media, endpoint.response_type))
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
    """Whether *endpoint* accepts a form and can return a page as well as a model for JSON."""
    if endpoint.body is None or not accepts_form(endpoint.body.annotation):
        return False
    returned = get_args(get_type_hints(endpoint.handler).get("return"))
    return any(is_response_type(each) for each in returned)


def _error_responses(endpoint: Endpoint) -> dict[int, str]:
    """The errors that the framework itself may return for *endpoint*, and those that its code declares."""
    # Every route can return a 400 because of the host name.
    found: dict[int, str] = {400: "", 504: ""}
    if endpoint.body is not None:
        found |= {408: "", 413: "", 415: ""}
    if "{" in endpoint.route.path:
        found[404] = ""
    for each in (*endpoint.dependencies(), endpoint.handler):
        found |= responses_of(each)
    return found


def _unique(identifier: str, taken: set[str]) -> str:
    """*identifier* or a numbered form: `/things/{id}` and `/things/id` must not share an operationId."""
    candidates = (identifier, *(f"{identifier}_{number}" for number in range(2, len(taken) + 2)))
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

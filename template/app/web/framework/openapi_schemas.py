"""The JSON Schemas in the OpenAPI document, which give generated clients the right types.

Generators disagree about `default`: openapi-typescript makes a field with a default required, even though
a request may omit it. Therefore, no field has this keyword, and the descriptions state the defaults. In
responses, every field that is always present is required.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast, get_origin

import msgspec

from app.web.framework.uploads import schema_of_upload

_REF = "#/components/schemas/{name}"


def schemas_of(sent: list[Any], received: list[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The schemas of the types in requests (*sent*) and in responses (*received*), in that order, and the
    named schemas that they refer to."""
    types = [*sent, *received]
    found, components = msgspec.json.schema_components(
        [*types, *_sparse(types)], schema_hook=schema_of_upload, ref_template=_REF
    )
    schemas = list(found)
    of_requests = _reachable(schemas[: len(sent)], components)
    of_sparse = {each["$ref"].rpartition("/")[2] for each in schemas[len(types) :]}
    for name, schema in components.items():
        properties: dict[str, dict[str, Any]] = schema.get("properties", {})
        if name in of_requests | of_sparse:
            for each in properties.values():
                _say_default(each)
        elif properties:
            required = set(schema["required"])
            schema["required"] = [
                field for field, each in properties.items() if field in required or "default" in each
            ]
            for each in properties.values():
                each.pop("default", None)
    return schemas[: len(types)], components


def _say_default(schema: dict[str, Any]) -> None:
    default = schema.pop("default", None)
    if default is not None:
        said = f"Default: {json.dumps(default, ensure_ascii=False)}."
        schema["description"] = " ".join(filter(None, (schema.get("description"), said)))


def _reachable(schemas: list[dict[str, Any]], components: dict[str, Any]) -> set[str]:
    """The names of the components that *schemas* refer to, directly or through others."""
    found: set[str] = set()
    waiting: list[Any] = list(schemas)
    while waiting:
        names = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(waiting.pop()))
        waiting += [components[name] for name in names if name not in found]
        found.update(names)
    return found


def _sparse(types: list[Any]) -> list[type[msgspec.Struct]]:
    """The Structs in *types* that omit fields with default values from responses."""
    found = [each.cls for each in _structs_in(msgspec.inspect.multi_type_info(types), set())]
    # A generic Struct's class is inside its alias: `Page` in `Page[PublicNote]`.
    return [
        each for each in dict.fromkeys(found) if (get_origin(each) or each).__struct_config__.omit_defaults
    ]


def _structs_in(value: Any, seen: set[int]) -> Iterator[msgspec.inspect.StructType]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, msgspec.inspect.StructType):
        yield value
    if isinstance(value, msgspec.inspect.Type | msgspec.inspect.Field):
        value = [getattr(value, name) for name in value.__struct_fields__]
    if isinstance(value, list | tuple):
        for each in cast(Iterable[Any], value):
            yield from _structs_in(each, seen)

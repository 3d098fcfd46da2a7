"""Reads a request's parameters and body, and checks each one against its annotation with msgspec.

HawkAPI 0.2.0 does not do so: a missing query parameter, malformed JSON or a lone surrogate causes a 500,
`Meta(ge=...)` on a query parameter is not enforced, and a truncated upload looks complete. Therefore, an
endpoint (`app/web/framework/endpoint.py`) uses the functions below instead.
"""

import math
import re
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, TypeAliasType, Union, cast, get_args, get_origin
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from hawkapi import Request
from hawkapi.validation.errors import RequestValidationError

from app.web.framework.field_errors import field_errors
from app.web.problems import NOTHING_HERE, Problem, invalid

type Reader = Callable[[Request], Awaitable[Any]]

# PostgreSQL cannot store U+0000 in text. SQLite can, but U+0000 is always rejected, so that both databases
# behave the same.
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_FORM = "application/x-www-form-urlencoded"

REQUIRED = object()
"""Marks a parameter without a default."""

SmallInt = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
"""An integer that fits into an INTEGER column in any database. Use this type for stored numbers."""


class FromForm:
    """Marks a body that an HTML form may also send: `body: Annotated[Password, FromForm()]`."""


def body_reader(annotation: Any, default: Any = REQUIRED) -> Reader:
    """Read the body as JSON. If the annotation contains `FromForm`, the body may also be a form."""
    form_allowed = accepts_form(annotation)
    decoder = msgspec.json.Decoder(annotation)
    # JSON numbers are finite, but a Decimal may be "NaN". Only bodies that can contain a Decimal are checked.
    has_decimals = b'"decimal"' in msgspec.json.encode(msgspec.json.schema(annotation))

    async def read(request: Request) -> Any:
        content = await request.body()
        if not content and default is not REQUIRED:
            return default
        media_type = media_type_of(request)
        if media_type == _FORM and form_allowed:
            # A form with only unchecked boxes has an empty body.
            return convert(_form_fields(content), annotation, "body")
        if not content:
            raise invalid("body", "A body is required.", "missing")
        if media_type != "application/json" and not media_type.endswith("+json"):
            raise Problem(415, "Send the body as JSON, with the header Content-Type: application/json.")
        if _NUL_ESCAPE.search(content):
            raise invalid("body", "The character U+0000 is not accepted.")
        try:
            try:
                value = decoder.decode(content)
            except msgspec.ValidationError as error:
                # msgspec stops at the first invalid field. The rest of the body may not be valid JSON.
                raise _invalid(msgspec.json.decode(content), annotation, error, "body", strict=True) from None
            if has_decimals and not _is_finite(value):
                raise invalid("body", "The number must be finite.")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Problem(400, "The body is not valid JSON.", code="malformed_json") from None
        return value

    return read


def query_reader(name: str, annotation: Any, default: Any = REQUIRED) -> Reader:
    """Read one query parameter. If the annotation is a list, every occurrence is returned."""
    is_list = _is_list(annotation)

    async def read(request: Request) -> Any:
        values = query_of(request).get(name)
        if not values:
            return _absent(name, default)
        return convert(values if is_list else values[0], annotation, name)

    return read


def query(model: type[msgspec.Struct], *, from_form: bool = False) -> Reader:
    """A dependency that reads the query string into *model*: `Annotated[Page, Depends(query(Page))]`.

    *from_form*: treat empty parameters as absent, because HTML forms send even the fields left empty.
    """
    fields = {field.encode_name: _is_list(field.type) for field in msgspec.structs.fields(model)}

    async def read(request: Request) -> Any:
        found = query_of(request)
        given = {
            name: found[name] if is_list else found[name][0]
            for name, is_list in fields.items()
            if name in found and (found[name][0] or not from_form)
        }
        return convert(given, model, "query")

    read.__dict__["query_model"] = model  # for the OpenAPI document
    return read


def header_reader(key: str, annotation: Any, default: Any = REQUIRED) -> Reader:
    """Read one header. *key* is its name in lower case."""
    return _text_reader(lambda request: request.headers.get(key), key, annotation, default)


def cookie_reader(name: str, annotation: Any, default: Any = REQUIRED) -> Reader:
    """Read one cookie."""
    return _text_reader(lambda request: request.cookies.get(name), name, annotation, default)


def _text_reader(find: Callable[[Request], str | None], name: str, annotation: Any, default: Any) -> Reader:
    async def read(request: Request) -> Any:
        value = find(request)
        if value is None:
            return _absent(name, default)
        return convert(value, annotation, name)

    return read


def path_reader(name: str, annotation: Any) -> Reader:
    """Read a path parameter. If the value does not match the annotation, the response is a 404."""

    async def read(request: Request) -> Any:
        value = request.path_params.get(name)
        text = str(value) if isinstance(value, UUID | int | float) else value
        if isinstance(value, int) and text not in request.path.split("/"):
            # HawkAPI's `{id:int}` also accepts " 5", "0_5" and the Arabic digit for 5, but each resource must
            # have only one URL.
            raise Problem(404, NOTHING_HERE)
        try:
            return msgspec.convert(text, annotation, strict=False)
        except msgspec.ValidationError:
            raise Problem(404, NOTHING_HERE) from None

    return read


def media_type_of(request: Request) -> str:
    return (request.headers.get("content-type") or "").partition(";")[0].strip().lower()


def sent_by_form(request: Request) -> bool:
    """Whether an HTML form sent this request. The response is then a page, not JSON."""
    return media_type_of(request) == _FORM


def query_of(request: Request) -> dict[str, list[str]]:
    try:
        text = request.query_string.decode("ascii")
        found = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=200)
    except (UnicodeDecodeError, ValueError):
        raise invalid("query", "The query string is malformed.") from None
    if "\0" in "".join(value for values in found.values() for value in values):
        raise invalid("query", "The character U+0000 is not accepted.")
    return found


def _form_fields(content: bytes) -> dict[str, str]:
    try:
        found = parse_qs(content.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
    except (UnicodeDecodeError, ValueError):
        raise Problem(400, "The form is malformed.", code="malformed_form") from None
    fields = {name: values[0] for name, values in found.items()}
    if "\0" in "".join(fields.values()):
        raise invalid("body", "The character U+0000 is not accepted.")
    return fields


def accepts_form(annotation: Any) -> bool:
    """Whether a body parameter is marked with `FromForm`."""
    return get_origin(annotation) is Annotated and any(
        isinstance(each, FromForm) for each in get_args(annotation)[1:]
    )


def _is_list(annotation: Any) -> bool:
    if isinstance(annotation, TypeAliasType):
        return _is_list(annotation.__value__)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_list(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return any(_is_list(each) for each in get_args(annotation))
    return (origin or annotation) in (list, set, tuple, frozenset)


def _absent(name: str, default: Any) -> Any:
    if default is REQUIRED:
        raise invalid(name, "This parameter is required.", "missing")
    return default


def convert(text: Any, annotation: Any, field: str) -> Any:
    """Convert non-JSON text to the type *annotation*, and check the annotation's constraints."""
    try:
        value = msgspec.convert(text, annotation, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid(text, annotation, error, field, strict=False) from None
    if not _is_finite(value):
        raise invalid(field, "The number must be finite.")
    return value


def _invalid(
    value: Any, annotation: Any, first: msgspec.ValidationError, name: str, *, strict: bool
) -> RequestValidationError:
    errors = field_errors(value, annotation, first, name=name, strict=strict)
    return RequestValidationError(cast(list[Any], errors))


def _is_finite(value: object) -> bool:
    """Whether *value* contains neither NaN nor infinity, which text can express but JSON cannot."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Decimal):
        # SQLite stores a Decimal as a float, which becomes Infinity if the Decimal is too large.
        return value.is_finite() and math.isfinite(value)
    if isinstance(value, dict):
        return all(_is_finite(each) for each in cast(dict[object, object], value).values())
    if isinstance(value, list | tuple | set | frozenset):
        return all(_is_finite(each) for each in cast(Iterable[object], value))
    if isinstance(value, msgspec.Struct):
        return all(_is_finite(getattr(value, name)) for name in value.__struct_fields__)
    return True

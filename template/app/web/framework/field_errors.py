"""Finds every invalid field in a request. msgspec stops at the first one.

This runs only after msgspec has rejected a value, so it does not slow down valid requests.
"""

import re
from collections.abc import Iterator
from itertools import islice
from types import UnionType
from typing import Annotated, Any, TypeAliasType, Union, cast, get_args, get_origin

import msgspec
from hawkapi.validation.errors import format_msgspec_error

from app.i18n import N_
from app.i18n import gettext as _
from app.web.problems import FieldError

_MAX_ERRORS = 50
_MAX_ITEMS = 1000
_MAX_DEPTH = 6
"""Limits on the work that one request can cause. Errors beyond the limits might not be reported, but at least
one error is always reported."""


_SENTENCES = [
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (r"Object missing required field", N_("This field is required.")),
        (r"Object contains unknown field", N_("This field is not accepted.")),
        (r"Expected `str` of length <= (?P<limit>\d+)", N_("At most {limit} characters are allowed.")),
        (r"Expected `str` of length >= (?P<limit>\d+)", N_("At least {limit} characters are required.")),
        (r"Expected `\w+` of length <= (?P<limit>\d+)", N_("At most {limit} entries are allowed.")),
        (r"Expected `\w+` of length >= (?P<limit>\d+)", N_("At least {limit} entries are required.")),
        (r"Expected `\w+` <= (?P<limit>\S+)", N_("The value must be at most {limit}.")),
        (r"Expected `\w+` >= (?P<limit>\S+)", N_("The value must be at least {limit}.")),
        (r"Expected `\w+` < (?P<limit>\S+)", N_("The value must be less than {limit}.")),
        (r"Expected `\w+` > (?P<limit>\S+)", N_("The value must be greater than {limit}.")),
        (
            r"Expected `\w+` that's a multiple of (?P<limit>\S+)",
            N_("The value must be a multiple of {limit}."),
        ),
        (r"Expected `str` matching regex", N_("This does not have the required format.")),
        (r"Expected `int\b", N_("This must be a whole number.")),
        (r"Expected `(?:float|decimal)\b|Invalid decimal", N_("This must be a number.")),
        (r"Expected `bool\b", N_("This must be true or false.")),
        (r"Expected `str\b", N_("This must be text.")),
        (r"Expected `array\b", N_("This must be a list.")),
        (r"Expected `object\b", N_("This must be an object.")),
        (r"Invalid enum value", N_("This is not one of the accepted values.")),
        (r"Invalid RFC3339 encoded datetime", N_("This must be a time such as 2026-11-25T08:30:00Z.")),
        (r"Invalid RFC3339 encoded date", N_("This must be a date such as 2026-11-25.")),
        (
            r"Expected `|Invalid (?:UUID|base64|value|ISO|epoch|RFC)|.*out of range",
            N_("This value is not valid."),
        ),
    )
]
"""Readable sentences, each with a pattern for the msgspec messages that the sentence replaces."""


def field_errors(
    value: Any, annotation: Any, first: msgspec.ValidationError, *, name: str, strict: bool
) -> list[FieldError]:
    """Every error in *value*, which does not match *annotation*.

    *first*: msgspec's own error. *name*: the parameter, or `body`. *strict*: as in `msgspec.convert`.
    """
    path = "" if _struct_in(annotation) else name
    found = list(islice(_errors(value, annotation, path, strict, _MAX_DEPTH), _MAX_ERRORS))
    # The JSON decoder and `convert` differ in details, so `_errors` may accept a value that the decoder
    # rejected.
    found = found or list(_told(first, path))
    return [msgspec.structs.replace(each, field=each.field or name) for each in found]


def _errors(value: Any, annotation: Any, path: str, strict: bool, depth: int) -> Iterator[FieldError]:
    try:
        msgspec.convert(value, annotation, strict=strict, str_keys=True)
    except msgspec.ValidationError as error:
        within = _errors_within(value, annotation, path, strict, depth - 1) if depth else iter(())
        one = next(within, None)
        if one is None:
            yield from _told(error, path)
        else:
            yield one
            yield from within


def _errors_within(value: Any, annotation: Any, path: str, strict: bool, depth: int) -> Iterator[FieldError]:
    if isinstance(value, dict) and (struct := _struct_in(annotation)):
        yield from _errors_of_fields(cast(dict[str, Any], value), struct, path, strict, depth)
    elif isinstance(value, list) and (item := _item_in(annotation)):
        for index, each in enumerate(islice(cast(list[Any], value), _MAX_ITEMS)):
            yield from _errors(each, item, f"{path}[{index}]", strict, depth)


def _errors_of_fields(
    value: dict[str, Any], struct: Any, path: str, strict: bool, depth: int
) -> Iterator[FieldError]:
    fields = {each.encode_name: each for each in msgspec.structs.fields(struct)}
    for name, field in fields.items():
        if name in value:
            yield from _errors(value[name], field.type, _joined(path, name), strict, depth)
        elif field.required:
            yield FieldError(_joined(path, name), "This field is required.", "missing")
    config = _kind(struct).__struct_config__
    if config.forbid_unknown_fields:
        for name in sorted(value.keys() - fields.keys() - {config.tag_field}):
            yield FieldError(_joined(path, name), "This field is not accepted.")


def _told(error: msgspec.ValidationError, path: str) -> Iterator[FieldError]:
    for each in format_msgspec_error(error):
        yield FieldError(path if each.field == "$" else _joined(path, each.field), sentence_for(each.message))


def sentence_for(message: str) -> str:
    """msgspec's *message*, rewritten as a readable sentence without the value, which may be a password.

    A message that no pattern matches comes from your own `__post_init__`. It is translated, but not reworded.
    """
    for pattern, sentence in _SENTENCES:
        if found := pattern.match(message):
            return _(sentence).format(**found.groupdict())
    return _(message)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path and not name.startswith("[") else path + name


def _struct_in(annotation: Any) -> Any:
    """The Struct in `Struct`, `Struct | None` and `Annotated[Struct, ...]`; None for other annotations."""
    found = [each for each in _choices(annotation) if _is_object(_kind(each))]
    return found[0] if len(found) == 1 else None


def _item_in(annotation: Any) -> Any:
    found = [each for each in _choices(annotation) if _kind(each) in (list, set, frozenset)]
    return get_args(found[0])[0] if len(found) == 1 and get_args(found[0]) else None


def _choices(annotation: Any) -> Iterator[Any]:
    if isinstance(annotation, TypeAliasType):
        yield from _choices(annotation.__value__)
    elif get_origin(annotation) is Annotated:
        yield from _choices(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for each in get_args(annotation):
            yield from _choices(each)
    else:
        yield annotation


def _kind(annotation: Any) -> Any:
    return get_origin(annotation) or annotation


def _is_object(kind: Any) -> bool:
    return (
        isinstance(kind, type) and issubclass(kind, msgspec.Struct) and not kind.__struct_config__.array_like
    )

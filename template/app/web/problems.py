"""This application's error responses: RFC 9457 problem details, which never contain a parser's own message.

Raise `Problem` (or the framework's `HTTPException`) in a route handler or in anything it calls. `problem_for`
turns all other exceptions into responses. Every error response has a `code` that programs can rely on:
messages may change, but codes do not. The messages are in the language of the user or the request
(`app/i18n`).
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from hawkapi import HTTPException
from hawkapi.requests.request import RequestEntityTooLarge
from hawkapi.responses.response import Response
from hawkapi.security.api_key import MissingCredentialError
from hawkapi.validation.errors import RequestValidationError
from sqlalchemy import exc as database_errors
from sqlalchemy.orm.exc import StaleDataError

from app.i18n import N_, current_language, language_tag
from app.i18n import gettext as _
from app.web.database_errors import (
    begins_outage,
    breaks_reference,
    constraint_of,
    is_duplicate,
    is_unavailable,
    names_of,
    taken_fields,
    was_rolled_back,
)

logger = logging.getLogger("app.web")

PROBLEM_JSON = "application/problem+json"
UNEXPECTED = N_("An unexpected error occurred and was logged.")
NOTHING_HERE = N_("There is no resource at this URL.")


_DEFAULT_CODES = {
    408: "body_timeout",
    413: "body_too_large",
    414: "url_too_long",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal_error",
    504: "timeout",
    # Python 3.13 renamed these statuses.
    416: "range_not_satisfiable",
    422: "unprocessable_content",
}


def default_code(status: int) -> str:
    """The code for an error that does not define its own: usually the status's name, such as `conflict`."""
    return _DEFAULT_CODES.get(status) or HTTPStatus(status).name.lower()


class FieldError(msgspec.Struct, frozen=True):
    """An error in one part of the request. The rejected value is never included, as it may be a password."""

    field: Annotated[
        str, msgspec.Meta(description="The field's name, with dots and indices if it is nested.")
    ]
    message: str
    code: Annotated[str, msgspec.Meta(description="`missing`, `invalid` or a more specific reason.")] = (
        "invalid"
    )


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error response (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    code: Annotated[str, msgspec.Meta(description="The error's machine-readable name. It never changes.")]
    detail: Annotated[str, msgspec.Meta(description="Human-readable.")] | msgspec.UnsetType = msgspec.UNSET
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET


class Problem(HTTPException):
    """An error response: `raise Problem(409, "The room is booked.", code="room_booked")`."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        code: str = "",
        headers: dict[str, str] | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        """*code*: the machine-readable name of the error. The default is `default_code(status)`."""
        super().__init__(status, detail, headers=headers)
        self.code = code
        self.errors = errors

    def to_response(self) -> Response:
        return problem_response(
            self.status_code, self.detail, code=self.code, headers=self.headers, errors=self.errors
        )


def invalid(field: str, message: str, code: str = "invalid") -> Problem:
    """A 400 that names the invalid part of the request."""
    errors = [FieldError(field, message, code)]
    return Problem(400, "The request is not valid.", code="validation_failed", errors=errors)


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete."""


def problem_response(
    status: int,
    detail: str = "",
    *,
    code: str = "",
    headers: Mapping[str, str] | None = None,
    errors: list[FieldError] | None = None,
    members: Mapping[str, Any] | None = None,
) -> Response:
    """Build an error response in the current language. All error responses are built here.

    `code`, `type`, `title` and field names are for programs and are never translated. *members* are extension
    members of this problem (RFC 9457, section 3.2).
    """
    body = ProblemDetails(
        title=HTTPStatus(status).phrase,
        status=status,
        code=code or default_code(status),
        detail=_(detail) or msgspec.UNSET,
        errors=[msgspec.structs.replace(each, message=_(each.message)) for each in errors or ()]
        or msgspec.UNSET,
    )
    language = language_tag(current_language())
    return Response(
        msgspec.json.encode({**msgspec.to_builtins(body), **(members or {})}),
        status_code=status,
        headers={"Content-Language": language, "Vary": "Accept, Accept-Language, Cookie", **(headers or {})},
        content_type=PROBLEM_JSON,
    )


def problem_for(error: Exception) -> Response:
    """The response for an exception raised by a handler or one of its dependencies."""
    match error:
        case Problem():
            return error.to_response()
        case HTTPException():
            return problem_response(error.status_code, str(error.detail), headers=error.headers)
        case RequestValidationError():
            # Errors from `field_errors.py` have a code. The framework's own errors do not.
            errors = [
                FieldError(each.field, each.message, getattr(each, "code", "invalid"))
                for each in error.errors
            ]
            return Problem(
                400, "The request is not valid.", code="validation_failed", errors=errors
            ).to_response()
        case RequestEntityTooLarge():
            sentence = _("The body is too large. The maximum is {count} bytes.")
            return problem_response(413, sentence.format(count=error.max_size))
        case MissingCredentialError():
            return problem_response(401, error.detail, code="not_logged_in", headers=error.headers)
        case ClientDisconnected():
            return problem_response(
                400, "The request ended before its body was complete.", code="incomplete_body"
            )
        case TimeoutError():
            logger.error("a time limit was exceeded", exc_info=error)
            return problem_response(504, "An operation that the response depends on took too long.")
        case database_errors.SQLAlchemyError() | OverflowError():
            return _database_problem(error)
        case _:
            logger.error("unhandled error", exc_info=error)
            return problem_response(500, UNEXPECTED)


def _database_problem(error: Exception) -> Response:
    if _is_unstorable_value(error):
        if isinstance(getattr(error, "orig", None), ValueError):
            # The code may be at fault, for example if it stores `datetime.now()`, which has no time zone.
            logger.warning("a column type rejected a value", exc_info=error)
        return problem_response(
            400, "The request contains a value that cannot be stored.", code="unstorable_value"
        )
    if is_duplicate(error):
        logger.warning("a unique constraint was violated: %s", constraint_of(error))
        errors = [FieldError(field, "This value is already taken.", "taken") for field in taken_fields(error)]
        return problem_response(409, "This already exists.", code="already_exists", errors=errors)
    if breaks_reference(error):
        logger.warning("a foreign key was violated: %s", constraint_of(error))
        return problem_response(
            409, "The request refers to something that does not exist, or deletes something that is in use."
        )
    if isinstance(error, StaleDataError):
        logger.warning("another request has changed or deleted a row: %s", error)
        return problem_response(409, "This was changed or deleted in the meantime. Load it again.")
    if was_rolled_back(error):
        logger.error("another transaction made the database roll back this one", exc_info=error)
        return database_unavailable()
    if is_unavailable(error):
        traceback = error if begins_outage(error) else None
        logger.error("the database is not available (%s)", names_of(error), exc_info=traceback)
        return database_unavailable()
    logger.error("database error", exc_info=error)
    return problem_response(500, UNEXPECTED)


def database_unavailable() -> Response:
    """The response sent while the database is down or does not respond."""
    return problem_response(
        503,
        "The database is not available. Try again soon.",
        code="database_unavailable",
        headers={"Retry-After": "5"},
    )


def _is_unstorable_value(error: Exception) -> bool:
    """Whether the database rejected a value, such as an out-of-range number or text that contains NUL.

    SQLSTATE class 22 is "data exception". asyncpg rejects some values itself with a DataError, before the
    server sees them. SQLite's driver raises OverflowError. A column type, such as `UTCDateTime`, raises
    ValueError or OverflowError.
    """
    if isinstance(error, OverflowError | database_errors.DataError):
        return True
    if not isinstance(error, database_errors.StatementError):
        return False
    driver_error = error.orig
    if isinstance(driver_error, ValueError | OverflowError):
        return True
    cause = driver_error.__cause__ if driver_error is not None else None
    return any(
        str(getattr(each, "sqlstate", None) or "").startswith("22")
        or type(each).__name__ in {"DataError", "OverflowError"}
        for each in (driver_error, cause)
        if each is not None
    )


_SCHEMA = {"$ref": "#/components/schemas/ProblemDetails"}


def describe(status: int, codes: Mapping[str, str]) -> dict[str, Any]:
    """The OpenAPI response object for an error response. *codes*: each code, with a sentence about its cause.

    The status's default code is always listed, because hooks and middleware may raise a `Problem` with it.
    """
    default = default_code(status)
    texts = [text if code == default else f"`{code}`: {text}" for code, text in codes.items() if text]
    code = {"type": "string", "enum": [*codes, *({default} - codes.keys())]}
    of_these = {"type": "object", "properties": {"code": code}, "required": ["code"]}
    return {
        "description": " ".join(texts) or HTTPStatus(status).phrase,
        "content": {PROBLEM_JSON: {"schema": {"allOf": [_SCHEMA, of_these]}}},
    }


def describe_others(text: str) -> dict[str, Any]:
    """The OpenAPI response object for the errors that an operation does not list."""
    return {"description": text, "content": {PROBLEM_JSON: {"schema": _SCHEMA}}}

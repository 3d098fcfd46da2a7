"""Every error response of this application: RFC 9457 problem details, never a parser's own message.

Raise `Problem` (or the framework's `HTTPException`) from anywhere below a route. `problem_for` turns
all other exceptions into responses, so this file lists every error that a client can see.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from hawkapi import HTTPException
from hawkapi.requests.request import RequestEntityTooLarge
from hawkapi.responses.response import Response
from hawkapi.security.api_key import MissingCredentialError
from hawkapi.validation.errors import RequestValidationError
from sqlalchemy import exc as database_errors

from app.web.database_errors import taken_fields

logger = logging.getLogger("app.web")

PROBLEM_JSON = "application/problem+json"
UNEXPECTED = "An unexpected error occurred and was logged."
NOTHING_HERE = "There is no resource at this URL."


class FieldError(msgspec.Struct, frozen=True):
    """What is wrong with one part of the request. The value itself is never echoed: it may be a password."""

    field: str
    message: str


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error response (RFC 9457)."""

    title: str
    status: int
    type: str = "about:blank"
    detail: str | None = None
    errors: list[FieldError] | None = None


class Problem(HTTPException):
    """An error response: `raise Problem(409, "This address already has an account.")`."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        errors: list[FieldError] | None = None,
    ) -> None:
        super().__init__(status, detail, headers=headers)
        self.errors = errors

    def to_response(self) -> Response:
        return problem_response(self.status_code, self.detail, headers=self.headers, errors=self.errors)


def invalid(field: str, message: str) -> Problem:
    """A 400 that names the invalid part of the request."""
    return Problem(400, "The request is not valid.", errors=[FieldError(field, message)])


class ClientDisconnected(Exception):
    """The client disconnected before its request was complete."""


def problem_response(
    status: int,
    detail: str = "",
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[FieldError] | None = None,
) -> Response:
    body = ProblemDetails(
        title=HTTPStatus(status).phrase, status=status, detail=detail or None, errors=errors
    )
    return Response(
        msgspec.json.encode({"type": "about:blank", **msgspec.to_builtins(body)}),
        status_code=status,
        headers=dict(headers or {}),
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
            errors = [FieldError(item.field, item.message) for item in error.errors]
            return problem_response(400, "The request is not valid.", errors=errors)
        case RequestEntityTooLarge():
            return problem_response(413, f"The body is too large. The maximum is {error.max_size} bytes.")
        case MissingCredentialError():
            return problem_response(401, error.detail, headers=error.headers)
        case ClientDisconnected():
            return problem_response(400, "The request ended before its body was complete.")
        case TimeoutError():
            logger.error("a time limit ran out", exc_info=error)
            return problem_response(504, "An operation that the response depends on took too long.")
        case database_errors.SQLAlchemyError() | OverflowError():
            return _database_problem(error)
        case _:
            logger.error("unhandled error", exc_info=error)
            return problem_response(500, UNEXPECTED)


def _database_problem(error: Exception) -> Response:
    if _is_unstorable_value(error):
        return problem_response(400, "The request contains a value that cannot be stored.")
    if fields := taken_fields(error):
        logger.warning("a unique constraint was violated: %s", ", ".join(fields))
        errors = [FieldError(field, "This value is already taken.") for field in fields]
        return problem_response(409, "This already exists.", errors=errors)
    if _is_unavailable(error):
        logger.error("the database is not available", exc_info=error)
        return problem_response(
            503, "The database is not available. Try again soon.", headers={"Retry-After": "5"}
        )
    logger.error("database error", exc_info=error)
    return problem_response(500, UNEXPECTED)


def _is_unstorable_value(error: Exception) -> bool:
    """Whether the database refused a value, such as a number out of range or text with NUL.

    SQLSTATE class 22 is "data exception". asyncpg refuses some values itself with a DataError, before the
    server sees them. SQLite's driver raises OverflowError.
    """
    if isinstance(error, OverflowError | database_errors.DataError):
        return True
    if not isinstance(error, database_errors.DBAPIError):
        return False
    driver_error = error.orig
    cause = driver_error.__cause__ if driver_error is not None else None
    return any(
        str(getattr(each, "sqlstate", None) or "").startswith("22")
        or type(each).__name__ in {"DataError", "OverflowError"}
        for each in (driver_error, cause)
        if each is not None
    )


def _is_unavailable(error: Exception) -> bool:
    if isinstance(error, database_errors.TimeoutError):
        return True
    if isinstance(error, database_errors.OperationalError | database_errors.InterfaceError):
        return True
    if not isinstance(error, database_errors.DBAPIError):
        return False
    # SQLSTATE classes: connection exception, insufficient resources, operator intervention.
    sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
    return error.connection_invalidated or sqlstate.startswith(("08", "53", "57P"))


def describe(status: int) -> dict[str, Any]:
    """The OpenAPI response object of an error response."""
    return {
        "description": HTTPStatus(status).phrase,
        "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }

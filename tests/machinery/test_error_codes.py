"""The codes of error responses, as listed in the template's `docs/errors.md`."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import app as package
from app.web.problems import default_code

STATUSES = {
    "account_disabled": 409,
    "account_in_use": 409,
    "already_exists": 409,
    "body_timeout": 408,
    "body_too_large": 413,
    "busy": 503,
    "confirm_with_second_factor": 403,
    "conflict": 409,
    "cross_site_request": 403,
    "database_unavailable": 503,
    "email_not_verified": 403,
    "email_taken": 409,
    "headers_too_large": 431,
    "incomplete_body": 400,
    "internal_error": 500,
    "invalid_credentials": 401,
    "invalid_cursor": 400,
    "invalid_email": 400,
    "invalid_host": 400,
    "invalid_link": 400,
    "invalid_url": 400,
    "last_second_factor": 409,
    "last_superuser": 409,
    "login_code_refused": 401,
    "login_expired": 401,
    "mail_expired": 409,
    "malformed_form": 400,
    "malformed_json": 400,
    "method_not_allowed": 405,
    "migrations_pending": 503,
    "no_second_factor": 404,
    "not_found": 404,
    "not_logged_in": 401,
    "passkey_exists": 409,
    "passkey_refused": 401,
    "password_required": 400,
    "rate_limited": 429,
    "rate_limits_unavailable": 503,
    "recent_login_required": 403,
    "registration_closed": 403,
    "second_factor_required": 401,
    "second_factor_setup_required": 403,
    "session_ended": 401,
    "superusers_only": 403,
    "timeout": 504,
    "too_many_passkeys": 409,
    "totp_already_set_up": 409,
    "unknown_language": 400,
    "unstorable_value": 400,
    "unsupported_media_type": 415,
    "url_too_long": 414,
    "validation_failed": 400,
    "weak_password": 400,
    "webhook_refused": 403,
    "webhook_unavailable": 503,
    "wrong_password": 400,
    "wrong_second_factor": 400,
}
FIELD_CODES = {
    "invalid",
    "missing",
    "password_breached",
    "password_common",
    "password_not_storable",
    "password_personal",
    "password_too_long",
    "password_too_short",
    "taken",
}
"""Codes of the entries in `errors`. An entry may also have the response's code."""


def nodes_of_source() -> Iterator[ast.AST]:
    """All modules except those of the pages, whose errors are pages."""
    folder = Path(package.__path__[0])
    for path in sorted(set(folder.rglob("*.py")) - set(folder.glob("pages/**/*.py"))):
        yield from ast.walk(ast.parse(path.read_text("utf-8")))


def code_of_response(node: ast.AST) -> str | None:
    match node:
        # class UserAlreadyExists(ValueError): code = "email_taken"
        case ast.Assign([ast.Name("code" | "NOT_SET_UP_CODE" | "SETUP_REQUIRED")], ast.Constant(str(code))):
            return code
        # Problem(403, "...", code="superusers_only")
        case ast.keyword("code", ast.Constant(str(code))):
            return code
        # Problem(404, "...")
        case ast.Call(ast.Name("Problem" | "problem_response"), [ast.Constant(int(status)), *_], keywords):
            return None if any(each.arg == "code" for each in keywords) else default_code(status)
    return None


def code_of_field(node: ast.AST) -> str | None:
    match node:
        # FieldError("name", "...", "taken")
        case ast.Call(ast.Name("FieldError" | "invalid"), [_, _, ast.Constant(str(code))]):
            return code
        # InvalidPassword("...", reason="password_common")
        case ast.keyword("reason", ast.Constant(str(code))):
            return code
    return None


def test_every_code_is_known():
    assert {code for node in nodes_of_source() if (code := code_of_response(node))} == STATUSES.keys()


def test_every_code_of_a_field_is_known():
    found = {code for node in nodes_of_source() if (code := code_of_field(node))}

    assert found | {"invalid"} == FIELD_CODES


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "bad_request"), (409, "conflict"), (429, "rate_limited"), (503, "service_unavailable")],
)
def test_a_problem_without_a_code_gets_the_code_of_its_status(status, code):
    assert default_code(status) == code

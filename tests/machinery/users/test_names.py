"""The names of hawkapi-users: `from hawkapi_users import …` becomes `from app.users import …`."""

import inspect
from typing import Any

import pytest

import app.users
from app.users import User, UserManager, UserTokenConfig, UserTokens
from app.users.manager import no_hook

NAMES = [
    "RESET_TYPE",
    "VERIFY_TYPE",
    "InactiveUser",
    "InvalidCredentials",
    "TokenError",
    "User",
    "UserAlreadyExists",
    "UserManager",
    "UserTokenConfig",
    "UserTokens",
    "default_renderer",
    "get_user_manager",
    "init_users",
    "normalize_email",
    "resolve_user_manager",
    "send_password_reset_email",
    "send_verification_email",
]

OURS = [
    "CurrentLogin",
    "CurrentSession",
    "CurrentUser",
    "HashingBusy",
    "InvalidEmail",
    "InvalidPassword",
    "LastSuperuser",
    "OptionalUser",
    "PasswordHasher",
    "RecentLogin",
    "Superuser",
    "UserSession",
    "Users",
    "VerifiedUser",
    "record",
]
"""Names that projects use in addition to the library's: dependencies, tables, errors."""

FLAGS = ["is_active", "is_verified", "is_superuser"]

MAIL = ["sender", "subject", "template", "text_template", "renderer", "context"]


@pytest.mark.parametrize("name", NAMES + OURS)
def test_every_name_exists(name):
    assert name in app.users.__all__
    assert hasattr(app.users, name)


@pytest.mark.parametrize(
    ("function", "positional", "keywords"),
    [
        (UserManager.get_by_email, ["session", "email"], []),
        (UserManager.get_by_id, ["session", "user_id"], []),
        (UserManager.create, ["session"], ["email", "password", *FLAGS]),
        (UserManager.authenticate, ["session"], ["email", "password"]),
        (UserManager.request_verify, ["session"], ["email"]),
        (UserManager.verify, ["session"], ["token"]),
        (UserManager.request_password_reset, ["session"], ["email"]),
        (UserManager.reset_password, ["session"], ["token", "new_password"]),
        (UserManager.update, ["session", "user"], ["email", "password", *FLAGS]),
        (UserManager.delete, ["session", "user"], []),
        (app.users.record, ["session", "event", "user_id"], ["outcome", "actor", "method", "details"]),
        (UserTokens.issue_verify, ["user_id"], ["password_version"]),
        (UserTokens.issue_reset, ["user_id"], ["password_version"]),
        (UserTokens.peek_email_token_sub, ["token"], []),
        (UserTokens.peek_reset_token_sub, ["token"], []),
        (UserTokens.verify_email_token, ["token"], ["expected_password_version"]),
        (UserTokens.verify_reset_token, ["token"], ["expected_password_version"]),
        (app.users.init_users, ["app"], ["manager", "mount_routes", "url_prefix", "rate_limiter"]),
        (app.users.get_user_manager, ["request"], []),
        (app.users.resolve_user_manager, ["app"], []),
        (app.users.normalize_email, ["email"], []),
        (app.users.default_renderer, [], []),
        (app.users.send_verification_email, ["mailer"], ["to", "token", "verify_url_template", *MAIL]),
        (app.users.send_password_reset_email, ["mailer"], ["to", "token", "reset_url_template", *MAIL]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_calls_written_for_the_library_work(function, positional, keywords):
    signature = inspect.signature(function)
    first = [None] if "self" in signature.parameters else []

    signature.bind(*first, *positional, **dict.fromkeys(keywords))


@pytest.mark.parametrize(
    "hook",
    [
        "on_after_register",
        "on_after_login",
        "on_after_request_verify",
        "on_after_verify",
        "on_after_forgot_password",
        "on_after_reset_password",
        "on_after_logout",
        "on_after_change_password",
        "on_after_request_email_change",
        "on_after_change_email",
        "on_after_update",
        "on_before_delete",
    ],
)
def test_a_hook_can_be_passed_or_assigned(hook):
    options: dict[str, Any] = {hook: print}
    tokens = UserTokens(UserTokenConfig(secret="x" * 32))

    without, given = UserManager(User, tokens), UserManager(model=User, tokens=tokens, **options)

    assert getattr(without, hook) is no_hook
    assert getattr(given, hook) is print


def test_the_token_config_accepts_the_librarys_arguments():
    config = UserTokenConfig(
        secret="x" * 32,
        algorithm="HS512",
        verify_ttl_seconds=60,
        reset_ttl_seconds=60,
        issuer="shop",
        audience="shop",
    )

    tokens = UserTokens(config)

    assert tokens.verify_email_token(tokens.issue_verify("u-1")) == "u-1"


def test_errors_have_the_types_of_the_library():
    assert issubclass(app.users.UserAlreadyExists, ValueError)
    assert issubclass(app.users.InvalidCredentials, ValueError)
    assert issubclass(app.users.InactiveUser, ValueError)


def test_the_table_has_the_columns_of_the_library():
    assert User.__tablename__ == "users"
    assert {column.name for column in User.__table__.columns} >= {
        "id",
        "email",
        "hashed_password",
        "is_active",
        "is_verified",
        "is_superuser",
        "password_version",
        "created_at",
        "updated_at",
    }


def test_a_module_of_users_can_be_imported_by_name():
    """Route modules have the same names, but `from app.users import sessions` must not import those."""
    assert app.users.sessions.__name__ == "app.users.sessions"

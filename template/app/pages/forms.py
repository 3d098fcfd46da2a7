"""The fields of each form, and how a form shows errors.

Every field has a default, because the manager reports all field errors, including missing values.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response
from sqlalchemy.exc import IntegrityError

from app.i18n import gettext as _
from app.i18n import gettext as translated
from app.users.dependencies import get_user_manager
from app.users.exceptions import (
    AccountDisabled,
    AccountInUse,
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    LastSuperuser,
    NoSuchSession,
    RegistrationClosed,
    UserAlreadyExists,
    WrongPassword,
)
from app.users.manager import UserManager
from app.users.models import User
from app.users.routes.error_handlers import wrong_credentials
from app.users.schemas import NewAccount, ProfileUpdate
from app.web.database_errors import taken_fields
from app.web.framework.field_errors import field_errors
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split


class InvalidField(ValueError):
    """The value of a form field is not allowed. The message says why."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


REFUSALS = (
    AccountDisabled,
    AccountInUse,
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidField,
    InvalidPassword,
    LastSuperuser,
    NoSuchSession,
    RegistrationClosed,
    UserAlreadyExists,
    WrongPassword,
    # Your own exceptions go below; template updates never touch them.
)
"""Exceptions that are shown in the form instead of on an error page."""

_PASSWORDS = frozenset({"password", "current_password", "new_password"})
"""Fields whose values are never shown again, so that no password is sent back to the browser."""


class RegistrationForm(msgspec.Struct):
    """The form on the registration page. Name each of your own fields after a field in `NewAccount`, which
    defines its rules."""

    email: str = ""
    password: str = ""
    # Your own fields go below; template updates never touch them.


class LoginForm(msgspec.Struct):
    email: str = ""
    password: str = ""
    remember: str = ""
    next: str = ""


class EmailForm(msgspec.Struct):
    email: str = ""


class AccountChangeForm(msgspec.Struct):
    change: str = ""


class PasswordForm(msgspec.Struct):
    password: str = ""
    next: str = ""


class PasswordChangeForm(msgspec.Struct):
    current_password: str = ""
    new_password: str = ""


class EmailChangeForm(msgspec.Struct):
    new_email: str = ""


class SessionForm(msgspec.Struct):
    """The *session* to end, or *others* to end all sessions except the current one."""

    session: str = ""
    others: str = ""


class ProfileForm(msgspec.Struct):
    """The form on the profile page. Name each field, such as `display_name: str = ""`, after a field in
    `ProfileUpdate`, which defines its rules."""

    # Your own profile fields go below; template updates never touch them.


def profile_of(user: User) -> dict[str, str]:
    """The values that the profile page shows."""
    values = {name: getattr(user, name) for name in ProfileForm.__struct_fields__}
    # Convert values as JSON does, so that the form accepts what it shows, such as an enum's value.
    plain = msgspec.to_builtins(values, enc_hook=str)
    return {name: "" if value is None else str(value) for name, value in plain.items()}


def profile_update(form: ProfileForm) -> ProfileUpdate:
    """The changes in *form*. An empty field means no value.

    Raises:
        InvalidField: a field breaks a rule in `ProfileUpdate`.
    """
    values = {name: value.strip() or None for name, value in msgspec.structs.asdict(form).items()}
    return _converted(values, ProfileUpdate)


def new_account(form: RegistrationForm) -> dict[str, Any]:
    """The account that *form* describes. An empty field gets its default from `NewAccount`.

    Raises:
        InvalidField: a field breaks a rule in `NewAccount`.
    """
    credentials = {"email": form.email, "password": form.password}
    own = {name: value.strip() for name, value in msgspec.structs.asdict(form).items()}
    filled = {name: value for name, value in own.items() if value and name not in credentials}
    return msgspec.structs.asdict(_converted(filled, NewAccount)) | credentials


def _converted[T](values: dict[str, Any], rules: type[T]) -> T:
    try:
        return msgspec.convert(values, rules, strict=False)
    except msgspec.ValidationError as error:
        detail = field_errors(values, rules, error, name="", strict=False)[0]
        raise InvalidField(detail.message, field=detail.field) from None


@contextmanager
def taken_values_as_errors() -> Generator[None]:
    """If a value for one of your unique columns is taken, show the error in the form, not on an error page.

    Raises:
        InvalidField: the value is taken.
    """
    try:
        yield
    except IntegrityError as error:
        for field in taken_fields(error):
            raise InvalidField(_("This value is already taken."), field=field) from None
        raise


def show_again(
    request: Request, template: str, form: msgspec.Struct, error: Exception, **values: Any
) -> Response:
    """Show the form again with the submitted values and the error. The status is 400, so nothing is saved."""
    given = msgspec.structs.asdict(form)
    kept = {name: value for name, value in given.items() if name not in _PASSWORDS}
    field, sentence = problem_of(error, get_user_manager(request))
    # A form without this field shows the message at the top.
    errors = {field if field in given else "": sentence}
    shown: dict[str, Any] = kept | {"errors": errors} | values
    return html_page(request, template, status=400, **shown)


def problem_of(error: Exception, users: UserManager | None = None) -> tuple[str, str]:
    """The field that *error* is about (empty if there is none), and the message to show."""
    match error:
        case UserAlreadyExists():
            return "email", _("This e-mail address already has an account.")
        case InvalidCredentials() | InactiveUser():
            return "", translated(wrong_credentials(users))
        case InvalidEmail() | InvalidField() | InvalidPassword() | WrongPassword():
            return error.field, translated(str(error))
        case _:
            return "", translated(str(error))

"""The fields of each form, and how a form shows errors.

Every field has a default, because the manager reports all field errors, including missing values.
"""

from typing import Any

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.validation.errors import format_msgspec_error

from app.i18n import gettext as _
from app.i18n import gettext as translated
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
from app.users.models import User
from app.users.schemas import ProfileUpdate
from app.web.framework.field_errors import sentence_for
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

REFUSALS = (
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
    # Your own exceptions go below; template updates never touch them.
)
"""Exceptions that are shown in the form instead of on an error page."""

_PASSWORDS = frozenset({"password", "current_password", "new_password"})
"""Fields whose values are never shown again, so that no password is sent back to the browser."""


class RegistrationForm(msgspec.Struct):
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
    """The session to end, or whether to end all *others*."""

    session: str = ""
    others: str = ""


class ProfileForm(msgspec.Struct):
    """The form on the profile page. Name each field, such as `display_name: str = ""`, after a field in
    `ProfileUpdate`, which defines its rules."""

    # Your own profile fields go below; template updates never touch them.


class InvalidProfile(ValueError):
    """A profile field whose value is not allowed. The message says why."""

    def __init__(self, message: str, *, field: str) -> None:
        super().__init__(message)
        self.field = field


def profile_of(user: User) -> dict[str, str]:
    """The values that the profile page shows."""
    values = {name: getattr(user, name) for name in ProfileForm.__struct_fields__}
    return {name: "" if value is None else str(value) for name, value in values.items()}


def profile_update(form: ProfileForm) -> ProfileUpdate:
    """The changes in *form*. An empty field means no value.

    Raises:
        InvalidProfile: a field breaks a rule in `ProfileUpdate`.
    """
    values = {name: value.strip() or None for name, value in msgspec.structs.asdict(form).items()}
    try:
        return msgspec.convert(values, ProfileUpdate, strict=False)
    except msgspec.ValidationError as error:
        [detail] = format_msgspec_error(error)
        raise InvalidProfile(sentence_for(detail.message), field=detail.field) from None


def show_again(
    request: Request, template: str, form: msgspec.Struct, error: Exception, **values: Any
) -> Response:
    """The form's page again, with the submitted values and the errors. Nothing is saved, and the
    status is 400."""
    given = msgspec.structs.asdict(form)
    kept = {name: value for name, value in given.items() if name not in _PASSWORDS}
    field, sentence = problem_of(error)
    # A form without this field shows the message at the top.
    errors = {field if field in given else "": sentence}
    shown: dict[str, Any] = kept | {"errors": errors} | values
    return html_page(request, template, status=400, **shown)


def problem_of(error: Exception) -> tuple[str, str]:
    """The field that *error* is about, or an empty string, and the message to show."""
    match error:
        case UserAlreadyExists():
            return "email", _("This e-mail address already has an account.")
        case InvalidCredentials() | InactiveUser():
            # The same message for both: telling them apart would reveal which addresses have an account.
            return "", _("The e-mail address or the password is wrong.")
        case InvalidEmail() | InvalidPassword() | WrongPassword():
            return error.field, translated(str(error))
        case _:
            return "", translated(str(error))

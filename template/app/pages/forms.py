"""What the forms send, and how a form shows what is wrong.

Every field has a default, because a browser sends empty fields and the manager says what is wrong with them.
"""

from typing import Any

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response

from app.i18n import gettext as _
from app.i18n import gettext as translated
from app.users.exceptions import (
    AccountInUse,
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    LastSuperuser,
    RegistrationClosed,
    UserAlreadyExists,
    WrongPassword,
)
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

REFUSALS = (
    AccountInUse,
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    LastSuperuser,
    RegistrationClosed,
    UserAlreadyExists,
    WrongPassword,
    # Your own exceptions go below; template updates never touch them.
)
"""Exceptions that a form shows instead of an error page."""

_PASSWORDS = frozenset({"password", "current_password", "new_password"})
"""Fields that a page never contains, so that a password is not sent back."""


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


class PasswordForm(msgspec.Struct):
    password: str = ""
    next: str = ""


class PasswordChangeForm(msgspec.Struct):
    current_password: str = ""
    new_password: str = ""


def show_again(
    request: Request, template: str, form: msgspec.Struct, error: Exception, **values: Any
) -> Response:
    """The page of the form, with its values and with what is wrong. Nothing is saved (the status is 400)."""
    given = msgspec.structs.asdict(form)
    kept = {name: value for name, value in given.items() if name not in _PASSWORDS}
    field, sentence = problem_of(error)
    # A form that has no such field shows the sentence at its top.
    errors = {field if field in given else "": sentence}
    return html_page(request, template, status=400, **(kept | {"errors": errors} | values))


def problem_of(error: Exception) -> tuple[str, str]:
    """The field that *error* is about, or an empty string, and the sentence for the person."""
    match error:
        case UserAlreadyExists():
            return "email", _("This e-mail address already has an account.")
        case InvalidCredentials() | InactiveUser():
            # One sentence for both: telling them apart would reveal which addresses have an account.
            return "", _("The e-mail address or the password is wrong.")
        case InvalidEmail() | InvalidPassword() | WrongPassword():
            return error.field, translated(str(error))
        case _:
            return "", translated(str(error))

"""What the users routes take and give. Add fields at the seams; what is not listed here never leaves."""

from typing import Annotated

import msgspec

from app.users.models import User

# Generous bounds that keep absurd input from any work; the rules are in addresses.py and passwords.py.
EmailText = Annotated[str, msgspec.Meta(max_length=320, description="An e-mail address.")]
PasswordText = Annotated[
    str, msgspec.Meta(max_length=1024, description="12 (PASSWORD_MIN_LENGTH) to 128 characters.")
]


class PublicUser(msgspec.Struct):
    """What anybody who may see an account sees of it."""

    id: str
    email: str
    is_active: bool
    is_verified: bool
    is_superuser: bool
    # Your own public fields go below; template updates never touch them.


class Registration(msgspec.Struct):
    """Flags such as is_superuser have no place here and are ignored when sent."""

    email: EmailText
    password: PasswordText
    # Your own fields go below, with a default; pass them on in routes/lifecycle.py.


class Login(msgspec.Struct):
    email: EmailText
    password: PasswordText


class LoggedIn(PublicUser, kw_only=True):
    """The public user and, beside it, what authenticates the next requests."""

    access_token: str
    expires_in: Annotated[int, msgspec.Meta(description="Seconds until the access token expires.")]
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme (RFC 6750), not a secret


class AddressOnly(msgspec.Struct):
    email: EmailText


class NewPassword(msgspec.Struct):
    password: PasswordText


class Accepted(msgspec.Struct):
    """The same answer whether or not there is such an account."""

    status: str = "ok"


def public(user: User) -> PublicUser:
    """The public view of *user*."""
    return PublicUser(
        id=user.id,
        email=user.email,
        is_active=user.is_active,
        is_verified=user.is_verified,
        is_superuser=user.is_superuser,
    )

"""The request and response bodies of the passkey routes. The names are part of the API: do not change
them."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from app.passkeys.models import Passkey
from app.second_factors.schemas import Text
from app.users.schemas import Secret

type Credential = Annotated[
    dict[str, Any],
    msgspec.Meta(description="The credential from `navigator.credentials`, as JSON (`credential.toJSON()`)."),
]
Name = Annotated[
    str, msgspec.Meta(max_length=64, description="If empty, the authenticator's name is used, if known.")
]
type Options = dict[str, Any]
"""WebAuthn options as JSON, for `PublicKeyCredential.parse…OptionsFromJSON()`."""


class NewPasskey(Secret):
    credential: Credential
    name: Name = ""


class PasskeyName(msgspec.Struct):
    name: Name


class PasskeyLogin(Secret):
    credential: Credential


class PasskeyCookieLogin(PasskeyLogin):
    remember: Annotated[
        bool,
        msgspec.Meta(description="If false, the session lasts at most SESSION_NOT_REMEMBERED seconds."),
    ] = True


class LoginToContinue(Secret):
    """If there is no ticket, the login that this browser started is continued."""

    ticket: Text = ""


class PublicPasskey(msgspec.Struct):
    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    is_backed_up: Annotated[
        bool, msgspec.Meta(description="Whether the passkey survives the loss of the device.")
    ]
    replaces_password: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the passkey verified its user when it was added, and so can replace the"
            " password."
        ),
    ]


class AddedPasskey(Secret, PublicPasskey, kw_only=True):
    """Recovery codes are included if the account had none. They are never shown again."""

    recovery_codes: list[str] | msgspec.UnsetType = msgspec.UNSET


def public(passkey: Passkey) -> PublicPasskey:
    """*passkey* as its owner sees it."""
    return PublicPasskey(
        id=passkey.id,
        name=passkey.name,
        created_at=passkey.created_at,
        last_used_at=passkey.last_used_at,
        is_backed_up=passkey.is_backed_up,
        replaces_password=passkey.verifies_user,
    )

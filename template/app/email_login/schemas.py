"""The request and response bodies for login by e-mailed code. The names are part of the API: do not change
them."""

from typing import Annotated

import msgspec

from app.users.schemas import Secret

CodeText = Annotated[
    str,
    msgspec.Meta(
        max_length=64, description="The code from the e-mail. Case, hyphens and spaces do not matter."
    ),
]


class CodeRequested(Secret):
    """The same response whether or not the address has an account."""

    request_id: Annotated[str, msgspec.Meta(description="The id to use in the path when sending the code.")]


class LoginCodeAnswer(Secret):
    code: CodeText


class CookieLoginCodeAnswer(LoginCodeAnswer):
    remember: Annotated[
        bool,
        msgspec.Meta(description="If false, the session lasts at most SESSION_NOT_REMEMBERED seconds."),
    ] = True

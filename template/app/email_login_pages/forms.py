"""The contents of the forms for login by e-mailed code."""

import msgspec

from app.users.schemas import Secret


class RequestForm(msgspec.Struct):
    email: str = ""
    next: str = ""


class CodeForm(Secret):
    code: str = ""
    remember: str = ""
    next: str = ""

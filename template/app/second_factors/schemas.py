"""The request and response bodies of the second factor routes. The names are part of the API: do not change
them."""

from typing import Annotated, Any

import msgspec

from app.second_factors.factors import RECOVERY_CODE, Answer
from app.users.schemas import Secret
from app.web import invalid

Text = Annotated[str, msgspec.Meta(max_length=200)]


class FactorAnswer(Secret):
    """An answer for one of the account's second factors. Exactly one of these fields must be set."""

    code: Annotated[Text, msgspec.Meta(description="A code from an authenticator app.")] = ""
    recovery_code: Text = ""
    credential: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description="A passkey's response: the result of `navigator.credentials.get()`, as JSON."
        ),
    ] = None


class LoginAnswer(FactorAnswer, kw_only=True):
    """A login's ticket and the answer that finishes the login."""

    ticket: Text


class RecoveryCodes(Secret):
    """Single-use codes that stand in for a lost second factor. They are never shown again."""

    recovery_codes: list[str]


class AccountFactors(msgspec.Struct):
    """An account's second factors."""

    factors: Annotated[list[str], msgspec.Meta(description="The names of the factors, such as `totp`.")]
    recovery_codes: Annotated[int, msgspec.Meta(description="How many recovery codes are left.")]


def answer_of(body: FactorAnswer) -> Answer:
    """The answer in *body*. Raises `Problem` (400) unless there is exactly one."""
    credential = msgspec.json.encode(body.credential).decode() if body.credential else ""
    given = {"code": body.code, RECOVERY_CODE: body.recovery_code, "credential": credential}
    answers = [Answer(method, value) for method, value in given.items() if value]
    if len(answers) != 1:
        raise invalid("code", "Send exactly one of code, recovery_code and credential.")
    return answers[0]

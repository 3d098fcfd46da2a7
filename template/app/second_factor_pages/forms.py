"""The fields of the second factor forms."""

from app.second_factors.factors import RECOVERY_CODE, Answer
from app.users.schemas import Secret


class AnswerForm(Secret):
    """The answer in one of the page's forms: a factor's code or credential, or a recovery code."""

    code: str = ""
    recovery_code: str = ""
    credential: str = ""
    """The result of `navigator.credentials.get()`, as JSON."""
    next: str = ""


def answer_of(form: AnswerForm) -> Answer:
    """The answer in *form*, from whichever field is filled in."""
    for method, value in ((RECOVERY_CODE, form.recovery_code), ("credential", form.credential)):
        if value:
            return Answer(method, value)
    return Answer("code", form.code)

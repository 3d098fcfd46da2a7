"""What the forms of second factors send."""

from app.second_factors.factors import RECOVERY_CODE, Answer
from app.users.schemas import Secret


class AnswerForm(Secret):
    """A code or, in the other form of the page, a recovery code."""

    code: str = ""
    recovery_code: str = ""
    next: str = ""


class CodeForm(Secret):
    code: str = ""


def answer_of(form: AnswerForm) -> Answer:
    """The answer in *form*."""
    if form.recovery_code:
        return Answer(RECOVERY_CODE, form.recovery_code)
    return Answer("code", form.code)

"""The pages that mailed links open, for applications without a front end. Their texts are in `pages/`.

They have no script and load nothing from other sites. A form posts to the URL it was opened at, so the page
does not contain the token. These pages are not used if VERIFY_URL, RESET_URL, EMAIL_CHANGE_URL and
INVITATION_URL point to your front end.
"""

from pathlib import Path

from hawkapi.responses.response import Response

from app.web.html import Pages

_pages = Pages(Path(__file__).parent.parent / "pages")


def verify_form(*, with_password: bool, problem: str = "") -> Response:
    """*with_password*: the account was created in another browser, perhaps by another person."""
    status = 400 if problem else 200
    return _pages.response("verify.html", status=status, with_password=with_password, problem=problem)


def verified(email: str) -> Response:
    return _pages.response("verified.html", email=email)


def invitation_form(email: str, min_length: int) -> Response:
    return _pages.response("invitation.html", email=email, min_length=min_length)


def account_was_made(email: str) -> Response:
    return _pages.response("account_made.html", email=email, status=201)


def new_password_form(min_length: int) -> Response:
    return _pages.response("new_password.html", min_length=min_length)


def another_password_form(min_length: int, problem: str) -> Response:
    """Used by both forms that set a password. They post to the URL they were opened at."""
    return _pages.response("new_password.html", status=400, min_length=min_length, problem=problem)


def password_was_set() -> Response:
    return _pages.response("password_set.html")


def password_again(problem: str) -> Response:
    """Used by both forms that ask for the account's password. They post to the URL they were opened at."""
    return _pages.response("current_password.html", status=400, problem=problem)


def email_change_form(problem: str = "") -> Response:
    return _pages.response("email_change.html", status=400 if problem else 200, problem=problem)


def email_was_changed(email: str) -> Response:
    return _pages.response("email_changed.html", email=email)


def dead_link() -> Response:
    return _pages.response("dead_link.html", status=400)


def try_later(problem: str, headers: dict[str, str]) -> Response:
    return _pages.response("try_later.html", status=429, headers=headers, problem=problem)

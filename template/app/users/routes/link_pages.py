"""The pages that e-mailed links open, for applications without a separate front end.

They have no scripts and load nothing from other sites. Their templates are in `app/users/pages/`. A form
posts to the URL it was opened at, so the page does not contain the token. If `app/pages` is installed, a
successful submission redirects to a page with a message, so reloading does not submit the form again. These
pages are not used if VERIFY_URL, RESET_URL, EMAIL_CHANGE_URL and INVITATION_URL point to your front end.
"""

from hawkapi import Request
from hawkapi.responses.response import Response

from app.users.routes.links import link_kind
from app.web.framework.application import services_of_request
from app.web.html import html_page


def verify_form(request: Request, email: str, *, with_password: bool, problem: str = "") -> Response:
    """*with_password*: whether to ask for the password, because someone else may have created the account in
    a different browser."""
    return html_page(
        request,
        "verify.html",
        status=400 if problem else 200,
        email=email,
        with_password=with_password,
        problem=problem,
    )


def verified(request: Request, email: str, *, password_was_kept: bool) -> Response:
    message = "email_verified" if password_was_kept else "email_verified_new_password"
    return shown_once(request, message) or html_page(
        request, "verified.html", email=email, password_was_kept=password_was_kept
    )


def invitation_form(request: Request, email: str, min_length: int, problem: str = "") -> Response:
    return html_page(
        request,
        "invitation.html",
        status=400 if problem else 200,
        email=email,
        min_length=min_length,
        problem=problem,
    )


def account_was_made(request: Request, email: str) -> Response:
    return shown_once(request, "account_made") or html_page(
        request, "account_made.html", email=email, status=201
    )


def new_password_form(request: Request, email: str, min_length: int, problem: str = "") -> Response:
    return html_page(
        request,
        "new_password.html",
        status=400 if problem else 200,
        email=email,
        min_length=min_length,
        problem=problem,
    )


def password_was_set(request: Request, email: str) -> Response:
    return shown_once(request, "password_set") or html_page(request, "password_set.html", email=email)


def password_again(request: Request, problem: str) -> Response:
    """The form that asks for the account's password again. It posts to the URL it was opened at."""
    return html_page(request, "current_password.html", status=400, problem=problem)


def email_change_form(request: Request, problem: str = "") -> Response:
    return html_page(request, "email_change.html", status=400 if problem else 200, problem=problem)


def email_was_changed(request: Request, email: str) -> Response:
    return shown_once(request, "email_changed") or html_page(request, "email_changed.html", email=email)


def dead_link(request: Request) -> Response:
    """The page for a dead link. For verification and password reset, it has a form to request a new link."""
    prefix = services_of_request(request).settings.users_prefix
    kind = link_kind(request)
    action = f"{prefix}/{kind}/request" if kind in ("verify", "password-reset") else ""
    return html_page(request, "dead_link.html", status=400, action=action, kind=kind)


def link_is_sent(request: Request, email: str) -> Response:
    return shown_once(request, "check_mail") or html_page(request, "link_sent.html", email=email, status=202)


def try_later(request: Request, problem: str, headers: dict[str, str]) -> Response:
    return html_page(request, "try_later.html", status=429, headers=headers, problem=problem)


def shown_once(request: Request, message: str) -> Response | None:
    """A redirect to a page that shows *message*, or None if the application has no such page."""
    message_page = request.scope["app"].message_page
    return message_page(request, message) if message_page is not None else None

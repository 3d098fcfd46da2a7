"""Turns the users module's exceptions into responses, in one place instead of in every route."""

from typing import Any

from hawkapi import Request
from hawkapi.responses.response import Response

from app import i18n
from app.i18n import N_
from app.limits import too_many
from app.users.cookies import give_login_key
from app.users.dependencies import resolve_user_manager
from app.users.exceptions import (
    AccountDisabled,
    AccountInUse,
    HashingBusy,
    InactiveUser,
    InvalidCredentials,
    InvalidEmail,
    InvalidPassword,
    LastSuperuser,
    MailExpired,
    NoSuchInvitation,
    NoSuchMail,
    NoSuchSession,
    NoSuchUser,
    OwnerRequired,
    RegistrationClosed,
    SecondFactorRequired,
    SessionEnded,
    TokenError,
    TooManyRequests,
    UnknownLanguage,
    UserAlreadyExists,
    WrongPassword,
)
from app.users.manager import UserManager
from app.users.refusals import note_refusal
from app.users.routes import link_pages
from app.web import App, FieldError, Problem
from app.web.csrf import CrossSiteRequest
from app.web.framework.parameters import sent_by_form
from app.web.problems import problem_response

# Your own imports go below; template updates never touch them.
# isort: split

WRONG = N_("The e-mail address or the password is wrong.")
WRONG_OR_UNVERIFIED = N_(
    "The e-mail address or the password is wrong, or the e-mail address is not verified yet."
)


def wrong_credentials(users: UserManager | None) -> str:
    """The message for every refused login, marked with `N_`. It must not depend on the account, because a
    difference would reveal which addresses have an account."""
    return WRONG_OR_UNVERIFIED if users is not None and users.must_verify else WRONG


def install_error_handlers(app: App) -> None:
    """Register the exception handlers below with *app*."""

    @app.exception_handler(UserAlreadyExists)
    async def taken(request: Request, error: UserAlreadyExists) -> Response:
        return Problem(409, "This e-mail address already has an account.", code=error.code).to_response()

    @app.exception_handler(InvalidCredentials)
    @app.exception_handler(InactiveUser)
    async def refused(request: Request, error: InvalidCredentials | InactiveUser) -> Response:
        return Problem(
            401,
            wrong_credentials(resolve_user_manager(app)),
            code=error.code,
            headers={"WWW-Authenticate": "Bearer"},
        ).to_response()

    @app.exception_handler(SecondFactorRequired)
    async def second_factor(request: Request, error: SecondFactorRequired) -> Response:
        members: dict[str, Any] = {"methods": error.methods}
        if not error.ticket:
            code = "confirm_with_second_factor"
            return problem_response(403, str(error), code=code, members=members)
        give_login_key(request, error.ticket, error.browser_key)
        return problem_response(401, str(error), code=error.code, members=members | {"ticket": error.ticket})

    @app.exception_handler(InvalidEmail)
    async def invalid_email(request: Request, error: InvalidEmail) -> Response:
        return _invalid(error, error.code)

    @app.exception_handler(InvalidPassword)
    async def invalid_password(request: Request, error: InvalidPassword) -> Response:
        return _invalid(error, error.reason)

    @app.exception_handler(UnknownLanguage)
    async def unknown_language(request: Request, error: UnknownLanguage) -> Response:
        return _invalid(error, error.code)

    @app.exception_handler(WrongPassword)
    async def wrong_password(request: Request, error: WrongPassword) -> Response:
        # The status is not 401, because a client would then discard the session, which is still valid.
        if sent_by_form(request):
            return link_pages.password_again(request, str(error))
        return _invalid(error, error.code)

    @app.exception_handler(OwnerRequired)
    async def owner_required(request: Request, error: OwnerRequired) -> Response:
        if sent_by_form(request):
            return link_pages.email_change_form(request, i18n.gettext("Enter your password."))
        return Problem(400, str(error), code=error.code).to_response()

    @app.exception_handler(SessionEnded)
    async def session_ended(request: Request, error: SessionEnded) -> Response:
        return Problem(
            401,
            "The session has ended. Log in again.",
            code=error.code,
            headers={"WWW-Authenticate": "Bearer"},
        ).to_response()

    @app.exception_handler(AccountDisabled)
    @app.exception_handler(LastSuperuser)
    @app.exception_handler(AccountInUse)
    @app.exception_handler(MailExpired)
    async def not_now(
        request: Request, error: AccountDisabled | LastSuperuser | AccountInUse | MailExpired
    ) -> Response:
        return Problem(409, str(error), code=error.code).to_response()

    @app.exception_handler(RegistrationClosed)
    async def closed(request: Request, error: RegistrationClosed) -> Response:
        return Problem(403, str(error), code=error.code).to_response()

    @app.exception_handler(TooManyRequests)
    async def too_often(request: Request, error: TooManyRequests) -> Response:
        problem = too_many(error.seconds, detail=str(error))
        if sent_by_form(request):
            return link_pages.try_later(request, problem.detail, problem.headers or {})
        return problem.to_response()

    @app.exception_handler(NoSuchInvitation)
    @app.exception_handler(NoSuchMail)
    @app.exception_handler(NoSuchUser)
    @app.exception_handler(NoSuchSession)
    async def not_found(request: Request, error: ValueError) -> Response:
        return Problem(404, str(error)).to_response()

    @app.exception_handler(TokenError)
    async def dead_link(request: Request, error: TokenError) -> Response:
        if request.method == "POST":
            # Only POST requests are recorded: mail scanners and people may open the same link many times.
            await note_refusal(request, resolve_user_manager(app), "link_refused", "link")
        if sent_by_form(request) or request.method == "GET":
            return link_pages.dead_link(request)
        return Problem(
            400,
            "The link no longer works: it has expired or has already been used. Request a new link.",
            code="invalid_link",
        ).to_response()

    @app.exception_handler(CrossSiteRequest)
    async def cross_site(request: Request, error: CrossSiteRequest) -> Response:
        await note_refusal(request, resolve_user_manager(app), "cross_site_refused", "cookie")
        return error.to_response()

    @app.exception_handler(HashingBusy)
    async def busy(request: Request, error: HashingBusy) -> Response:
        return Problem(
            503,
            "Too many passwords are being checked at the moment. Try again in a few seconds.",
            code=error.code,
            headers={"Retry-After": "2"},
        ).to_response()

    _ = (taken, refused, invalid_email, invalid_password, unknown_language, wrong_password, owner_required)
    _ = (session_ended, not_now, not_found, dead_link, cross_site, busy, closed, too_often)

    # Your own answers go below; template updates never touch them.


def _invalid(
    error: InvalidEmail | InvalidPassword | UnknownLanguage | WrongPassword, reason: str
) -> Response:
    errors = [FieldError(error.field, str(error), reason)]
    return Problem(400, str(error), code=error.code, errors=errors).to_response()

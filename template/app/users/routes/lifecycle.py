"""Verify the e-mail address, reset the password, and accept an invitation. The rules are in the manager.

`app/users/routes/error_handlers.py` turns the manager's exceptions into responses. The transaction is
committed when a handler returns and rolled back when it raises (`app/database/__init__.py`).
"""

from typing import Annotated

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.database import Db
from app.users.cookies import device_cookie, remember_browser
from app.users.dependencies import OptionalLogin, Users, before_setup, limited_by
from app.users.exceptions import InvalidPassword, WrongPassword
from app.users.routes import link_pages
from app.users.routes.errors import BUSY, CROSS_SITE, EMAIL_TAKEN, INVALID_LINK, WEAK_PASSWORD, WRONG_PASSWORD
from app.users.routes.links import (
    forget_token,
    mailed_link,
    move_token_to_cookie,
    token_of,
    token_of_cookie,
)
from app.users.schemas import (
    Accepted,
    AcceptInvitation,
    EmailRequest,
    PasswordReset,
    PublicUser,
    VerifyEmail,
    public,
)
from app.web import FromForm, responds
from app.web.framework.parameters import sent_by_form

# Your own imports go below; template updates never touch them.
# isort: split

router = Router(tags=["users"])


@router.post(
    "/verify/request",
    status_code=202,
    response_model=Accepted,
    dependencies=[limited_by("request_verify")],
)
async def request_verify(
    request: Request, body: Annotated[EmailRequest, FromForm()], users: Users, db: Db
) -> Accepted | Response:
    """Request a new verification link

    Always returns 202, whether or not the account exists.
    """
    await users.request_verify(db, email=body.email)
    return link_pages.link_is_sent(request, body.email) if sent_by_form(request) else Accepted()


@router.get("/verify/{token}", include_in_schema=False)
@before_setup
async def verify_page(request: Request, login: OptionalLogin, token: str, users: Users, db: Db) -> Response:
    """The page that the e-mailed link opens. Opening the link must not change anything, because mail scanners
    open every link."""
    user = await users.check_verify_token(db, token=token)
    is_known = users.is_known_browser(device_cookie(request), user)
    is_theirs = is_known or (login is not None and login.user.id == user.id)
    return link_pages.verify_form(request, user.email, with_password=not is_theirs)


@mailed_link(router, "/verify", limit="verify")
@responds(INVALID_LINK, WRONG_PASSWORD, BUSY)
@before_setup
async def verify(
    request: Request,
    login: OptionalLogin,
    users: Users,
    db: Db,
    body: Annotated[VerifyEmail, FromForm()] = VerifyEmail(),  # noqa: B008 - never changed
) -> PublicUser | Response:
    """Verify the e-mail address that the token was sent to

    Send the token from the browser that created the account, while logged in as the account's owner, or with
    the account's password. Otherwise, someone else may have created the account, so the password stops
    working, every session ends and a link to set a new password is e-mailed.
    """
    token = token_of(request, body.token)
    try:
        user = await users.verify(
            db,
            token=token,
            login=login and login.user,
            password=body.password,
            browser=device_cookie(request),
        )
    except WrongPassword as error:
        if not sent_by_form(request):
            raise
        account = await users.check_verify_token(db, token=token)
        return link_pages.verify_form(request, account.email, with_password=True, problem=str(error))
    if not sent_by_form(request):
        return public(user)
    kept = users.password_was_kept(user, token=token)
    return link_pages.verified(request, user.email, password_was_kept=kept)


@router.post(
    "/password-reset/request",
    status_code=202,
    response_model=Accepted,
    dependencies=[limited_by("request_password_reset")],
)
async def request_password_reset(
    request: Request, body: Annotated[EmailRequest, FromForm()], users: Users, db: Db
) -> Accepted | Response:
    """Request a link to set a new password

    Always returns 202, whether or not the account exists.
    """
    await users.request_password_reset(db, email=body.email)
    return link_pages.link_is_sent(request, body.email) if sent_by_form(request) else Accepted()


@router.get("/password-reset/{token}", include_in_schema=False)
async def password_reset_link(request: Request, token: str, users: Users) -> Response:
    """Move the token from the e-mailed link into a cookie, and redirect to the form. As with `verify_page`,
    opening the link changes nothing."""
    users.tokens.peek_reset_token_sub(token)
    return move_token_to_cookie(request, token)


@router.get("/password-reset", include_in_schema=False)
async def password_reset_page(request: Request, users: Users, db: Db) -> Response:
    """The form that sets a new password."""
    user = await users.check_reset_token(db, token=token_of_cookie(request))
    return link_pages.new_password_form(request, user.email, users.password_min_length)


@mailed_link(router, "/password-reset", limit="reset_password")
@responds(INVALID_LINK, WEAK_PASSWORD, CROSS_SITE, BUSY)
async def reset_password(
    request: Request, body: Annotated[PasswordReset, FromForm()], users: Users, db: Db
) -> PublicUser | Response:
    """Set a new password

    The token works only once and does not log you in. Every session ends, and all earlier tokens stop
    working.
    """
    token = token_of(request, body.token)
    try:
        user = await users.reset_password(db, token=token, new_password=body.password)
    except InvalidPassword as error:
        if not sent_by_form(request):
            raise
        account = await users.check_reset_token(db, token=token)
        return link_pages.new_password_form(request, account.email, users.password_min_length, str(error))
    remember_browser(request, users, user)
    forget_token(request)
    return link_pages.password_was_set(request, user.email) if sent_by_form(request) else public(user)


# Invitations


@router.get("/invitation/{token}", include_in_schema=False)
async def invitation_link(request: Request, token: str, users: Users, db: Db) -> Response:
    """Like `password_reset_link`, but for an invitation."""
    await users.invitations.of_token(db, token)
    return move_token_to_cookie(request, token)


@router.get("/invitation", include_in_schema=False)
async def invitation_page(request: Request, users: Users, db: Db) -> Response:
    """The form that creates the account."""
    invitation = await users.invitations.of_token(db, token_of_cookie(request))
    return link_pages.invitation_form(request, invitation.email, users.password_min_length)


@mailed_link(router, "/invitation", limit="accept_invitation", status_code=201)
@responds(INVALID_LINK, WEAK_PASSWORD, EMAIL_TAKEN, CROSS_SITE, BUSY)
async def accept_invitation(
    request: Request, body: Annotated[AcceptInvitation, FromForm()], users: Users, db: Db
) -> PublicUser | Response:
    """Accept an invitation and create the account

    The e-mail address counts as verified, because the link was sent to it.
    """
    told = msgspec.structs.asdict(body) | {"token": token_of(request, body.token)}
    try:
        user = await users.accept_invitation(db, **told)
    except InvalidPassword as error:
        if not sent_by_form(request):
            raise
        email = (await users.invitations.of_token(db, told["token"])).email
        return link_pages.invitation_form(request, email, users.password_min_length, str(error))
    remember_browser(request, users, user)
    forget_token(request)
    return link_pages.account_was_made(request, user.email) if sent_by_form(request) else public(user)


# Your own routes go below; template updates never touch them.

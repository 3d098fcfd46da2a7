"""Read, export, change and delete your own account. The rules are in the manager."""

from typing import Annotated

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.database import Db, separate_transaction, services_of_session
from app.users.audit import record
from app.users.cookies import (
    device_cookie,
    give_cookie,
    keeping_browser_known,
    remember_browser,
    session_cookie,
    take_cookie,
)
from app.users.dependencies import (
    CurrentLogin,
    CurrentUser,
    OptionalLogin,
    RecentLogin,
    StillLoggedIn,
    Users,
    limited_by,
)
from app.users.export import everything_about
from app.users.routes import link_pages
from app.users.routes.errors import (
    ACCOUNT_IN_USE,
    BUSY,
    INVALID_EMAIL,
    INVALID_LINK,
    LAST_SUPERUSER,
    PASSWORD_REQUIRED,
    SESSION_ENDED,
    UNKNOWN_LANGUAGE,
    WEAK_PASSWORD,
    WRONG_PASSWORD,
)
from app.users.routes.links import mailed_link, token_of
from app.users.routes.sessions import tokens_for
from app.users.schemas import (
    Accepted,
    ChangeEmail,
    EmailChange,
    Export,
    PasswordChange,
    PasswordChanged,
    ProfileUpdate,
    PublicUser,
    given,
    public,
)
from app.users.sessions import COOKIE
from app.web import FromForm, responds
from app.web.framework.parameters import sent_by_form
from app.web.streaming import JSONStream

# Your own imports go below; template updates never touch them.
# isort: split

router = Router(tags=["account"])


@router.get("/me", status_code=200)
async def me(user: CurrentUser) -> PublicUser:
    """Get your account"""
    return public(user)


@router.patch("/me", status_code=200, dependencies=[limited_by("update_profile")])
@responds(UNKNOWN_LANGUAGE)
async def update_me(
    user: CurrentUser, body: ProfileUpdate, still: StillLoggedIn, users: Users, db: Db
) -> PublicUser:
    """Change your profile

    Omitted fields keep their values. Any other fields, such as is_superuser, are ignored.
    """
    return public(await users.update_profile(db, user, **given(body)))


@router.delete("/me", status_code=204)
@responds(LAST_SUPERUSER, ACCOUNT_IN_USE)
async def delete_me(request: Request, recent: RecentLogin, user: CurrentUser, users: Users, db: Db) -> None:
    """Delete your account

    The account is deleted immediately, or after DELETION_GRACE_DAYS days. Logging in before then cancels the
    deletion.
    """
    with keeping_browser_known(request, users, user):
        await users.request_delete(db, user)
    if session_cookie(request) is not None:
        take_cookie(request)


@router.get("/me/export", status_code=200, response_model=Export, dependencies=[limited_by("export")])
async def export(recent: RecentLogin, user: CurrentUser, db: Db) -> JSONStream:
    """Export all data stored about you"""
    # Record the export before the first byte is sent: after that, the request can no longer be rejected.
    async with separate_transaction(db) as own:
        record(own, "export", user.id)
    return JSONStream(everything_about(services_of_session(db), user))


@router.post("/me/password", status_code=200, dependencies=[limited_by("change_password")])
@responds(WRONG_PASSWORD, WEAK_PASSWORD, BUSY)
async def change_password(
    request: Request, login: CurrentLogin, body: PasswordChange, users: Users, db: Db
) -> PasswordChanged:
    """Change your password

    Every other session ends and every e-mailed link stops working. This session continues with new tokens or
    a new cookie.
    """
    issued = await users.change_password(
        db,
        login.user,
        login.session,
        current_password=body.current_password,
        new_password=body.new_password,
    )
    tokens = {}
    if issued.session.kind == COOKIE:
        give_cookie(request, issued)
    else:
        tokens = msgspec.structs.asdict(tokens_for(users, issued))
    remember_browser(request, users, issued.user)
    return msgspec.convert(msgspec.structs.asdict(public(issued.user)) | tokens, PasswordChanged)


@router.post("/me/email", status_code=202, dependencies=[limited_by("request_email_change")])
@responds(INVALID_EMAIL)
async def request_email_change(
    recent: RecentLogin,
    user: CurrentUser,
    body: EmailChange,
    still: StillLoggedIn,
    users: Users,
    db: Db,
) -> Accepted:
    """Request a change of e-mail address

    A link is e-mailed to the new address. Nothing changes until the link is used. A notice is e-mailed to the
    current address.
    """
    await users.request_email_change(db, user, new_email=body.new_email)
    return Accepted()


@router.get("/email-change/{token}", include_in_schema=False)
async def email_change_page(request: Request, token: str, users: Users) -> Response:
    """The page that the e-mailed link opens. Opening the link must not change anything, because mail scanners
    open every link."""
    users.tokens.peek_email_change_token_sub(token)
    return link_pages.email_change_form(request)


@mailed_link(router, "/email-change", limit="change_email")
@responds(INVALID_LINK, WRONG_PASSWORD, PASSWORD_REQUIRED, SESSION_ENDED, BUSY)
async def change_email(
    request: Request,
    login: OptionalLogin,
    users: Users,
    db: Db,
    body: Annotated[ChangeEmail, FromForm()] = ChangeEmail(),  # noqa: B008 - never changed
) -> PublicUser | Response:
    """Confirm a new e-mail address with the e-mailed token

    Send the token while logged in as the owner, or together with the account's password.
    """
    user = await users.change_email(
        db,
        token=token_of(request, body.token),
        login=(login.user, login.session) if login is not None else None,
        password=body.password,
        browser=device_cookie(request),
    )
    remember_browser(request, users, user)
    return link_pages.email_was_changed(request, user.email) if sent_by_form(request) else public(user)


# Your own routes go below; template updates never touch them.

"""Change the e-mail address and the password."""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.forms import REFUSALS, EmailChangeForm, PasswordChangeForm, show_again
from app.pages.navigation import RecentlySignedIn, SignedIn, redirect
from app.pages.routing import PageRouter
from app.users import Users
from app.users.cookies import give_cookie, remember_browser
from app.users.dependencies import StillLoggedIn, limited_by
from app.web import FromForm
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/account/email")
async def email_page(login: RecentlySignedIn, request: Request) -> Response:
    return html_page(request, "change_email.html", account=login.user, new_email="", errors={})


@router.post("/account/email", dependencies=[limited_by("request_email_change")])
async def request_email_change(
    login: RecentlySignedIn,
    request: Request,
    form: Annotated[EmailChangeForm, FromForm()],
    still: StillLoggedIn,
    users: Users,
    db: Db,
) -> Response:
    """E-mail a link to the new address. The account does not change until the link is used."""
    try:
        await users.request_email_change(db, login.user, new_email=form.new_email)
    except REFUSALS as error:
        return show_again(request, "change_email.html", form, error, account=login.user)
    return redirect(request, "/account", message="confirm_new_email")


@router.get("/account/password")
async def password_page(login: SignedIn, request: Request, users: Users) -> Response:
    return html_page(
        request,
        "change_password.html",
        account=login.user,
        min_length=users.password_min_length,
        errors={},
    )


@router.post("/account/password", dependencies=[limited_by("change_password")])
async def change_password(
    login: SignedIn, request: Request, form: Annotated[PasswordChangeForm, FromForm()], users: Users, db: Db
) -> Response:
    """Set the new password. All other sessions end, and this one gets a new cookie."""
    try:
        issued = await users.change_password(
            db,
            login.user,
            login.session,
            current_password=form.current_password,
            new_password=form.new_password,
        )
    except REFUSALS as error:
        values = {"account": login.user, "min_length": users.password_min_length}
        return show_again(request, "change_password.html", form, error, **values)
    give_cookie(request, issued)
    remember_browser(request, users, issued.user)
    return redirect(request, "/account", message="password_changed")

"""Log in and out, and confirm the password.

If the account has a second factor, the next page comes from the feature that set
`UserManager.second_factors`.
"""

from typing import Annotated

from hawkapi import Depends, Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.forms import REFUSALS, LoginForm, PasswordForm, show_again
from app.pages.logging_in import ask_for_factor, enter
from app.pages.navigation import SignedIn, Visitor, own_path, redirect, with_next
from app.pages.routing import PageRouter
from app.users import Users
from app.users.cookies import (
    cancel_login,
    device_cookie,
    give_cookie,
    session_cookie,
    take_cookie,
)
from app.users.dependencies import before_setup, limited_by, within_wrong_passwords
from app.users.exceptions import SecondFactorRequired
from app.users.routes.sessions import CLEARED
from app.web import FromForm
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/login")
async def login_page(visitor: Visitor, request: Request, next: str = "") -> Response:
    if visitor is not None:
        return redirect(request, own_path(next))
    return html_page(request, "login.html", cache=True, email="", next=own_path(next), errors={})


@router.post("/login", dependencies=[limited_by("login_with_cookie"), Depends(within_wrong_passwords)])
async def log_in(
    visitor: Visitor, request: Request, form: Annotated[LoginForm, FromForm()], users: Users, db: Db
) -> Response:
    """Start a session and set its cookie. The browser's previous session ends."""
    try:
        issued = await users.log_in(
            db,
            email=form.email,
            password=form.password,
            kind="cookie",
            remember=bool(form.remember),
            replaces=session_cookie(request),
            browser=device_cookie(request),
        )
    except SecondFactorRequired as required:
        return ask_for_factor(request, required, form.next)
    except REFUSALS as error:
        return show_again(request, "login.html", form, error, next=own_path(form.next))
    return enter(request, users, issued, form.next)


@router.post("/logout")
@before_setup
async def log_out(visitor: Visitor, request: Request, users: Users, db: Db) -> Response:
    await cancel_login(request, users, db)
    if visitor is not None:
        await users.log_out(db, visitor.user, visitor.session)
    if session_cookie(request) is not None:
        take_cookie(request)
    return redirect(request, "/", message="logged_out", headers=CLEARED)


@router.get("/confirm")
@before_setup
async def confirmation_page(
    login: SignedIn, request: Request, users: Users, db: Db, next: str = ""
) -> Response:
    if await users.factor_methods_of(db, login.user):
        return redirect(request, with_next("/confirm/second-factor", next))
    return html_page(request, "confirm.html", email=login.user.email, next=own_path(next), errors={})


@router.post("/confirm", dependencies=[limited_by("confirm")])
@before_setup
async def confirm(
    login: SignedIn, request: Request, form: Annotated[PasswordForm, FromForm()], users: Users, db: Db
) -> Response:
    """Check the password again, so that the login counts as recent."""
    try:
        issued = await users.confirm(db, login.user, login.session, password=form.password)
    except SecondFactorRequired:
        return redirect(request, with_next("/confirm/second-factor", form.next))
    except REFUSALS as error:
        values = {"email": login.user.email, "next": own_path(form.next)}
        return show_again(request, "confirm.html", form, error, **values)
    if issued is not None:
        give_cookie(request, issued)
    return redirect(request, own_path(form.next))

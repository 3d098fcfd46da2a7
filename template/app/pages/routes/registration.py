"""Register, and request a new verification link."""

from typing import Annotated

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.forms import (
    REFUSALS,
    EmailForm,
    RegistrationForm,
    new_account,
    show_again,
    taken_values_as_errors,
)
from app.pages.navigation import Visitor, redirect
from app.pages.routing import PageRouter
from app.users import Users
from app.users.cookies import remember_browser
from app.users.dependencies import before_setup, limited_by
from app.web import FromForm
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/register")
async def registration_page(visitor: Visitor, request: Request, users: Users) -> Response:
    empty = msgspec.structs.asdict(RegistrationForm())
    return html_page(
        request, "register.html", cache=True, **empty, errors={}, min_length=users.password_min_length
    )


@router.post("/register", dependencies=[limited_by("register")])
async def register(
    visitor: Visitor, request: Request, form: Annotated[RegistrationForm, FromForm()], users: Users, db: Db
) -> Response:
    """Create the account. With REGISTRATION=private, the response is the same even if the address is
    taken."""
    try:
        with taken_values_as_errors():
            user = await users.register(db, **new_account(form))
    except REFUSALS as error:
        return show_again(request, "register.html", form, error, min_length=users.password_min_length)
    # With REGISTRATION=private, a known browser's rate limits would reveal whether the account is new.
    remember_browser(request, users, None if users.registration == "private" else user)
    return redirect(request, "/login", message="registered")


@router.get("/verify")
@before_setup
async def verification_request_page(visitor: Visitor, request: Request) -> Response:
    """The form for requesting a new verification e-mail."""
    email = visitor.user.email if visitor is not None else ""
    return html_page(request, "request_link.html", email=email, errors={})


@router.post("/verify", dependencies=[limited_by("request_verify")])
@before_setup
async def request_verification(
    visitor: Visitor, request: Request, form: Annotated[EmailForm, FromForm()], users: Users, db: Db
) -> Response:
    """E-mail the link. The response is the same whether or not the account exists."""
    await users.request_verify(db, email=form.email)
    if visitor is not None:
        return redirect(request, "/account", message="link_sent")
    return redirect(request, "/login", message="check_mail")

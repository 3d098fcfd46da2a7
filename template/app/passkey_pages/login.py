"""Log in with a passkey instead of a password."""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.logging_in import enter
from app.pages.navigation import Visitor, own_path, redirect
from app.pages.routing import PageRouter
from app.passkeys.passkeys import PasskeyRefused
from app.passkeys.routes import PASSKEY, ThePasskeys, key_of
from app.users import Users
from app.users.cookies import session_cookie, take_login_key
from app.users.dependencies import limited_by
from app.users.schemas import Secret
from app.users.sessions import COOKIE
from app.web import FromForm
from app.web.html import html_page

router = PageRouter()


class PasskeyForm(Secret):
    """*credential*: the browser's response, as JSON."""

    credential: str = ""
    next: str = ""
    remember: str = ""


@router.get("/login/passkey")
async def login_page(visitor: Visitor, request: Request) -> Response:
    # Browsers may open this URL again, for example after the language is changed.
    return redirect(request, "/login")


@router.post("/login/passkey", dependencies=[limited_by("passkey_login")])
async def log_in(
    visitor: Visitor,
    request: Request,
    form: Annotated[PasskeyForm, FromForm()],
    passkeys: ThePasskeys,
    users: Users,
    db: Db,
) -> Response:
    """Start a session and set its cookie. The browser's previous session ends."""
    try:
        issued = await passkeys.log_in(
            db,
            form.credential,
            key=key_of(request),
            kind=COOKIE,
            remember=bool(form.remember),
            replaces=session_cookie(request),
        )
    except PasskeyRefused as error:
        errors = {"": str(error)}
        return html_page(request, "login.html", status=400, email="", next=own_path(form.next), errors=errors)
    take_login_key(request, name=PASSKEY)
    return enter(request, users, issued, form.next)

"""Request a code by e-mail, and log in with it.

The request's id and key exist only in a cookie that scripts cannot read.
"""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.email_login import LoginCodeRefused
from app.email_login.login_codes import Answer
from app.email_login.routes import LOGIN_CODE, AllLoginCodes
from app.email_login_pages.forms import CodeForm, RequestForm
from app.pages.logging_in import ask_for_factor, enter
from app.pages.navigation import Visitor, own_path, redirect, with_next
from app.pages.routing import PageRouter
from app.users import Users
from app.users.cookies import give_login_key, login_key, session_cookie, take_login_key
from app.users.dependencies import limited_by
from app.users.exceptions import SecondFactorRequired
from app.users.sessions import COOKIE
from app.web import FromForm
from app.web.html import html_page

router = PageRouter()

PAGE = "/login/email"
CODE = f"{PAGE}/code"


@router.get(PAGE)
async def request_page(visitor: Visitor, request: Request, next: str = "") -> Response:
    if visitor is not None:
        return redirect(request, own_path(next))
    return html_page(request, "email_login/request.html", cache=True, next=own_path(next), errors={})


@router.post(PAGE, dependencies=[limited_by("request_login_code")])
async def request_code(
    visitor: Visitor, request: Request, form: Annotated[RequestForm, FromForm()], codes: AllLoginCodes, db: Db
) -> Response:
    """E-mail the code. The response is the same whether or not the account exists."""
    request_id, key = await codes.request(db, email=form.email)
    give_login_key(request, request_id, key, name=LOGIN_CODE)
    return redirect(request, with_next(CODE, form.next))


@router.get(CODE)
async def code_page(visitor: Visitor, request: Request, next: str = "") -> Response:
    if visitor is not None:
        return redirect(request, own_path(next))
    if not login_key(request, name=LOGIN_CODE)[0]:
        return redirect(request, with_next(PAGE, next))
    return _ask(request, CodeForm(next=next))


@router.post(CODE, dependencies=[limited_by("login_code")])
async def log_in(
    visitor: Visitor,
    request: Request,
    form: Annotated[CodeForm, FromForm()],
    codes: AllLoginCodes,
    users: Users,
    db: Db,
) -> Response:
    """Start a session and set its cookie. Only the browser that requested the code can use it."""
    request_id, key = login_key(request, name=LOGIN_CODE)
    try:
        issued = await codes.log_in(
            db,
            Answer(request_id, key, form.code, COOKIE),
            remember=bool(form.remember),
            replaces=session_cookie(request),
        )
    except SecondFactorRequired as required:
        take_login_key(request, name=LOGIN_CODE)
        return ask_for_factor(request, required, form.next)
    except LoginCodeRefused as error:
        # Do not redisplay the code: it may be the correct code with a typo.
        return _ask(request, form, errors={"code": str(error)})
    take_login_key(request, name=LOGIN_CODE)
    return enter(request, users, issued, form.next)


def _ask(request: Request, form: CodeForm, errors: dict[str, str] | None = None) -> Response:
    return html_page(
        request,
        "email_login/code.html",
        status=400 if errors else 200,
        next=own_path(form.next),
        remember=form.remember,
        errors=errors or {},
    )

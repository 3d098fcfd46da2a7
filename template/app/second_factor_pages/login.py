"""Give a second factor: to finish a login, and to confirm."""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.logging_in import enter
from app.pages.navigation import SignedIn, Visitor, own_path, redirect, with_next
from app.pages.routing import PageRouter
from app.second_factor_pages.forms import AnswerForm, answer_of
from app.second_factors import WrongFactor
from app.second_factors.factors import LoginExpired, Ticket
from app.second_factors.routes import AllFactors
from app.users import Users
from app.users.cookies import give_cookie, login_key, session_cookie, take_login_key
from app.users.dependencies import limited_by
from app.users.sessions import COOKIE
from app.web import FromForm
from app.web.html import html_page

router = PageRouter()


@router.get("/login/second-factor")
async def login_page(visitor: Visitor, request: Request, next: str = "") -> Response:
    ticket, _ = login_key(request)
    if ticket:
        return html_page(request, "second_factors/login.html", next=own_path(next), errors={})
    if visitor is not None:
        return redirect(request, own_path(next))
    return _begin_again(request, next)


@router.post("/login/second-factor", dependencies=[limited_by("second_factor")])
async def finish_login(
    visitor: Visitor,
    request: Request,
    form: Annotated[AnswerForm, FromForm()],
    factors: AllFactors,
    users: Users,
    db: Db,
) -> Response:
    """Begin the session and set its cookie. Only the browser that gave the password has the ticket."""
    ticket, key = login_key(request)
    try:
        issued = await factors.finish_login(
            db, Ticket(ticket, key, COOKIE), answer_of(form), replaces=session_cookie(request)
        )
    except WrongFactor as error:
        return _ask_again(request, "second_factors/login.html", form, error)
    except LoginExpired:
        take_login_key(request)
        return _begin_again(request, form.next)
    take_login_key(request)
    return enter(request, users, issued, form.next)


@router.get("/confirm/second-factor")
async def confirmation_page(
    login: SignedIn, request: Request, users: Users, db: Db, next: str = ""
) -> Response:
    if not await users.factor_methods_of(db, login.user):
        return redirect(request, with_next("/confirm", next))
    return html_page(request, "second_factors/confirm.html", next=own_path(next), errors={})


@router.post("/confirm/second-factor", dependencies=[limited_by("second_factor")])
async def confirm(
    login: SignedIn, request: Request, form: Annotated[AnswerForm, FromForm()], factors: AllFactors, db: Db
) -> Response:
    """Check a second factor again, so that the session counts as recently logged in."""
    try:
        issued = await factors.confirm(db, login.user, login.session, answer_of(form))
    except WrongFactor as error:
        return _ask_again(request, "second_factors/confirm.html", form, error)
    if issued is not None:
        give_cookie(request, issued)
    return redirect(request, own_path(form.next))


def _begin_again(request: Request, next: str) -> Response:
    return redirect(request, with_next("/login", next), message="login_expired")


def _ask_again(request: Request, template: str, form: AnswerForm, error: WrongFactor) -> Response:
    """The form without the code: it may be a right one with a typing error."""
    errors = {answer_of(form).method: str(error)}
    return html_page(request, template, status=400, next=own_path(form.next), errors=errors)

"""Ask for a second factor to finish or confirm a login.

Each page shows a form for each factor that the account has set up (`parts.py`).
"""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.pages.logging_in import enter
from app.pages.navigation import SignedIn, Visitor, own_path, redirect, with_next
from app.pages.routing import PageRouter
from app.second_factor_pages.forms import AnswerForm, answer_of
from app.second_factors import Factors, WrongFactor
from app.second_factors.factors import LoginExpired, Ticket
from app.second_factors.routes import AllFactors
from app.users import Users
from app.users.cookies import give_cookie, login_key, session_cookie, take_login_key
from app.users.dependencies import limited_by
from app.users.sessions import COOKIE
from app.web import FromForm
from app.web.html import html_page

router = PageRouter()

type Errors = dict[str, str]


@router.get("/login/second-factor")
async def login_page(
    visitor: Visitor, request: Request, factors: AllFactors, db: Db, next: str = ""
) -> Response:
    ticket = _ticket_of(request)
    if not ticket.ticket and visitor is not None:
        return redirect(request, own_path(next))
    return await _ask_at_login(request, factors, db, ticket, next)


@router.post("/login/second-factor", dependencies=[limited_by("second_factor")])
async def finish_login(
    visitor: Visitor,
    request: Request,
    form: Annotated[AnswerForm, FromForm()],
    factors: AllFactors,
    users: Users,
    db: Db,
) -> Response:
    """Start the session and set its cookie. Only the browser that started the login has the ticket."""
    ticket, answer = _ticket_of(request), answer_of(form)
    try:
        issued = await factors.finish_login(db, ticket, answer, replaces=session_cookie(request))
    except WrongFactor as error:
        return await _ask_at_login(request, factors, db, ticket, form.next, {answer.method: str(error)})
    except LoginExpired:
        # Unlike raising an error, returning a response commits the transaction. Without a rollback, that
        # would store the use of a recovery code and the e-mail about it.
        await db.rollback()
        return _begin_again(request, form.next)
    take_login_key(request)
    return enter(request, users, issued, form.next)


@router.get("/confirm/second-factor")
async def confirmation_page(
    login: SignedIn, request: Request, users: Users, db: Db, next: str = ""
) -> Response:
    methods = await users.factor_methods_of(db, login.user)
    if not methods:
        return redirect(request, with_next("/confirm", next))
    return _ask(request, "second_factors/confirm.html", methods, next)


@router.post("/confirm/second-factor", dependencies=[limited_by("second_factor")])
async def confirm(
    login: SignedIn,
    request: Request,
    form: Annotated[AnswerForm, FromForm()],
    factors: AllFactors,
    users: Users,
    db: Db,
) -> Response:
    """Check a second factor again, so that the login counts as recent."""
    answer = answer_of(form)
    try:
        issued = await factors.confirm(db, login.user, login.session, answer)
    except WrongFactor as error:
        methods = await users.factor_methods_of(db, login.user)
        return _ask(request, "second_factors/confirm.html", methods, form.next, {answer.method: str(error)})
    if issued is not None:
        give_cookie(request, issued)
    return redirect(request, own_path(form.next))


def _ticket_of(request: Request) -> Ticket:
    ticket, key = login_key(request)
    return Ticket(ticket, key, COOKIE)


async def _ask_at_login(
    request: Request,
    factors: Factors,
    db: AsyncSession,
    ticket: Ticket,
    next: str,
    errors: Errors | None = None,
) -> Response:
    """The page that asks for the second factor to finish *ticket*'s login. Five wrong answers end the
    login."""
    try:
        _, user = await factors.waiting(db, ticket)
    except LoginExpired:
        return _begin_again(request, next)
    return _ask(request, "second_factors/login.html", await factors.methods_of(db, user), next, errors)


def _begin_again(request: Request, next: str) -> Response:
    take_login_key(request)
    return redirect(request, with_next("/login", next), message="login_expired")


def _ask(
    request: Request, template: str, methods: list[str], next: str, errors: Errors | None = None
) -> Response:
    """The forms for *methods*. An answer is never redisplayed, as it may be the correct one with a typo."""
    return html_page(
        request,
        template,
        status=400 if errors else 200,
        methods=methods,
        next=own_path(next),
        errors=errors or {},
    )

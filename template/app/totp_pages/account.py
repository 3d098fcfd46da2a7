"""The user's own authenticator app: set it up and remove it."""

import base64
from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Db
from app.pages.navigation import RecentlySignedIn, redirect
from app.pages.routing import PageRouter
from app.second_factor_pages.account import PAGE, Verified, after_adding
from app.second_factors import WrongFactor
from app.second_factors.routes import AllFactors
from app.totp.routes import TheTotp, qr_code
from app.totp.totp import AlreadySetUp, Totp
from app.users.dependencies import Login, before_setup, limited_by
from app.users.exceptions import NoSecondFactor
from app.users.schemas import Secret
from app.web import FromForm
from app.web.html import html_page

router = PageRouter()

APP = f"{PAGE}/app"


class CodeForm(Secret):
    code: str = ""


@router.get(APP)
@before_setup
async def set_up_page(login: Verified, request: Request, totp: TheTotp, db: Db) -> Response:
    return await _show_secret(request, totp, db, login)


@router.post(APP, dependencies=[limited_by("change_factors")])
@before_setup
async def begin_to_set_up(login: Verified, request: Request, totp: TheTotp, db: Db) -> Response:
    try:
        await totp.begin(db, login.user, login.session)
    except AlreadySetUp:
        return redirect(request, PAGE)
    return redirect(request, APP)


@router.action(f"{APP}/confirm", page=APP, dependencies=[limited_by("change_factors")])
@before_setup
async def confirm_app(
    login: Verified, request: Request, form: Annotated[CodeForm, FromForm()], totp: TheTotp, db: Db
) -> Response:
    try:
        codes = await totp.confirm(db, login.user, login.session, form.code)
    except WrongFactor as error:
        return await _show_secret(request, totp, db, login, error)
    return after_adding(request, codes)


@router.get(f"{APP}/remove")
async def removal_page(
    login: RecentlySignedIn, request: Request, totp: TheTotp, factors: AllFactors, db: Db
) -> Response:
    """Ask for confirmation before the app is removed."""
    names = await factors.names_of(db, login.user)
    if totp.name not in names:
        return redirect(request, PAGE)
    return html_page(request, "totp/remove.html", is_last=len(names) == 1)


@router.post(f"{APP}/remove", dependencies=[limited_by("change_factors")])
async def remove_app(
    login: RecentlySignedIn, request: Request, totp: TheTotp, factors: AllFactors, db: Db
) -> Response:
    try:
        await factors.remove(db, login.user, totp, session=login.session)
    except NoSecondFactor:
        return redirect(request, PAGE)
    return redirect(request, PAGE, message="factor_removed")


async def _show_secret(
    request: Request, totp: Totp, db: AsyncSession, login: Login, error: WrongFactor | None = None
) -> Response:
    """Show the secret for an app that is not yet confirmed. If there is no such app, redirect."""
    secret = await totp.pending_secret(db, login.user, login.session)
    if secret is None:
        return redirect(request, PAGE)
    image = base64.b64encode(qr_code(totp.uri(secret, login.user)).encode()).decode()
    return html_page(
        request,
        "totp/set_up.html",
        status=200 if error is None else 400,
        errors={} if error is None else {"code": str(error)},
        image=f"data:image/svg+xml;base64,{image}",
        secret=" ".join(secret[start : start + 4] for start in range(0, len(secret), 4)),
    )

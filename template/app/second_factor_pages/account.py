"""The user's own second factors: an overview, and recovery codes.

Each factor's pages also use `Verified` and `after_adding`.
"""

from typing import Annotated

from hawkapi import Depends, Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.navigation import FACTORS_PAGE, RecentlySignedIn, Redirect, redirect
from app.pages.routing import PageRouter
from app.second_factor_pages import parts
from app.second_factors.recovery_codes import NUMBER
from app.second_factors.routes import AllFactors
from app.users.dependencies import Login, before_setup, limited_by
from app.users.exceptions import NoSecondFactor
from app.web import needs
from app.web.framework.application import services_of_request
from app.web.html import html_page

router = PageRouter()

PAGE = FACTORS_PAGE


@needs("a verified address")
async def _verified(login: RecentlySignedIn) -> Login:
    if not login.user.is_verified:
        raise Redirect(PAGE)
    return login


Verified = Annotated[Login, Depends(_verified)]
"""Requires a verified e-mail address, without which a user cannot set up a factor. Other users are redirected
to `PAGE`, where the factor's own section should explain what is missing."""


@router.get(PAGE)
@before_setup
async def factors_page(login: RecentlySignedIn, request: Request, factors: AllFactors, db: Db) -> Response:
    html = services_of_request(request).html
    values = await parts.values_of_all(html, request, db, login.user)
    return html_page(
        request,
        "second_factors/account.html",
        account=login.user,
        names=await factors.names_of(db, login.user),
        codes_left=await factors.recovery_codes_left(db, login.user),
        number_of_codes=NUMBER,
        **values,
    )


@router.action(f"{PAGE}/recovery-codes", page=PAGE, dependencies=[limited_by("change_factors")])
async def renew_recovery_codes(
    login: RecentlySignedIn, request: Request, factors: AllFactors, db: Db
) -> Response:
    try:
        codes = await factors.renew_recovery_codes(db, login.user)
    except NoSecondFactor:
        return redirect(request, PAGE)
    return show_codes(request, codes)


def after_adding(request: Request, codes: list[str] | None) -> Response:
    """The page shown after a factor has been set up. *codes*: what `Factors.added` returned."""
    if codes is None:
        return redirect(request, PAGE, message="factor_added")
    return show_codes(request, codes)


def show_codes(request: Request, codes: list[str]) -> Response:
    """The page that shows new recovery codes, once."""
    # Unlike other forms, this one does not redirect: only hashes are stored, so no later request could show
    # the codes.
    return html_page(request, "second_factors/recovery_codes.html", codes=codes)

"""Pages for superusers: see and remove an account's second factors. Superusers can never add a factor."""

from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.navigation import Administrator, RecentAdministrator, redirect
from app.pages.routing import PageRouter
from app.second_factor_pages.parts import label_of
from app.second_factors.routes import AllFactors
from app.users import Users
from app.users.exceptions import NoSecondFactor
from app.users.schemas import managed
from app.web.framework.application import services_of_request
from app.web.html import html_page

router = PageRouter()

PAGE = "/admin/users/{user_id}/second-factors"


@router.get(PAGE)
async def factors_page(
    admin: Administrator, request: Request, user_id: str, factors: AllFactors, users: Users, db: Db
) -> Response:
    user = await users.require(db, user_id)
    html = services_of_request(request).html
    return html_page(
        request,
        "second_factors/administration.html",
        account=managed(user),
        names=[label_of(html, each) for each in await factors.names_of(db, user)],
        codes_left=await factors.recovery_codes_left(db, user),
    )


@router.post(PAGE)
async def reset_factors(
    admin: RecentAdministrator, request: Request, user_id: str, factors: AllFactors, users: Users, db: Db
) -> Response:
    user = await users.require(db, user_id)
    page = PAGE.format(user_id=user.id)
    try:
        await factors.reset(db, user)
    except NoSecondFactor:
        return redirect(request, page)
    return redirect(request, page, message="factors_reset")

"""Request a link to set a new password. The page that the link opens is in `app/users/pages/`."""

from typing import Annotated

from hawkapi import Request
from hawkapi.responses.response import Response

from app.database import Db
from app.pages.forms import EmailForm
from app.pages.navigation import Visitor, redirect
from app.pages.routing import PageRouter
from app.users import Users
from app.users.dependencies import limited_by
from app.web import FromForm
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/forgot")
async def forgotten_password_page(visitor: Visitor, request: Request) -> Response:
    return html_page(request, "forgot.html", cache=True, email="", errors={})


@router.post("/forgot", dependencies=[limited_by("request_password_reset")])
async def request_password_reset(
    visitor: Visitor, request: Request, form: Annotated[EmailForm, FromForm()], users: Users, db: Db
) -> Response:
    """E-mail the link. The response is the same whether or not the account exists."""
    await users.request_password_reset(db, email=form.email)
    return redirect(request, "/login", message="check_mail")

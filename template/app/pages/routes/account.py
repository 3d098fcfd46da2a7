"""The account of the person who is logged in."""

from hawkapi import Request
from hawkapi.responses.response import Response

from app.pages.navigation import SignedIn
from app.pages.routing import PageRouter
from app.web.html import html_page

# Your own imports go below; template updates never touch them.
# isort: split

router = PageRouter()


@router.get("/account")
async def account_page(login: SignedIn, request: Request) -> Response:
    return html_page(request, "account.html", account=login.user)

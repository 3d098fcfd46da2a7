"""The home page. Replace it with your own."""

from hawkapi import Request
from hawkapi.responses.response import Response

from app.pages.navigation import Visitor
from app.pages.routing import PageRouter
from app.web.html import html_page

router = PageRouter()


@router.get("/")
async def home(visitor: Visitor, request: Request) -> Response:
    """The first page that visitors see."""
    return html_page(request, "home.html", cache=True)

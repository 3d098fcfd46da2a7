"""Choose the language of the pages and e-mails. The footer of every page has the form."""

from typing import Annotated

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response

from app import i18n
from app.pages.navigation import own_path, redirect
from app.pages.routing import PageRouter
from app.web import FromForm, set_cookie
from app.web.framework.application import services_of_request
from app.web.middleware import LANGUAGE_COOKIE

router = PageRouter()

_YEAR = 365 * 24 * 60 * 60


class LanguageForm(msgspec.Struct):
    language: str = ""
    next: str = ""


@router.post("/language")
async def choose_language(request: Request, form: Annotated[LanguageForm, FromForm()]) -> Response:
    """Remember the language in this browser for a year."""
    if form.language in i18n.languages():
        is_secure = services_of_request(request).settings.cookie_secure
        set_cookie(request, LANGUAGE_COOKIE, form.language, max_age=_YEAR, secure=is_secure)
    return redirect(request, own_path(form.next, "/"))

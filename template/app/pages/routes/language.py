"""Choose the language of the pages and e-mails. The form is in the footer of every page.

A cookie stores the choice for this browser. If the user is logged in, the choice is also saved in the
account, so that it applies in other browsers and in e-mails.
"""

from contextlib import suppress
from typing import Annotated

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response

from app import i18n
from app.database import Db
from app.pages.navigation import Visitor, own_path, redirect
from app.pages.routing import PageRouter
from app.users import Users
from app.users.dependencies import limited_by
from app.users.exceptions import SessionEnded
from app.web import FromForm, set_cookie
from app.web.framework.application import services_of_request
from app.web.middleware import LANGUAGE_COOKIE

router = PageRouter()

_YEAR = 365 * 24 * 60 * 60


class LanguageForm(msgspec.Struct):
    language: str = ""
    next: str = ""


@router.post("/language", dependencies=[limited_by("update_profile")])
async def choose_language(
    visitor: Visitor, request: Request, form: Annotated[LanguageForm, FromForm()], users: Users, db: Db
) -> Response:
    """Remember the language in this browser for a year, and in the account if a user is logged in."""
    if form.language in i18n.languages():
        is_secure = services_of_request(request).settings.cookie_secure
        set_cookie(request, LANGUAGE_COOKIE, form.language, max_age=_YEAR, secure=is_secure)
        if visitor is not None:
            # The session may have ended while the form was arriving.
            with suppress(SessionEnded):
                _, user = await users.sessions.by_id(db, visitor.session.id)
                await users.update_profile(db, user, language=form.language)
    return redirect(request, own_path(form.next, "/"))

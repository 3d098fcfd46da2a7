"""The layout of every page, including error pages."""

from typing import Annotated

import msgspec
import pytest
from hawkapi import Request
from hawkapi.responses.response import Response

from app.pages.forms import InvalidField, show_again
from app.pages.navigation import Visitor
from app.pages.routing import PageRouter
from app.users import User, UserManager
from app.web import FromForm
from app.web.html import html_page


@pytest.fixture
def failing(monkeypatch):
    """Makes saving a form fail, which expires the user's row."""

    async def update(self, db, user, **changes):
        db.add(User(email=user.email, hashed_password=""))
        await db.flush()

    monkeypatch.setattr(UserManager, "update_profile", update)


async def test_the_error_page_after_a_failed_flush_still_shows_its_user(log_in, make_user, failing):
    browser = await log_in(await make_user(is_superuser=True))

    answer = await browser.post("/language", data={"language": "de"})

    assert answer.status_code == 409
    assert '<a href="/admin">' in answer.text


async def test_a_taken_value_in_the_profile_is_an_error_in_the_form(log_in, make_user, failing):
    browser = await log_in(await make_user())

    answer = await browser.post("/account/profile", data={"name": "Ada"})

    assert answer.status_code == 400


class ContactForm(msgspec.Struct):
    email: str = ""
    message: str = ""


async def test_a_page_cannot_replace_a_value_of_the_layout(build_app, make_browser):
    """Otherwise, a form field could be shown as the application's own message or name."""
    app, router = build_app(), PageRouter()

    @router.get("/contact")
    async def show(visitor: Visitor, request: Request) -> Response:
        with pytest.raises(ValueError, match=" uses message: "):
            html_page(request, "forgot.html", email="", message="", errors={})
        with pytest.raises(ValueError, match=" uses app_name, style: "):
            html_page(request, "forgot.html", email="", app_name="", style="", errors={})
        return Response(b"")

    @router.post("/contact")
    async def send(visitor: Visitor, request: Request, form: Annotated[ContactForm, FromForm()]) -> Response:
        with pytest.raises(ValueError, match=" uses message: "):
            show_again(request, "forgot.html", form, InvalidField("Wrong.", field="email"))
        return Response(b"")

    app.include_router(router)
    browser = await make_browser(app)
    answers = [await browser.get("/contact"), await browser.post("/contact", data={"message": "Hello"})]

    assert [each.status_code for each in answers] == [200, 200]

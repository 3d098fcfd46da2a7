"""Fixtures for the second factor page tests: an account with a sample factor, besides the page fixtures.

The tests of a real factor's pages use these functions and define their own `owner`.
"""

import re
from pathlib import Path

import httpx
import pytest

from app.second_factor_pages import parts
from app.web import App
from tests.pages.conftest import browser as browser
from tests.pages.conftest import log_in as log_in
from tests.pages.conftest import make_browser as make_browser
from tests.second_factors.conftest import Owner
from tests.second_factors.conftest import factors as factors
from tests.second_factors.conftest import make_owner as make_owner
from tests.second_factors.conftest import owner as owner
from tests.second_factors.conftest import remove as remove
from tests.second_factors.conftest import sample as sample
from tests.second_factors.conftest import set_up as set_up
from tests.second_factors.conftest import wait as wait

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
NEXT = "/account/sessions"
BUTTON = {"Content-Type": "application/x-www-form-urlencoded"}
"""What a browser sends with a form that has no fields."""


@pytest.fixture(autouse=True)
def sample_part(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pages show only the sample factor's section."""
    html = app.state.html
    monkeypatch.setitem(html.globals, "factor_parts", [])
    folder = str(Path(__file__).parent / "templates")
    monkeypatch.setattr(html._loader, "searchpath", [*html._loader.searchpath, folder])
    parts.add(app, parts.Part("sample", "Sample factor", "code", "sample/ask.html", "sample/section.html"))


@pytest.fixture
async def signed_in(owner: Owner, log_in) -> httpx.AsyncClient:
    """A browser that is logged in to an account with a factor."""
    return await log_in(owner.user)


def press(browser: httpx.AsyncClient, path: str):
    """Press the button of a form without fields."""
    return browser.post(path, content=b"", headers=BUTTON)


async def give_password(browser: httpx.AsyncClient, **form: str) -> httpx.Response:
    """Enters the password and returns the page that asks for the second factor."""
    answer = await browser.post("/login", data=ADA | {"next": NEXT} | form)
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


async def follow(browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    """The page on this site that a redirect (303) leads to."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("/")
    return await browser.get(answer.headers["location"])


def codes_on(page: httpx.Response) -> list[str]:
    """The recovery codes on *page*."""
    return re.findall(r"\b(?:[A-Z]{4}-){6}[A-Z]{4}\b", page.text)


def pages_of(app: App, method: str) -> list[str]:
    """The paths of the second factor pages that accept *method*, including those of each factor."""
    found = [each for each in app.endpoints if method in each.route.methods]
    return [
        re.sub(r"\{[^}]+\}", "x", each.route.path)
        for each in found
        if "second-factor" in each.route.path and not each.route.path.startswith(("/users", "/static"))
    ]


# Your own fixtures go below; template updates never touch them.

"""Fixtures for the tests of the pages of second factors: those of pages and of authenticator apps."""

import re

import httpx
import pytest

from tests.pages.conftest import browser as browser
from tests.pages.conftest import log_in as log_in
from tests.pages.conftest import make_browser as make_browser
from tests.totp.conftest import Owner
from tests.totp.conftest import make_owner as make_owner
from tests.totp.conftest import owner as owner
from tests.totp.conftest import wait as wait

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
NEXT = "/account/sessions"


@pytest.fixture
async def signed_in(owner: Owner, log_in) -> httpx.AsyncClient:
    """A browser that is logged in to an account with an authenticator app."""
    return await log_in(owner.user)


async def give_password(browser: httpx.AsyncClient, **form: str) -> httpx.Response:
    """The page that asks for the second factor."""
    answer = await browser.post("/login", data=ADA | {"next": NEXT} | form)
    assert answer.status_code == 303, answer.text
    return await browser.get(answer.headers["location"])


async def follow(browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    """The page that a redirect (303) leads to, on this site."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("/")
    return await browser.get(answer.headers["location"])


def secret_on(page: httpx.Response) -> str:
    """The key for an authenticator app that *page* shows."""
    [shown] = re.findall(r'<code class="key">([A-Z2-7 ]+)</code>', page.text)
    return shown.replace(" ", "")


def codes_on(page: httpx.Response) -> list[str]:
    """The recovery codes that *page* shows."""
    return re.findall(r"\b(?:[A-Z]{4}-){6}[A-Z]{4}\b", page.text)

"""Fixtures for the e-mail login page tests, in addition to the page and e-mail login fixtures."""

import httpx
import pytest

from tests.conftest import Outbox
from tests.email_login.conftest import EMAIL, codes_in
from tests.email_login.conftest import ada as ada
from tests.email_login.conftest import wait as wait
from tests.pages.conftest import browser as browser
from tests.pages.conftest import log_in as log_in
from tests.pages.conftest import make_browser as make_browser

NEXT = "/account/sessions"


async def ask(browser: httpx.AsyncClient, email: str = EMAIL, next: str = NEXT) -> httpx.Response:
    """Submits the address form and returns the page that asks for the code."""
    return await follow(browser, await browser.post("/login/email", data={"email": email, "next": next}))


async def follow(browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    """The page on this site that a redirect (303) leads to."""
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"].startswith("/")
    return await browser.get(answer.headers["location"])


@pytest.fixture
def mailed_code(outbox: Outbox):
    """`await mailed_code()`: the code from the most recent e-mail that contains one."""

    async def code() -> str:
        return [code for mail in await outbox() for code in codes_in(mail.text_body)][-1]

    return code


# Your own fixtures go below; template updates never touch them.

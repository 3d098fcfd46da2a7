"""Fixtures for the passkey page tests, in addition to the page and passkey fixtures."""

import json
import re

import httpx
import pytest

from tests.pages.conftest import browser as browser
from tests.pages.conftest import log_in as log_in
from tests.pages.conftest import make_browser as make_browser
from tests.passkeys.authenticator import Authenticator, Json
from tests.passkeys.conftest import Owner
from tests.passkeys.conftest import make_owner as make_owner
from tests.passkeys.conftest import owner as owner
from tests.passkeys.conftest import phone as phone
from tests.second_factors.conftest import wait as wait


@pytest.fixture
async def signed_in(owner: Owner, log_in) -> httpx.AsyncClient:
    """A browser that is logged in to an account with a passkey."""
    return await log_in(owner.user)


async def options_on(browser: httpx.AsyncClient, page: httpx.Response) -> Json:
    """The options that the script fetches before it asks the browser for a passkey."""
    [path] = re.findall(r'data-options="([^"]+)"', page.text)
    answer = await browser.post(path, json={})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def respond(
    browser: httpx.AsyncClient, page: httpx.Response, authenticator: Authenticator, **form: str
) -> httpx.Response:
    """Submit the form on *page* as the script does."""
    [[action, kind]] = re.findall(r'action="([^"]+)" data-passkey="(get|create)"', page.text)
    options = await options_on(browser, page)
    credential = authenticator.create(options) if kind == "create" else authenticator.get(options)
    return await browser.post(action, data={"credential": json.dumps(credential)} | form)


# Your own fixtures go below; template updates never touch them.

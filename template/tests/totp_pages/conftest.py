"""Fixtures for the tests of the authenticator app pages."""

import re

import httpx
import pytest

from tests.pages.conftest import browser as browser
from tests.pages.conftest import log_in as log_in
from tests.pages.conftest import make_browser as make_browser
from tests.second_factors.conftest import wait as wait
from tests.totp.conftest import Owner
from tests.totp.conftest import make_owner as make_owner
from tests.totp.conftest import owner as owner

PAGE = "/account/second-factors"
APP = f"{PAGE}/app"


@pytest.fixture
async def signed_in(owner: Owner, log_in) -> httpx.AsyncClient:
    """A browser that is logged in to an account with an authenticator app."""
    return await log_in(owner.user)


@pytest.fixture
async def eve(make_user, log_in) -> httpx.AsyncClient:
    """The browser of an account without a factor."""
    return await log_in(await make_user("eve@example.com", is_verified=True))


def secret_on(page: httpx.Response) -> str:
    """The key that *page* shows for an authenticator app."""
    [shown] = re.findall(r'<code class="key">([A-Z2-7 ]+)</code>', page.text)
    return shown.replace(" ", "")


# Your own fixtures go below; template updates never touch them.

"""Fixtures for the page tests: browsers that keep cookies, logged in or not."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from hawkapi_mail import EmailMessage
from hawkapi_sqlalchemy import Database

from app.users import User, UserManager
from app.web import App

type Browser = httpx.AsyncClient
type MakeBrowser = Callable[..., Awaitable[Browser]]


@pytest.fixture
async def make_browser(app: App) -> AsyncIterator[MakeBrowser]:
    """`await make_browser()` creates a browser that is not logged in. *of* is the application it visits."""
    async with AsyncExitStack() as stack:

        async def make(of: App = app) -> Browser:
            # Use HTTPS, because browsers send cookies with the `__Host-` prefix only over HTTPS.
            browser = httpx.AsyncClient(
                transport=httpx.ASGITransport(app=of, client=("203.0.113.9", 50000)),
                base_url="https://test",
                headers={"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Site": "same-origin"},
            )
            return await stack.enter_async_context(browser)

        yield make


@pytest.fixture
async def browser(make_browser: MakeBrowser) -> Browser:
    """A browser that is not logged in."""
    return await make_browser()


type LogIn = Callable[..., Awaitable[Browser]]


@pytest.fixture
def log_in(make_browser: MakeBrowser, db: Database, manager: UserManager) -> LogIn:
    """`await log_in(user)` creates a browser that is logged in as *user*."""

    async def begin(user: User) -> Browser:
        async with db.session() as session:
            issued = await manager.sessions.issue(session, user, kind="cookie")
        browser = await make_browser()
        browser.cookies.set("__Host-session", issued.token, domain="test.local", path="/")
        return browser

    return begin


type MailedPath = Callable[[], Awaitable[str]]


@pytest.fixture
def mailed_path(outbox: Callable[[], Awaitable[list[EmailMessage]]]) -> MailedPath:
    """`await mailed_path()`: the path of the link in the most recent e-mail."""

    async def path() -> str:
        found = re.search(r"https?://[^/\s]+(/\S+)", (await outbox())[-1].text_body)
        assert found is not None
        return found[1]

    return path


# Your own fixtures go below; template updates never touch them.

"""A visitor with a separate browser, who reads pages and presses their buttons."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from conftest import wait_until
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect


@dataclass
class Site:
    """A project served in development mode, with sample data."""

    url: str
    routes: set[str]
    """The paths of the application's pages."""
    has_script: bool
    """Whether JavaScript is on in the visitors' browsers."""


class Visitor:
    """Opens pages and submits forms. Each step waits for its result, never for a fixed time."""

    def __init__(self, site: Site, context: BrowserContext) -> None:
        self.site = site
        self.context = context
        self.page = self._watched(context.new_page())
        self.complaints: list[str] = []
        """Errors in the browser's console: failed scripts, and content that the security policy blocked."""

    def _watched(self, page: Page) -> Page:
        def note(message: ConsoleMessage) -> None:
            if "Content Security Policy" in message.text:
                self.complaints.append(f"{page.url}: {message.text}")

        page.on("console", note)
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        return page

    def open(self, path: str) -> None:
        self.page.goto(path)

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.page.fill(f"main [name={name}]", value)

    def press(self, button: str) -> None:
        """Press the only button whose name starts with these words."""
        self.page.get_by_role("button", name=re.compile(f"^{re.escape(button)}")).click()

    def follow(self, link: str) -> None:
        self.page.locator("main").get_by_role("link", name=link, exact=True).click()

    def sees(self, text: str) -> None:
        expect(self.page.locator("main")).to_contain_text(text)

    def sees_no(self, text: str) -> None:
        expect(self.page.locator("main")).not_to_contain_text(text)

    def is_at(self, path: str) -> None:
        expect(self.page).to_have_url(self.site.url + path)

    def log_in(self, email: str, password: str, *, remember: bool = False) -> None:
        self.open("/login")
        self.fill(email=email, password=password)
        if remember:
            self.page.check("[name=remember]")
        self.press("Log in")
        self.sees("You are logged in.")

    def open_mail(self, to: str, subject: str) -> None:
        """Wait for the e-mail in the development mailbox, open it, and press its button.

        With JavaScript, the list shows a new e-mail automatically. Without JavaScript, it must be
        reloaded.
        """
        self.open("/dev/mailbox")
        entries = self.page.locator("#mails a").filter(has_text=subject)
        mail = entries.filter(has=self.page.get_by_text(to, exact=True)).first
        if not self.site.has_script:
            wait_until(lambda: self._is_there(mail.count), f"the mail {subject!r} to {to}")
        mail.click()
        expect(self.page.locator(".mail h2")).to_contain_text(subject)
        with self.context.expect_page() as opened:
            self.page.frame_locator(".mail iframe").get_by_role("link").first.click()
        self.page.close()
        self.page = self._watched(opened.value)
        self.page.wait_for_load_state()

    def _is_there(self, count: Callable[[], int]) -> bool:
        self.page.reload()
        return count() > 0

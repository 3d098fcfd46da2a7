"""Passkeys in Chromium, whose virtual authenticator acts as a phone (DevTools protocol, WebAuthn domain)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Render, python_of_project
from looks import Looker, html_validate, invalid_html, name_of
from playwright.sync_api import Browser, expect
from test_browser import ON_SQLITE, PASSWORD, PATIENCE, Visit, client_of, open_visitor
from test_browser import account as account
from test_browser import administrator as administrator
from test_browser import chromium as chromium
from test_browser import looker as looker
from test_browser import site as site
from test_browser import visit as visit
from test_second_factors import verified as verified
from visitor import Site, Visitor

pytestmark = pytest.mark.minutes

PAGE = "/account/second-factors"
A_PHONE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
NO_AUTOFILL = "delete PublicKeyCredential.isConditionalMediationAvailable"
"""Otherwise the virtual authenticator logs in as soon as the login page is open."""
NOBODY_CHOOSES = """
window.requests = [];
PublicKeyCredential.isConditionalMediationAvailable = async () => true;
navigator.credentials.get = ({ mediation, signal }) => new Promise((_, reject) => {
    window.requests.push(mediation ?? "dialog");
    window.cancel = () => reject(new DOMException("", "NotAllowedError"));
    signal.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
});
"""
"""Records the page's requests for a passkey. No passkey is ever chosen. `cancel()` closes the dialog."""
COUNT_FETCHES = """() => {
    const { fetch } = window;
    window.fetches = 0;
    window.fetch = (...request) => { window.fetches += 1; return fetch(...request); };
}"""
TURN = """isHidden => {
    Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
    return window.fetches;
}"""
"""Hides the page or makes it visible. Returns the number of fetches so far."""


@pytest.fixture(scope="module")
def project(render: Render) -> Path:
    return render(totp=True, passkeys=True)


@pytest.fixture(scope="module")
def python(project: Path) -> Path:
    return python_of_project(project)


class Phone:
    """One visitor's authenticator."""

    def __init__(self, visitor: Visitor) -> None:
        self._devtools = visitor.context.new_cdp_session(visitor.page)
        self._devtools.send("WebAuthn.enable")
        added = self._devtools.send("WebAuthn.addVirtualAuthenticator", {"options": A_PHONE})
        self._id = added["authenticatorId"]

    @property
    def passkeys(self) -> list[dict[str, str]]:
        return self._devtools.send("WebAuthn.getCredentials", {"authenticatorId": self._id})["credentials"]


@pytest.fixture
def local(site: Site) -> Site:
    """The site under a host name: browsers reject passkeys for IP addresses."""
    return replace(site, url=site.url.replace("127.0.0.1", "localhost"))


@pytest.fixture
def visit_with_phone(local: Site, chromium: Browser) -> Iterator[Callable[[], tuple[Visitor, Phone]]]:
    visitors: list[Visitor] = []

    def begin(*, autofill: bool = False) -> tuple[Visitor, Phone]:
        context = chromium.new_context(base_url=local.url)
        context.set_default_timeout(PATIENCE)
        visitor = Visitor(local, context)
        visitors.append(visitor)
        if not autofill:
            context.add_init_script(NO_AUTOFILL)
        return visitor, Phone(visitor)

    yield begin
    for visitor in visitors:
        visitor.context.close()
    assert [each for visitor in visitors for each in visitor.complaints] == []


def add_passkey(visitor: Visitor, email: str) -> None:
    """Log in and add a passkey. The page shows the recovery codes."""
    visitor.log_in(email, PASSWORD)
    visitor.open(PAGE)
    visitor.press("Add a passkey")
    visitor.sees("They are never shown again.")


def log_out(visitor: Visitor) -> None:
    visitor.page.get_by_role("button", name="Log out").click()
    visitor.sees("You are logged out.")


@ON_SQLITE
def test_a_passkey_is_added_logs_in_confirms_and_is_removed(visit_with_phone, verified: str):
    eve, phone = visit_with_phone()

    add_passkey(eve, verified)
    [passkey] = phone.passkeys
    log_out(eve)
    eve.open("/login?next=/account/sessions")
    eve.press("Use a passkey")
    eve.sees("You are logged in.")
    eve.is_at("/account/sessions")
    eve.open("/confirm/second-factor?next=/account")
    eve.press("Use a passkey")
    eve.is_at("/account")
    eve.open(PAGE)
    eve.page.locator("main li a").click()
    eve.fill(name="The phone of Eve")
    eve.press("Save")
    eve.sees("The phone of Eve")
    eve.page.locator("main li a").click()
    eve.press("Remove the passkey")

    eve.sees("The passkey has been removed.")
    assert passkey["rpId"] == "localhost"
    assert passkey["isResidentCredential"]
    log_out(eve)
    eve.log_in(verified, PASSWORD)


@ON_SQLITE
def test_a_passkey_is_a_second_factor(visit_with_phone, verified: str):
    eve, _ = visit_with_phone()
    add_passkey(eve, verified)
    log_out(eve)
    eve.open("/login")
    eve.fill(email=verified, password=PASSWORD)
    eve.press("Log in")
    eve.sees("Your account also requires a second factor.")
    eve.press("Use a passkey")

    eve.sees("You are logged in.")


@ON_SQLITE
def test_the_browser_offers_it_in_the_field_of_the_address(visit_with_phone, verified: str):
    """Conditional UI: the virtual authenticator responds as if its owner had chosen the passkey."""
    eve, _ = visit_with_phone(autofill=True)
    add_passkey(eve, verified)
    log_out(eve)

    eve.open("/login?next=/account/activity")

    eve.is_at("/account/activity")
    eve.sees("Logged in with a passkey")


@ON_SQLITE
def test_the_offer_is_renewed_but_interrupts_no_dialog(visit_with_phone):
    """A challenge lasts five minutes."""
    eve, _ = visit_with_phone()
    eve.context.add_init_script(NOBODY_CHOOSES)
    eve.page.clock.install()

    def has_requested(*expected: str) -> None:
        eve.page.wait_for_function("count => window.requests.length >= count", arg=len(expected))
        assert eve.page.evaluate("window.requests") == list(expected)

    eve.open("/login")
    has_requested("conditional")
    eve.page.clock.fast_forward("04:00")
    has_requested("conditional", "conditional")
    eve.press("Use a passkey")
    has_requested("conditional", "conditional", "dialog")
    eve.page.clock.fast_forward("08:00")
    has_requested("conditional", "conditional", "dialog")
    eve.page.evaluate("window.cancel()")

    has_requested("conditional", "conditional", "dialog", "conditional")


@ON_SQLITE
def test_a_hidden_page_renews_the_offer_once_it_is_visible(visit_with_phone):
    """Otherwise pages left open would use up the rate limit of everyone at the same IP address."""
    eve, _ = visit_with_phone()
    eve.context.add_init_script(NOBODY_CHOOSES)
    eve.page.clock.install()
    eve.open("/login")
    eve.page.wait_for_function("() => window.requests.length === 1")
    eve.page.evaluate(COUNT_FETCHES)

    def fetches(*, is_hidden: bool) -> int:
        return eve.page.evaluate(TURN, is_hidden)

    assert fetches(is_hidden=True) == 0
    eve.page.clock.fast_forward("08:00")
    assert fetches(is_hidden=True) == 0
    assert fetches(is_hidden=False) == 1
    assert fetches(is_hidden=False) == 1


@ON_SQLITE
def test_a_session_that_has_ended_leads_to_the_login_page(visit_with_phone, verified: str):
    eve, _ = visit_with_phone()
    eve.log_in(verified, PASSWORD)
    eve.open(PAGE)
    eve.context.clear_cookies()

    eve.press("Add a passkey")

    eve.is_at("/login?next=%2Faccount%2Fsecond-factors")


@ON_SQLITE
def test_a_passkey_of_the_device_is_not_added_twice(visit_with_phone, verified: str):
    eve, _ = visit_with_phone()
    add_passkey(eve, verified)
    eve.press("I have saved the codes")

    eve.press("Add a passkey")

    eve.sees("This passkey has already been added.")


@pytest.mark.parametrize("site", ["postgresql"], indirect=True)
def test_without_javascript_the_pages_say_what_is_missing(visit: Visit, verified: str):
    eve = visit()

    eve.open("/login")
    eve.sees("Passkeys need JavaScript, which is turned off in this browser.")
    eve.log_in(verified, PASSWORD)
    eve.open(PAGE)

    eve.sees("Passkeys need JavaScript, which is turned off in this browser.")
    expect(eve.page.get_by_role("button", name="Add a passkey")).to_be_hidden()


@ON_SQLITE
def test_every_page_can_be_read_by_all_and_is_valid(
    local: Site, chromium: Browser, looker: Looker, verified: str, tmp_path: Path
):
    tool, pages = html_validate(), tmp_path / "pages"
    pages.mkdir()
    eve = open_visitor(local, chromium)
    eve.context.add_init_script(NO_AUTOFILL)
    Phone(eve)

    def look(path: str) -> None:
        eve.open(path)
        looker.look(eve.page, f"passkeys-{name_of(path)}")
        with client_of(eve) as client:
            (pages / f"{name_of(path)}.html").write_text(client.get(path).text, "utf-8")

    look("/login")
    add_passkey(eve, verified)
    look(PAGE)
    look(eve.page.locator("main li a").get_attribute("href") or "")
    look("/confirm/second-factor")
    eve.context.close()

    problems = looker.take_problems()
    assert not problems, "\n".join(problems)
    assert invalid_html(tool, pages, {}) == ""

"""The pages in a browser: every flow with and without JavaScript, every page in light, dark and mobile.

Playwright drives the Chromium of the system. SCREENSHOTS=folder saves a screenshot of each page. The flows
run on both databases. Every page is checked on SQLite only, because the database does not affect its layout.

    uv run --group browser pytest tests/browser
"""

import gzip
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from conftest import Render, drop_database, free_port, process, run, wait_for_server, wait_until

html5lib = pytest.importorskip("html5lib", reason="uv run --group browser pytest tests/browser")
pytest.importorskip("playwright", reason="uv run --group browser pytest tests/browser")

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright  # noqa: E402

AXE = gzip.decompress((Path(__file__).parent / "axe.min.js.gz").read_bytes()).decode()
ADMINISTRATOR = ("admin@example.com", "only for development")
PASSWORD = "a horse of the tests"
VIEWS = {"light": ("light", 1100), "dark": ("dark", 1100), "phone": ("light", 360)}
NARROWEST = 320
ROUTES = """
from app.main import create_app
for each in create_app().endpoints:
    is_page = each.route.handler.__module__.startswith("app.pages.routes")
    # A mail in its frame is not a page.
    if "GET" in each.route.methods and is_page and not each.route.path.endswith("/html"):
        print(each.route.path)
"""


@dataclass
class Site:
    base: str
    routes: set[str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(
    request: pytest.FixtureRequest, render: Render, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A project in development with sample data, served. One for each database."""
    project, port = render(), free_port()
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('data') / 'app.db'}"
    name = f"app_{uuid4().hex[:8]}"
    if request.param == "postgresql":
        url = f"{request.getfixturevalue('postgresql').rpartition('/')[0]}/{name}"
    base = f"http://127.0.0.1:{port}"
    environment = {
        "DATABASE_URL": url,
        "BASE_URL": base,
        "RATE_LIMITS": "false",
        "ENVIRONMENT": "development",
    }
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    run(python, "-m", "app.cli", "db", "seed", cwd=project, env=environment)
    routes = run(python, "-c", ROUTES, cwd=project, env=environment).split()
    command = (python, "-m", "app.cli", "serve", "--port", str(port))
    with (
        process(*command, cwd=project, log=project / "serve.log", env=environment) as server,
        httpx.Client(base_url=base) as client,
    ):
        wait_for_server(client, server)
        yield Site(base, set(routes))
    if request.param == "postgresql":
        drop_database(python, request.getfixturevalue("postgresql"), name)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def screenshots() -> Path | None:
    """The folder that keeps a picture of each page, if one is wanted."""
    if "SCREENSHOTS" not in os.environ:
        return None
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def log_in(page: Page, email: str, password: str) -> None:
    page.goto("/login")
    page.fill("#email", email)
    page.fill("#password", password)
    send(page)


def send(page: Page) -> None:
    # Another page must not be opened before the form has been sent.
    with page.expect_navigation():
        page.click("main form button[type=submit]")


def mailed_link(site: Site, address: str, kind: str) -> str:
    """The newest link of this kind that the mailbox of development has for *address*."""
    found: list[str] = []

    def has_come() -> bool:
        with httpx.Client(base_url=site.base, headers={"Accept": "text/html"}) as client:
            for path in re.findall(r'href="(/dev/mailbox/[^"/]+)"', client.get("/dev/mailbox").text):
                mail = client.get(path, params={"show": "text"}).text
                if address in mail and (links := re.findall(rf"{site.base}/users/{kind}/mt_[\w\-]+", mail)):
                    found.append(links[0])
                    return True
        return False

    wait_until(has_come, f"the mail with a {kind} link for {address}")
    return found[0]


@pytest.mark.parametrize("script", [True, False], ids=["javascript", "no-javascript"])
def test_a_user_goes_through_every_flow(site: Site, chromium: Browser, script: bool):
    context = chromium.new_context(base_url=site.base, java_script_enabled=script)
    page = context.new_page()
    email = f"eve-{uuid4().hex[:8]}@example.com"

    page.goto("/register")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    send(page)
    expect(page).to_have_url(f"{site.base}/login")
    page.goto(mailed_link(site, email, "verify"))
    if page.locator("#password").count():
        page.fill("#password", PASSWORD)
    send(page)
    log_in(page, email, PASSWORD)
    expect(page).to_have_url(f"{site.base}/account")
    expect(page.locator("main")).to_contain_text(email)

    page.goto("/account/password")
    page.fill("#current_password", PASSWORD)
    page.fill("#new_password", f"{PASSWORD} 2")
    send(page)
    expect(page.locator("[role=status]")).to_be_visible()

    moved = f"new-{email}"
    page.goto("/account/email")
    page.fill("#new_email", moved)
    send(page)
    expect(page.locator("[role=status]")).to_be_visible()
    page.goto(mailed_link(site, moved, "email-change"))
    page.fill("#password", f"{PASSWORD} 2")
    send(page)
    page.goto("/account")
    expect(page.locator("main")).to_contain_text(moved)

    page.click("form[action='/logout'] button")
    expect(page).to_have_url(f"{site.base}/")
    page.goto("/account")
    expect(page).to_have_url(re.compile(r"/login\?next=%2Faccount$"))

    page.goto("/forgot")
    page.fill("#email", moved)
    send(page)
    page.goto(mailed_link(site, moved, "password-reset"))
    page.fill("#password", f"{PASSWORD} 3")
    send(page)
    log_in(page, moved, f"{PASSWORD} 3")
    expect(page).to_have_url(f"{site.base}/account")
    context.close()


def pattern_of(path: str, routes: set[str]) -> str | None:
    """The route of a page; a path without parameters before one with."""
    for route in sorted(routes, key=lambda each: each.count("{")):
        if re.fullmatch(re.sub(r"\{\w+(?::\w+)?\}", "[^/]+", route), path):
            return route
    return None


def crawl(page: Page, site: Site) -> dict[str, str]:
    """A path for each route of a page that links lead to, or that has no parameter."""
    todo = ["/", "/docs", "/nothing-here", *sorted(each for each in site.routes if "{" not in each)]
    found: dict[str, str] = {}
    while todo:
        path = todo.pop(0)
        route = pattern_of(path, site.routes) or path
        if route in found:
            continue
        response = page.request.get(path, headers={"accept": "text/html"})
        if "text/html" not in response.headers.get("content-type", ""):
            continue
        found[route] = path
        for link in re.findall(r'(?:href|src)="(/[^"#?]*)', response.text()):
            if pattern_of(link, site.routes) not in (None, *found):
                todo.append(link)
    return found


def problems_of(page: Page, path: str, view: str) -> list[str]:
    found: list[str] = []
    if view != "phone":
        page.evaluate(AXE)
        violations = page.evaluate("axe.run().then(result => result.violations)")
        for each in violations:
            found.append(f"{path} ({view}): axe {each['id']}: {each['nodes'][0]['html'][:200]}")
        return found
    page.set_viewport_size({"width": NARROWEST, "height": 800})
    width = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size({"width": VIEWS[view][1], "height": 800})
    return [f"{path} scrolls sideways: {width} px"] if width > NARROWEST else []


def markup_errors(text: str, path: str) -> list[str]:
    parser = html5lib.HTMLParser(strict=False)
    parser.parse(text)
    return [f"{path}: HTML {place}: {code} {values}" for place, code, values in parser.errors]


@pytest.mark.parametrize("site", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("person", "visits"),
    [("nobody", r"(?!/admin|/dev)"), ("user", r"/account|/confirm|/$"), ("superuser", r"/admin|/dev")],
)
def test_every_page_is_accessible_valid_and_fits(
    site: Site, chromium: Browser, screenshots: Path | None, person: str, visits: str
):
    """axe finds nothing in light and dark, the HTML has no error, and nothing is wider than 320 px."""
    email, password = ADMINISTRATOR if person == "superuser" else (f"{uuid4().hex}@example.com", PASSWORD)
    if person == "user":
        httpx.post(f"{site.base}/users/register", json={"email": email, "password": password})
    contexts: dict[str, BrowserContext] = {
        view: chromium.new_context(
            base_url=site.base, color_scheme=scheme, viewport={"width": width, "height": 800}, bypass_csp=True
        )
        for view, (scheme, width) in VIEWS.items()
    }
    pages = {view: context.new_page() for view, context in contexts.items()}
    if person != "nobody":
        for page in pages.values():
            log_in(page, email, password)
    paths = crawl(pages["light"], site)
    problems: list[str] = []
    looked_at: set[str] = set()
    for route, path in paths.items():
        if not re.match(visits, path):
            continue
        source = pages["light"].request.get(path, headers={"accept": "text/html"})
        if urlsplit(source.url).path != path:
            continue  # a redirect, to the login page for example
        looked_at.add(route)
        problems += markup_errors(source.text(), path)
        for view, page in pages.items():
            page.goto(path)
            if path == "/docs":
                page.wait_for_selector(".opblock")
            name = re.sub(r"\W+", "-", route).strip("-") or "home"
            if screenshots is not None:
                page.screenshot(path=screenshots / f"{person}-{name}-{view}.png", full_page=path != "/docs")
            problems += problems_of(page, path, view)
    for context in contexts.values():
        context.close()
    assert not problems, "\n".join(problems)
    if person == "nobody":
        assert {"/", "/docs", "/nothing-here", "/login", "/register", "/forgot"} <= looked_at
    if person == "superuser":
        # A profile without fields has no page, and the last part of the mailbox is for its script.
        others = {"/account/profile", "/dev/mailbox/newest"}
        assert site.routes - others - paths.keys() == set()

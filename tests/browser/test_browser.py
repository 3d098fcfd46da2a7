"""The pages in a browser: every flow with and without JavaScript, every page in light mode, dark mode and on
a phone.

Playwright drives the system's Chromium. The flows run on SQLite with JavaScript and on PostgreSQL without.
The database and JavaScript are independent, so the other two combinations would find nothing more. The look
of every page is checked only on SQLite, because it does not depend on the database. SCREENSHOTS=folder saves
a screenshot of each page.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from conftest import REPOSITORY, Render, drop_database, free_port, missing, process, run, wait_for_server
from looks import Looker, crawl, html_validate, invalid_html, name_of
from playwright.sync_api import Browser, expect, sync_playwright
from visitor import Site, Visitor

ADMINISTRATOR, USER = "admin@example.com", "ada.lovelace@example.com"
SAMPLE_PASSWORD = "only for development"
PASSWORD = "a horse of the tests"
# A busy machine may need this many milliseconds. Steps do not wait longer than necessary.
PATIENCE = 60_000
AS_A_BROWSER = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
MAIL_FRAMES = {"/dev/mailbox/{mail_id}/html", "/dev/mails/{name}/html"}
REFUSED = {
    "/register": {"email": "nonsense", "password": "short"},
    "/login": {"email": USER, "password": "a wrong password"},
    "/account/email": {"new_email": "nonsense"},
    "/account/password": {"current_password": "wrong", "new_password": "short"},
    "/account/profile": {"display_name": "x" * 81},
    "/admin/invitations": {"email": "nonsense"},
    "/users/verify/mt_nonsense": {},
}
"""Forms that are shown again with their errors."""
PREPARE = """
import asyncio
from hawkapi_mail import EmailMessage
from sqlalchemy import update
from app.cli.common import application
from app.cli.sample_data import seed
from app.mail import OutboxMessage, outbox

async def prepare():
    async with application() as app:
        async with app.state.db.session() as db:
            for subject in ("Send me", "Drop me"):
                message = EmailMessage.build(
                    subject=subject, sender="app@app.test", to="ada@example.com", text="Hello"
                )
                outbox.enqueue(db, message)
            await db.flush()
            await db.execute(update(OutboxMessage).values(status=outbox.DEAD))
        for each in app.endpoints:
            is_page = each.route.handler.__module__.startswith("app.pages.routes")
            # A mail in its frame is not a page.
            if "GET" in each.route.methods and is_page and not each.route.path.endswith("/html"):
                print(each.route.path)

seed()
asyncio.run(prepare())
"""
"""Adds the sample data, sets e-mails aside (which would take the worker hours), and prints the paths of
pages.
"""

pytestmark = pytest.mark.minutes

ON_SQLITE = pytest.mark.parametrize("site", ["sqlite"], indirect=True)


@pytest.fixture(scope="module")
def project(render: Render, python: Path) -> Path:
    """A project whose accounts have a profile."""
    project = render()
    add_profile(project)
    environment = {"DATABASE_URL": f"sqlite+aiosqlite:///{project.parent / 'empty.db'}"}
    for command in (("upgrade",), ("revision", "-m", "add a display name")):
        run(python, "-m", "app.cli", "db", *command, cwd=project, env=environment)
    return project


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("sqlite", id="with JavaScript"),
        pytest.param("postgresql", id="without JavaScript"),
    ],
)
def site(
    request: pytest.FixtureRequest, project: Path, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A project served in development mode with sample data, for each database."""
    port, server = free_port(), None
    database = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('data') / 'app.db'}"
    if request.param == "postgresql":
        server, name = request.getfixturevalue("postgresql"), f"app_{uuid4().hex[:8]}"
        database = f"{server.rpartition('/')[0]}/{name}"
    url = f"http://127.0.0.1:{port}"
    environment = {
        "DATABASE_URL": database,
        "BASE_URL": url,
        "RATE_LIMITS": "false",
        "ENVIRONMENT": "development",
    }
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=environment)
    prepared = run(python, "-c", PREPARE, cwd=project, env=environment)
    routes = set(re.findall(r"^/.*$", prepared, re.MULTILINE))
    serve = (python, "-m", "app.cli", "serve", "--port", str(port))
    with (
        process(*serve, cwd=project, log=project / "serve.log", env=environment) as served,
        httpx.Client(base_url=url) as client,
    ):
        wait_for_server(client, served)
        yield Site(url, routes, has_script=request.param == "sqlite")
    if server is not None:
        drop_database(python, server, name)


def add_profile(project: Path) -> None:
    """Give accounts a display name, as described in `docs/extending-the-user-model.md`."""
    page = (REPOSITORY / "docs" / "extending-the-user-model.md").read_text("utf-8")
    run("git", "init", "--quiet", cwd=project)
    for diff in re.findall(r"^```diff\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        (project.parent / "page.diff").write_text(diff, "utf-8")
        run("git", "apply", project.parent / "page.diff", cwd=project)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or missing("chromium is not installed")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # Without a graphics card, emulating one is slower than software rendering.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


type Visit = Callable[[], Visitor]


@pytest.fixture
def visit(site: Site, chromium: Browser) -> Iterator[Visit]:
    """`visit()`: a visitor with a separate browser, whose JavaScript is on or off."""
    visitors: list[Visitor] = []

    def begin() -> Visitor:
        context = chromium.new_context(base_url=site.url, java_script_enabled=site.has_script)
        context.set_default_timeout(PATIENCE)
        visitors.append(Visitor(site, context))
        return visitors[-1]

    yield begin
    for visitor in visitors:
        visitor.context.close()
    assert [each for visitor in visitors for each in visitor.complaints] == []


@pytest.fixture
def account(site: Site) -> str:
    """The e-mail address of a new account with the password `PASSWORD`."""
    email = f"eve.{uuid4().hex[:8]}@example.com"
    body = {"email": email, "password": PASSWORD}
    assert httpx.post(f"{site.url}/users/register", json=body).status_code == 201
    return email


@pytest.fixture
def administrator(visit: Visit) -> Visitor:
    visitor = visit()
    visitor.log_in(ADMINISTRATOR, SAMPLE_PASSWORD)
    return visitor


# The life of an account


def test_a_person_registers_confirms_the_address_and_logs_in(visit: Visit):
    eve, email = visit(), f"eve.{uuid4().hex[:8]}@example.com"

    eve.open("/")
    eve.press("Register")
    eve.fill(email=email, password="passwordpassword")
    eve.press("Create account")
    eve.sees("This password is too common")
    eve.fill(password=PASSWORD)
    eve.press("Create account")
    eve.sees("open the link that we have sent you")
    eve.open_mail(email, "Confirm your e-mail address")
    eve.press("Confirm")
    eve.sees("Your e-mail address is confirmed.")
    eve.fill(email=email, password=PASSWORD)
    eve.press("Log in")

    eve.sees("You are logged in.")
    eve.is_at("/account")
    eve.sees(f"{email} confirmed")


def test_a_link_is_sent_again(visit: Visit, account: str):
    eve = visit()

    eve.log_in(account, PASSWORD)
    eve.press("Send the link again")
    eve.sees("We have sent you an e-mail with a new link.")
    eve.open("/verify")
    eve.fill(email=account)
    eve.press("Send a new link")

    eve.sees("We have sent you an e-mail with a new link.")


@pytest.mark.parametrize("remember", [True, False])
def test_the_login_lasts_if_the_person_says_so(visit: Visit, account: str, remember: bool):
    eve = visit()

    eve.log_in(account, PASSWORD, remember=remember)
    [session] = [each for each in eve.context.cookies() if each["name"].endswith("session")]
    eve.page.get_by_role("button", name="Log out").click()
    eve.sees("You are logged out.")
    eve.open("/account/sessions")

    assert (session["expires"] > 0) == remember
    eve.is_at("/login?next=%2Faccount%2Fsessions")


def test_the_login_page_leads_back_and_says_what_is_wrong(visit: Visit, account: str):
    eve = visit()

    eve.open("/account/activity")
    eve.fill(email=account, password="a wrong password")
    eve.press("Log in")
    eve.sees("The e-mail address or the password is wrong.")
    eve.fill(password=PASSWORD)
    eve.press("Log in")

    eve.sees("You are logged in.")
    eve.is_at("/account/activity")
    eve.sees("A login attempt was rejected")


def test_a_form_names_its_origin_but_no_path(visit: Visit, site: Site, account: str):
    """Without HTTPS, browsers send no Sec-Fetch-Site, so the server relies on Origin."""
    eve = visit()

    eve.open("/login?next=/account/activity")
    eve.fill(email=account, password=PASSWORD)
    with eve.page.expect_request(lambda each: each.method == "POST") as sent:
        eve.press("Log in")
    headers = sent.value.all_headers()

    assert (headers["origin"], headers["referer"]) == (site.url, f"{site.url}/")


def test_a_forgotten_password_is_set_with_a_mailed_link(visit: Visit, account: str):
    eve = visit()

    eve.open("/login")
    eve.follow("Forgot your password?")
    eve.fill(email=account)
    eve.press("Send the link")
    eve.sees("If there is an account with this e-mail address, we have sent an e-mail to it.")
    eve.open_mail(account, "Set a new password")
    link = eve.page.url
    eve.fill(password="a new horse of the tests")
    eve.press("Set password")
    eve.sees("You can now log in with it.")

    assert "mt_" not in link
    eve.log_in(account, "a new horse of the tests")


def test_the_owner_changes_address_password_and_profile(visit: Visit, account: str):
    eve, moved = visit(), f"moved.{account}"

    eve.log_in(account, PASSWORD)
    eve.press("Change the e-mail address")
    eve.fill(new_email=moved)
    eve.press("Send the link")
    eve.sees("We have sent a link to the new address.")
    eve.open_mail(moved, "Confirm your new e-mail address")
    eve.fill(password=PASSWORD)
    eve.press("Confirm")
    eve.sees("Your e-mail address has been changed.")
    eve.open("/account")
    eve.press("Change the password")
    eve.fill(current_password=PASSWORD, new_password="a new horse of the tests")
    eve.press("Change the password")
    eve.sees("Your password has been changed. All other sessions have ended.")
    eve.sees(moved)
    eve.press("Change the profile")
    eve.fill(display_name="Eve")
    eve.press("Save")
    eve.sees("Your changes have been saved.")
    eve.press("Change the profile")

    expect(eve.page.locator("[name=display_name]")).to_have_value("Eve")


def test_the_owner_ends_sessions(visit: Visit, account: str):
    here, there = visit(), visit()

    there.log_in(account, PASSWORD)
    here.log_in(account, PASSWORD)
    here.sees("You are logged in on 2 devices.")
    here.press("Show the sessions")
    here.press("End the session of")
    here.sees("The session has ended.")
    there.open("/account")
    there.is_at("/login?next=%2Faccount")
    there.log_in(account, PASSWORD)
    here.open("/account/sessions")
    here.press("End all other sessions")

    here.sees("All other sessions have ended.")
    there.open("/account")
    there.is_at("/login?next=%2Faccount")


def test_the_owner_exports_and_deletes_the_account(visit: Visit, account: str):
    eve = visit()

    eve.log_in(account, PASSWORD)
    eve.press("Export")
    with eve.page.expect_download() as download:
        eve.press("Download")
    exported = json.loads(download.value.path().read_text("utf-8"))
    eve.follow("Back to your account")
    eve.press("Delete the account")
    eve.press(f"Delete {account}")
    eve.sees("Your account has been deleted.")
    eve.open("/login")
    eve.fill(email=account, password=PASSWORD)
    eve.press("Log in")

    eve.sees("The e-mail address or the password is wrong.")
    assert exported["account"]["email"] == account


@ON_SQLITE
def test_a_double_click_confirms_the_password_once(visit: Visit, account: str):
    """If a second form is sent, the browser drops the response to the first one, including its cookie."""
    eve = visit()

    eve.log_in(account, PASSWORD)
    eve.open("/confirm?next=%2Faccount%2Femail")
    eve.fill(password=PASSWORD)
    eve.page.get_by_role("button", name="Confirm").dblclick(delay=60, no_wait_after=True)
    eve.is_at("/account/email")
    eve.open("/account")

    eve.is_at("/account")


def test_the_password_is_confirmed(visit: Visit, account: str):
    eve = visit()

    eve.log_in(account, PASSWORD)
    eve.open("/confirm?next=%2Faccount%2Fdelete")
    eve.fill(password="a wrong password")
    eve.press("Confirm")
    eve.sees("wrong")
    eve.fill(password=PASSWORD)
    eve.press("Confirm")

    eve.sees("This cannot be undone.")
    eve.is_at("/account/delete")


def test_the_language_is_chosen_and_kept(visit: Visit):
    eve = visit()

    eve.open("/login")
    eve.press("Deutsch")
    eve.sees("Passwort")
    eve.is_at("/login")
    eve.open("/register")

    expect(eve.page.locator("html")).to_have_attribute("lang", "de")


# Administration


def test_an_invitation_becomes_an_account(visit: Visit, administrator: Visitor):
    eve, email = visit(), f"eve.{uuid4().hex[:8]}@example.com"

    administrator.open("/admin/invitations")
    administrator.fill(email=email)
    administrator.press("Invite")
    administrator.sees("The invitation is on its way.")
    eve.open_mail(email, "You are invited")
    eve.fill(password=PASSWORD)
    eve.press("Create account")
    eve.sees("Your account is ready. You can now log in.")

    eve.log_in(email, PASSWORD)


def test_an_invitation_is_withdrawn(administrator: Visitor):
    email = f"eve.{uuid4().hex[:8]}@example.com"

    administrator.open("/admin/invitations")
    administrator.fill(email=email)
    administrator.press("Invite")
    administrator.sees("The invitation is on its way.")
    administrator.press(f"Withdraw: {email}")

    administrator.sees("The invitation has been withdrawn.")
    administrator.sees_no(email)


def test_accounts_are_found_and_read_page_by_page(administrator: Visitor):
    rows = administrator.page.locator("tbody tr")

    administrator.open("/admin?limit=30")
    expect(rows).to_have_count(30)
    administrator.follow("Next page")
    expect(rows.first).not_to_contain_text(ADMINISTRATOR)
    administrator.follow("Newest")
    administrator.fill(search="TURING")
    administrator.press("Search")
    expect(rows).to_have_count(10)
    administrator.page.select_option("#must_reset_password", "true")
    administrator.press("Search")
    expect(rows).to_have_count(1)
    administrator.sees("grace.turing@example.com")
    administrator.follow("Clear filters")

    administrator.sees(ADMINISTRATOR)


def test_an_administrator_looks_after_an_account(administrator: Visitor, account: str):
    def change(button: str, message: str) -> None:
        administrator.press(f"{button}: {account}")
        administrator.sees(message)

    administrator.open(f"/admin?search={account}")
    administrator.follow(account)
    change("Mark as verified", "The e-mail address has been marked as verified.")
    change("Promote to superuser", "The account is now a superuser.")
    change("Demote to user", "The account is no longer a superuser.")
    change("Disable account", "The account has been disabled, and its sessions have ended.")
    change("Enable account", "The account has been enabled.")
    change("Send password reset", "A link to set a new password is on its way to the owner.")
    change("Delete account", "Delete this account?")
    change("Delete account", "The account has been deleted.")

    administrator.sees_no(account)


def test_an_administrator_ends_sessions(visit: Visit, administrator: Visitor, account: str):
    eve = visit()

    eve.log_in(account, PASSWORD)
    administrator.open(f"/admin?search={account}")
    administrator.follow(account)
    administrator.press("End session")
    administrator.sees("The session has ended.")
    eve.open("/account")
    eve.is_at("/login?next=%2Faccount")
    eve.log_in(account, PASSWORD)
    administrator.page.reload()
    administrator.press("End all sessions")
    administrator.sees("All of the account's sessions have ended.")

    eve.open("/account")
    eve.is_at("/login?next=%2Faccount")


def test_the_audit_log_is_searched(administrator: Visitor, account: str):
    administrator.open("/admin/audit")
    administrator.fill(account=account)
    administrator.press("Search")

    expect(administrator.page.locator("tbody tr")).to_have_count(1)
    administrator.sees("The account was created")
    administrator.follow("Clear filters")
    administrator.follow("Next page")
    administrator.follow("Newest")
    administrator.sees(ADMINISTRATOR)


def test_a_mail_that_was_set_aside_is_sent_again_or_deleted(administrator: Visitor):
    administrator.open("/admin/mails")
    administrator.follow("Send me")
    administrator.press("Send again")
    administrator.sees("The e-mail is in the outbox again and will be sent soon.")
    administrator.sees_no("Send me")
    administrator.follow("Drop me")
    administrator.press("Delete e-mail")

    administrator.sees("The e-mail has been deleted.")
    administrator.sees_no("Drop me")


# The look of pages


@pytest.fixture(scope="module")
def looker() -> Looker:
    """Saves screenshots in the folder that SCREENSHOTS names, if it is set."""
    if "SCREENSHOTS" not in os.environ:
        return Looker(None)
    folder = Path(os.environ["SCREENSHOTS"])
    folder.mkdir(parents=True, exist_ok=True)
    return Looker(folder)


def open_visitor(site: Site, chromium: Browser) -> Visitor:
    """A visitor whose pages allow axe to be injected."""
    context = chromium.new_context(base_url=site.url, bypass_csp=True)
    context.set_default_timeout(PATIENCE)
    return Visitor(site, context)


def client_of(visitor: Visitor) -> httpx.Client:
    """A client that requests pages in the visitor's session, faster than the browser."""
    cookies = {each["name"]: each["value"] for each in visitor.context.cookies()}
    return httpx.Client(base_url=visitor.site.url, cookies=cookies, headers=AS_A_BROWSER)


@ON_SQLITE
@pytest.mark.parametrize(
    ("email", "paths"),
    [(None, r"(?!/admin|/dev)"), (USER, r"/account|/confirm"), (ADMINISTRATOR, r"/admin|/dev")],
    ids=["nobody", "a user", "an administrator"],
)
def test_every_page_that_a_link_leads_to_can_be_read_by_all(
    site: Site, chromium: Browser, looker: Looker, email: str | None, paths: str
):
    visitor = open_visitor(site, chromium)
    if email is not None:
        visitor.log_in(email, SAMPLE_PASSWORD)

    with client_of(visitor) as client:
        found = {route: path for route, path, _ in crawl(client, site.routes)}
    for route, path in found.items():
        if re.match(paths, path):
            visitor.open(path)
            if path == "/docs":
                visitor.page.wait_for_selector(".opblock")
            looker.look(visitor.page, name_of(route))
    visitor.context.close()

    problems = looker.take_problems()
    assert not problems, "\n".join(problems)
    if email == ADMINISTRATOR:
        # Only a script requests the newest e-mails, and only logged-out visitors can see the login page.
        assert site.routes - set(found) <= {"/dev/mailbox/newest", "/login"}


@ON_SQLITE
def test_every_page_of_a_flow_can_be_read_by_all(site: Site, chromium: Browser, looker: Looker, account: str):
    """The pages that can be reached only through an e-mailed link or a rejected form."""
    eve = open_visitor(site, chromium)

    def see(text: str, name: str) -> None:
        eve.sees(text)
        looker.look(eve.page, name)

    eve.open("/register")
    eve.fill(email=account, password="passwordpassword")
    eve.press("Create account")
    see("too common", "register-refused")
    eve.open("/login")
    eve.fill(email=account, password="a wrong password")
    eve.press("Log in")
    see("is wrong", "login-refused")
    eve.open_mail(account, "Confirm your e-mail address")
    verify = eve.page.url
    see("The account was created in another browser.", "link-verify")
    eve.fill(password=PASSWORD)
    eve.press("Confirm")
    see("is confirmed", "link-verified")
    eve.open(verify)
    see("Send a new link", "link-dead")
    eve.log_in(account, PASSWORD)
    looker.look(eve.page, "account-with-message")
    eve.press("Change the e-mail address")
    eve.fill(new_email=f"moved.{account}")
    eve.press("Send the link")
    see("It will change to", "account-with-new-address")
    eve.open_mail(f"moved.{account}", "Confirm your new e-mail address")
    see("Your password", "link-email-change")
    eve.fill(password=PASSWORD)
    eve.press("Confirm")
    see("Your e-mail address has been changed.", "link-email-changed")
    eve.open("/account/password")
    eve.fill(current_password="a wrong password", new_password="a new horse of the tests")
    eve.press("Change the password")
    see("wrong", "account-password-refused")
    eve.open("/forgot")
    eve.fill(email=f"moved.{account}")
    eve.press("Send the link")
    eve.sees("we have sent an e-mail")
    eve.open_mail(f"moved.{account}", "Set a new password")
    looker.look(eve.page, "link-password-reset")
    eve.fill(password="passwordpassword")
    eve.press("Set password")
    see("too common", "link-password-reset-refused")
    eve.fill(password="a new horse of the tests")
    eve.press("Set password")
    see("You can now log in", "link-password-set")
    eve.log_in(ADMINISTRATOR, SAMPLE_PASSWORD)
    eve.open("/admin/invitations")
    eve.fill(email=ADMINISTRATOR)
    eve.press("Invite")
    see("already has an account", "admin-invitations-refused")
    eve.fill(email=f"friend.{account}")
    eve.press("Invite")
    eve.sees("The invitation is on its way.")
    eve.open_mail(f"friend.{account}", "You are invited")
    see("New password", "link-invitation")
    eve.fill(password=PASSWORD)
    eve.press("Create account")
    see("Your account is ready.", "link-account-made")
    eve.open(f"/admin?search={ADMINISTRATOR}")
    eve.follow(ADMINISTRATOR)
    eve.press("Demote to user")
    see("the last active superuser", "admin-user-refused")
    eve.open("/admin?search=nobody@nowhere")
    see("No accounts match.", "admin-nobody")
    eve.context.close()

    problems = looker.take_problems()
    assert not problems, "\n".join(problems)


@ON_SQLITE
def test_the_html_of_every_page_is_valid(site: Site, tmp_path: Path):
    tool = html_validate()
    for email in (None, USER, ADMINISTRATOR):
        with httpx.Client(base_url=site.url, headers=AS_A_BROWSER) as client:
            if email is not None:
                client.post("/login", data={"email": email, "password": SAMPLE_PASSWORD})
            pages = [(route, text) for route, _, text in crawl(client, site.routes | MAIL_FRAMES)]
            pages += [
                (f"{path}-refused", client.post(path, data=form).text) for path, form in REFUSED.items()
            ]
        for route, text in pages:
            folder = tmp_path / ("mails" if route in MAIL_FRAMES else "pages")
            folder.mkdir(exist_ok=True)
            (folder / f"{name_of(route)}-{email}.html").write_text(text, "utf-8")

    problems = [
        invalid_html(tool, tmp_path / "pages", {}),
        # Outlook on Windows supports no layout other than tables with these attributes.
        invalid_html(tool, tmp_path / "mails", {"no-deprecated-attr": "off"}),
    ]

    assert problems == ["", ""], "\n".join(problems)

"""The second factor pages in a browser, in a project with authenticator apps.

The flows run with and without JavaScript, like those in `test_browser.py`, whose fixtures these tests share.
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Render, python_of_project, run
from looks import Looker, html_validate, invalid_html, name_of
from playwright.sync_api import Browser
from test_browser import (
    ON_SQLITE,
    PASSWORD,
    Visit,
    client_of,
    open_visitor,
)
from test_browser import account as account
from test_browser import administrator as administrator
from test_browser import chromium as chromium
from test_browser import looker as looker
from test_browser import site as site
from test_browser import visit as visit
from visitor import Site, Visitor

pytestmark = pytest.mark.minutes

PAGE = "/account/second-factors"
CODE = "import sys, time; from pyotp import TOTP; print(TOTP(sys.argv[1]).at(time.time() + int(sys.argv[2])))"
STEP = 30
"""The time step in seconds. A code is accepted only once, so a test that needs a second code uses the code of
the next step.
"""


@pytest.fixture(scope="module")
def project(render: Render) -> Path:
    return render(totp=True)


@pytest.fixture(scope="module")
def python(project: Path) -> Path:
    return python_of_project(project)


type CodeOf = Callable[..., str]


@pytest.fixture
def code_of(python: Path, project: Path) -> CodeOf:
    """`code_of(key)`: what an authenticator app with this key shows, or will show in *later* seconds."""
    return lambda key, later=0: run(python, "-c", CODE, key, str(later), cwd=project).strip()


@pytest.fixture
def verified(administrator: Visitor, account: str) -> str:
    """The address of an account that is allowed to set up an authenticator app."""
    administrator.open(f"/admin?search={account}")
    administrator.follow(account)
    administrator.press(f"Mark as verified: {account}")
    administrator.sees("The e-mail address has been marked as verified.")
    return account


def begin_to_set_up(visitor: Visitor, email: str) -> str:
    """Log in and open the page that shows the key. Returns the key."""
    visitor.log_in(email, PASSWORD)
    visitor.press("Manage your second factors")
    visitor.press("Set up an app")
    return visitor.page.locator(".key").inner_text().replace(" ", "")


def finish(visitor: Visitor, code: str) -> list[str]:
    """Enter the first code. Returns the recovery codes."""
    visitor.fill(code=code)
    visitor.press("Finish")
    visitor.sees("They are never shown again.")
    return visitor.page.locator(".codes").inner_text().split()


def give_password(visitor: Visitor, email: str) -> None:
    visitor.open("/login")
    visitor.fill(email=email, password=PASSWORD)
    visitor.press("Log in")
    visitor.sees("Your account also requires a second factor.")


def test_an_app_is_set_up_asked_for_and_removed(visit: Visit, verified: str, code_of: CodeOf):
    eve, with_code, with_recovery_code = visit(), visit(), visit()

    key = begin_to_set_up(eve, verified)
    eve.fill(code="000000")
    eve.press("Finish")
    eve.sees("The code is wrong or was used before.")
    codes = finish(eve, code_of(key))
    eve.press("I have saved the codes")
    eve.sees("10 of 10 left.")
    give_password(with_code, verified)
    with_code.fill(code=code_of(key, STEP))
    with_code.press("Log in")
    with_code.sees("You are logged in.")
    give_password(with_recovery_code, verified)
    with_recovery_code.page.locator("summary").click()
    with_recovery_code.fill(recovery_code=codes[0])
    with_recovery_code.press("Use the recovery code")
    with_recovery_code.sees("You are logged in.")
    eve.page.reload()
    eve.sees("9 of 10 left.")
    eve.press("Remove the app")
    eve.sees("your recovery codes will no longer work")
    eve.press("Remove the app")

    eve.sees("The second factor has been removed.")
    with_code.open("/account")
    with_code.is_at("/login?next=%2Faccount")


def test_an_administrator_resets_the_factors(
    visit: Visit, administrator: Visitor, verified: str, code_of: CodeOf
):
    eve = visit()

    finish(eve, code_of(begin_to_set_up(eve, verified)))
    administrator.press(f"Second factors: {verified}")
    administrator.sees("Authenticator app")
    administrator.press(f"Remove all second factors: {verified}")
    administrator.sees("The second factors have been removed")

    eve.log_in(verified, PASSWORD)


@ON_SQLITE
def test_every_page_can_be_read_by_all_and_is_valid(
    site: Site,
    chromium: Browser,
    looker: Looker,
    administrator: Visitor,
    verified: str,
    code_of: CodeOf,
    tmp_path: Path,
):
    tool, eve, pages = html_validate(), open_visitor(site, chromium), tmp_path / "pages"
    pages.mkdir()

    def look(path: str) -> None:
        eve.open(path)
        looker.look(eve.page, name_of(path))
        with client_of(eve) as client:
            (pages / f"{name_of(path)}.html").write_text(client.get(path).text, "utf-8")

    key = begin_to_set_up(eve, verified)
    look(f"{PAGE}/app")
    finish(eve, code_of(key))
    looker.look(eve.page, "recovery-codes")
    look(PAGE)
    look(f"{PAGE}/app/remove")
    look("/confirm/second-factor")
    with client_of(eve) as client:
        codes = client.post(f"{PAGE}/recovery-codes", data={"x": ""})
    (pages / "recovery-codes.html").write_text(codes.text, "utf-8")
    eve.page.get_by_role("button", name="Log out").click()
    give_password(eve, verified)
    look("/login/second-factor")
    eve.page.locator("summary").click()
    eve.fill(recovery_code="nonsense")
    eve.press("Use the recovery code")
    eve.sees("The code is wrong or was used before.")
    looker.look(eve.page, "login-second-factor-refused")
    eve.context.close()
    administrator.press(f"Second factors: {verified}")
    with client_of(administrator) as client:
        shown = client.get(re.sub(r"^https?://[^/]+", "", administrator.page.url))
    (pages / "administration.html").write_text(shown.text, "utf-8")

    problems = looker.take_problems()
    assert not problems, "\n".join(problems)
    assert invalid_html(tool, pages, {}) == ""

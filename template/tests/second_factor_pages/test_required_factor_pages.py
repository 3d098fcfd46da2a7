"""REQUIRE_SECOND_FACTOR on pages: who lacks a factor is led to the page where one is set up."""

import pytest
from pyotp.totp import TOTP

from app import clock
from tests.second_factor_pages.conftest import ADA, follow, secret_on

PAGE = "/account/second-factors"
BUTTON = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def newcomer(make_user, manager, browser):
    """A browser that has logged in with a password only, although a factor is required."""
    await make_user(ADA["email"], is_verified=True)
    manager.require_second_factor = "all"
    entered = await browser.post("/login", data=ADA)
    assert entered.status_code == 303, entered.text
    return browser


@pytest.mark.parametrize("path", ["/account", "/account/sessions", "/admin", "/account/password"])
async def test_every_page_leads_to_the_set_up(newcomer, path):
    answer = await newcomer.get(path)

    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)


async def test_after_the_set_up_all_pages_open(newcomer):
    page = await newcomer.get(PAGE)
    shown = await follow(newcomer, await newcomer.post(f"{PAGE}/app", content=b"", headers=BUTTON))
    code = TOTP(secret_on(shown)).at(clock.now())
    done = await newcomer.post(f"{PAGE}/app/confirm", data={"code": code})

    assert (page.status_code, done.status_code) == (200, 200)
    assert (await newcomer.get("/account")).status_code == 200


async def test_the_person_can_log_out(newcomer):
    await newcomer.post("/logout", content=b"", headers=BUTTON)

    assert (await newcomer.get("/account")).headers["location"].startswith("/login")

"""REQUIRE_SECOND_FACTOR on pages: users without a factor are redirected to the page where they set one up."""

import pytest

from tests.second_factor_pages.conftest import ADA, press

PAGE = "/account/second-factors"


@pytest.fixture
async def newcomer(make_user, manager, browser):
    """A browser that has logged in with only a password, even though a second factor is required."""
    await make_user(ADA["email"], is_verified=True)
    manager.require_second_factor = "all"
    entered = await browser.post("/login", data=ADA)
    assert entered.status_code == 303, entered.text
    return browser


@pytest.mark.parametrize("path", ["/account", "/account/sessions", "/admin", "/account/password"])
async def test_every_page_redirects_to_the_setup_page(newcomer, path):
    answer = await newcomer.get(path)

    assert (answer.status_code, answer.headers["location"]) == (303, PAGE)


async def test_the_setup_page_opens(newcomer):
    assert (await newcomer.get(PAGE)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/verify", "/forgot"])
async def test_public_pages_show_that_the_user_is_logged_in(newcomer, path):
    page = await newcomer.get(path)

    assert page.status_code == 200
    assert 'action="/logout"' in page.text


async def test_a_new_link_can_be_requested(newcomer):
    answer = await newcomer.post("/verify", data={"email": ADA["email"]})

    assert answer.headers["location"] == "/account"


async def test_the_user_can_log_out(newcomer):
    await press(newcomer, "/logout")

    assert (await newcomer.get("/account")).headers["location"].startswith("/login")


# Your own tests go below; template updates never touch them.

"""The authenticator app pages under attack: guessing, caches and logs."""

import logging

import pytest
from pyotp.totp import TOTP

from app import clock
from app.users.rate_limits import Limit, Limits
from tests.conftest import PASSWORD
from tests.second_factor_pages.conftest import follow, press
from tests.totp.conftest import STEP
from tests.totp_pages.conftest import APP, PAGE, secret_on


@pytest.mark.parametrize("path", [APP, f"{APP}/confirm", f"{APP}/remove"])
async def test_changing_apps_is_limited(app, manager, signed_in, path):
    """Checklist 10."""
    manager.limits = Limits(app.state.limiter, {"change_factors": Limit(ip="1/h")})
    await signed_in.post(path, data={"code": "000000"})

    assert (await signed_in.post(path, data={"code": "000000"})).status_code == 429


async def test_the_key_is_in_no_url_log_or_cache(eve, caplog):
    """Checklist 31."""
    caplog.set_level(logging.DEBUG)
    begun = await press(eve, APP)
    shown = await follow(eve, begun)
    code = TOTP(secret_on(shown)).at(clock.now())
    done = await eve.post(f"{APP}/confirm", data={"code": code})
    answers = [begun, shown, done]

    urls = " ".join(f"{each.url} {each.headers.get('location', '')}" for each in answers)
    assert [each for each in (secret_on(shown), code) if each in urls or each in caplog.text] == []
    assert {each.headers["cache-control"] for each in answers} == {"no-store"}
    assert {each.headers["referrer-policy"] for each in answers} == {"no-referrer"}


async def test_another_login_does_not_see_the_key(eve, make_browser, wait):
    """Checklist 31."""
    await press(eve, APP)
    wait(STEP)
    elsewhere = await make_browser()
    await elsewhere.post("/login", data={"email": "eve@example.com", "password": PASSWORD})

    answers = [await browser.get(APP) for browser in (eve, elsewhere)]

    assert [each.status_code for each in answers] == [200, 303]
    assert answers[1].headers["location"] == PAGE


# Your own tests go below; template updates never touch them.

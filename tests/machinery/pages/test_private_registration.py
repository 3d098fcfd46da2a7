"""REGISTRATION=private on pages: nothing reveals whether an address is taken."""

import pytest

from tests.pages.conftest import make_browser as make_browser
from tests.users.conftest import other_app as other_app


@pytest.fixture
def as_stranger(other_app, make_browser, app):
    """`await as_stranger("ada@example.com")`: register, then try eleven wrong passwords."""
    private = other_app(registration="private")

    async def explore(email):
        browser = await make_browser(private)
        own = {"email": email, "password": "a password of the attacker"}
        registered = await browser.post("/register", data=own)
        wrong = own | {"password": "a wrong password"}
        answers = [await browser.post("/users/login", json=wrong) for _ in range(11)]
        await app.state.limiter.clear()
        await private.state.limiter.clear()
        return [registered.status_code, *(each.status_code for each in answers)]

    return explore


async def test_the_limit_of_wrong_passwords_does_not_reveal_a_taken_address(as_stranger, make_user):
    """Checklist 13. Browsers that are known for an account have a separate limit."""
    await make_user("ada@example.com", is_verified=True)

    taken, new = await as_stranger("ada@example.com"), await as_stranger("eve@example.com")

    assert new == taken == [303, *[401] * 8, *[429] * 3]

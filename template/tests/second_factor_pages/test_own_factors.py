"""Managing your own second factors on pages, without JavaScript."""

from datetime import timedelta

import pytest

from app.second_factor_pages import parts
from tests.second_factor_pages.conftest import codes_on, give_password, press

PAGE = "/account/second-factors"


@pytest.fixture
async def eve(make_user, log_in):
    """The browser of an account without a factor."""
    return await log_in(await make_user("eve@example.com", is_verified=True))


# What an account has


async def test_the_account_page_links_to_a_section_for_each_factor(eve, signed_in):
    account = await eve.get("/account")
    pages = [await browser.get(PAGE) for browser in (eve, signed_in)]

    assert f'href="{PAGE}"' in account.text
    assert "It is not set up." in pages[0].text
    assert "Recovery codes" not in pages[0].text
    assert "It is set up." in pages[1].text
    assert "10 of 10 left." in pages[1].text


async def test_a_section_has_its_own_values(app, signed_in):
    async def items_of(request, db, user):
        return {"items_of_other": [f"item of {user.email}"]}

    parts.add(app, parts.Part("other", "Other", "other", "sample/ask.html", "sample/items.html", items_of))

    assert "<li>item of ada@example.com</li>" in (await signed_in.get(PAGE)).text


# Recovery codes


async def test_new_recovery_codes_replace_the_earlier_ones(signed_in, owner, browser):
    shown = await press(signed_in, f"{PAGE}/recovery-codes")
    await give_password(browser)
    old = await browser.post("/login/second-factor", data={"recovery_code": owner.recovery_codes[0]})
    new = await browser.post("/login/second-factor", data={"recovery_code": codes_on(shown)[0]})

    assert len(codes_on(shown)) == 10
    assert (old.status_code, new.status_code) == (400, 303)
    assert "9 of 10 left." in (await signed_in.get(PAGE)).text


async def test_the_codes_are_shown_once(signed_in):
    await press(signed_in, f"{PAGE}/recovery-codes")

    assert codes_on(await signed_in.get(PAGE)) == []


async def test_the_page_with_the_codes_has_no_language_switch(signed_in):
    """The language switch would open a different page, and the codes would be lost."""
    shown = await press(signed_in, f"{PAGE}/recovery-codes")

    assert 'action="/language"' in (await signed_in.get(PAGE)).text
    assert 'action="/language"' not in shown.text


async def test_an_account_without_a_factor_has_no_recovery_codes(eve):
    answer = await press(eve, f"{PAGE}/recovery-codes")

    assert answer.headers["location"] == PAGE


async def test_viewing_factors_requires_a_recent_login(signed_in, wait):
    wait(timedelta(minutes=11))

    answer = await signed_in.get(PAGE)

    assert answer.headers["location"].startswith("/confirm?next=%2Faccount%2Fsecond-factors")


async def test_changing_factors_requires_a_recent_login(signed_in, wait):
    """Checklist 24."""
    wait(timedelta(minutes=11))

    answer = await press(signed_in, f"{PAGE}/recovery-codes")
    opened = await signed_in.get(f"{PAGE}/recovery-codes")

    assert answer.headers.get("location", "").startswith("/confirm?next=%2Faccount%2Fsecond-factors")
    assert opened.status_code == 303


# What is recorded


async def test_the_activity_is_described_in_words(signed_in, owner, browser, remove, log_in):
    await give_password(browser)
    await browser.post("/login/second-factor", data={"recovery_code": "x"})
    await signed_in.post("/confirm/second-factor", data={"recovery_code": "x"})
    await signed_in.post("/confirm/second-factor", data={"recovery_code": owner.recovery_codes[0]})
    await press(signed_in, f"{PAGE}/recovery-codes")
    await remove(owner.user)

    page = (await (await log_in(owner.user)).get("/account/activity")).text

    for sentence in (
        "A second factor was added",
        "A wrong recovery code was entered at login, after the correct password",
        "A wrong recovery code was entered when confirming the login",
        "The login was confirmed with a recovery code",
        "New recovery codes were generated",
        "A second factor was removed",
    ):
        assert sentence in page


# Your own tests go below; template updates never touch them.

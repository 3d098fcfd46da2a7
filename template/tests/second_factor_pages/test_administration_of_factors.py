"""Administrators can see and remove second factors on an account's page."""

from datetime import timedelta

import pytest

from tests.second_factor_pages.conftest import follow, give_password, press


@pytest.fixture
async def admin(make_user, log_in):
    return await log_in(await make_user("root@example.com", is_superuser=True))


def path_of(owner):
    return f"/admin/users/{owner.user.id}/second-factors"


async def test_the_account_page_links_to_the_accounts_factors(admin, owner):
    account = await admin.get(f"/admin/users/{owner.user.id}")
    page = await admin.get(path_of(owner))

    assert f'href="{path_of(owner)}"' in account.text
    assert "Sample factor" in page.text
    assert "<dd>10</dd>" in page.text


async def test_an_administrator_resets_the_factors(admin, owner, signed_in, browser):
    page = await follow(admin, await press(admin, path_of(owner)))
    again = await press(admin, path_of(owner))
    ended = await signed_in.get("/account")
    logged_in = await give_password(browser)

    assert "The second factors have been removed" in page.text
    assert "Remove all second factors" not in page.text
    assert again.headers["location"] == path_of(owner)
    assert ended.headers["location"].startswith("/login?")
    assert "You are logged in." in logged_in.text


async def test_a_reset_is_in_the_audit_log(admin, owner):
    await press(admin, path_of(owner))

    assert "All second factors were removed by an administrator" in (await admin.get("/admin/audit")).text


async def test_other_users_can_neither_see_nor_reset_factors(owner, signed_in):
    answers = [await signed_in.get(path_of(owner)), await signed_in.post(path_of(owner), data={"x": ""})]

    assert [each.status_code for each in answers] == [403, 403]


async def test_resetting_factors_requires_a_recent_login(admin, owner, wait):
    """Checklist 24."""
    wait(timedelta(minutes=11))

    answer = await press(admin, path_of(owner))

    assert answer.headers["location"].startswith("/confirm?next=")
    assert "Sample factor" in (await admin.get(path_of(owner))).text


async def test_an_unknown_account_has_no_page(admin):
    assert (await admin.get("/admin/users/nobody/second-factors")).status_code == 404


# Your own tests go below; template updates never touch them.

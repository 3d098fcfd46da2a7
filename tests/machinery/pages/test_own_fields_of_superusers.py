"""The buttons on an account's page do not change the columns that you let superusers change."""

import msgspec

from app.pages.routes import admin
from app.users.schemas import UserUpdate
from tests.users.conftest import stored as stored


class Update(UserUpdate):
    language: str | msgspec.UnsetType | None = msgspec.UNSET


async def test_a_button_keeps_a_column_of_your_own(log_in, make_user, stored, monkeypatch):
    monkeypatch.setitem(admin._CHANGES, "verified", Update(is_verified=True))
    browser = await log_in(await make_user("root@example.com", is_superuser=True))
    user = await make_user(language="de")

    answer = await browser.post(f"/admin/users/{user.id}", data={"change": "verified"})

    now = await stored(user)
    assert answer.status_code == 303
    assert (now.is_verified, now.language) == (True, "de")

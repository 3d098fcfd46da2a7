"""An account that other data refers to cannot be deleted. The pages explain why, as the API does."""

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String

from tests.pages.conftest import log_in as log_in
from tests.users.conftest import create_table as create_table


@pytest.fixture
async def in_use(make_user, create_table, db):
    """An account that a row of another table refers to."""
    owner = Column("user_id", String(36), ForeignKey("users.id"))
    orders = await create_table("orders", Column("id", Integer, primary_key=True), owner)
    user = await make_user()
    async with db.session() as session:
        await session.execute(orders.insert().values(id=1, user_id=user.id))
    yield user
    async with db.session() as session:
        await session.execute(orders.delete())


async def test_the_owner_sees_why_the_account_cannot_be_deleted(in_use, log_in):
    browser = await log_in(in_use)

    answer = await browser.post("/account/delete")

    assert answer.status_code == 409
    assert "other data refers to it" in answer.text


async def test_a_superuser_sees_why_the_account_cannot_be_deleted(in_use, make_user, log_in):
    browser = await log_in(await make_user("root@example.com", is_superuser=True))

    answer = await browser.post(f"/admin/users/{in_use.id}/delete", data={"email": in_use.email})

    assert answer.status_code in (400, 409)
    assert "other data refers to it" in answer.text


async def test_changes_made_by_a_hook_are_undone(in_use, manager, log_in, db, monkeypatch):
    async def erase(user):
        user.language = "de"

    monkeypatch.setattr(manager, "on_before_delete", erase)
    browser = await log_in(in_use)

    answer = await browser.post("/account/delete")

    assert answer.status_code == 409
    async with db.session() as session:
        assert (await session.get_one(type(in_use), in_use.id)).language is None

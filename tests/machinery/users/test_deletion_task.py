"""The worker deletes the accounts whose grace has passed."""

from datetime import timedelta

import pytest

from app import clock


@pytest.fixture
def delete_due_accounts(app):
    return next(task.do for task in app.state.tasks if task.name == "delete due accounts")


async def test_an_account_that_cannot_be_deleted_does_not_keep_the_others(
    manager, make_user, stored, delete_due_accounts, caplog
):
    kept = await make_user("kept@example.com", delete_after=clock.now() - timedelta(days=2))
    gone = await make_user("gone@example.com", delete_after=clock.now() - timedelta(days=1))

    async def keep(user):
        if user.id == kept.id:
            raise RuntimeError("not this one")

    manager.on_before_delete = keep

    await delete_due_accounts()

    assert await stored(gone) is None
    assert await stored(kept) is not None
    assert "not this one" in caplog.text

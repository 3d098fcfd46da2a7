"""Between the deletion of an account by its owner and its end."""

from datetime import timedelta

import pytest

from app import clock

ADA = {"email": "ada@example.com", "password": "correct horse battery"}


async def test_logins_at_once_take_a_deletion_back_once(client, make_user, at_once, events, stored):
    user = await make_user("ada@example.com", delete_after=clock.now() + timedelta(days=1))

    statuses = await at_once(5, lambda: client.post("/users/login", json=ADA))

    assert statuses == [200] * 5
    assert (await stored(user)).delete_after is None
    assert [each.event for each in await events()].count("delete_cancelled") == 1


@pytest.mark.parametrize("route", ["password-reset", "verify"])
async def test_an_account_whose_grace_has_passed_gets_no_link(client, make_user, outbox, outbox_rows, route):
    """Its link would not work; the work is done as for an unknown address. Checklist 13."""
    await make_user("ada@example.com", delete_after=clock.now())

    answer = await client.post(f"/users/{route}/request", json={"email": "ada@example.com"})

    assert answer.status_code == 202
    assert await outbox() == []
    assert await outbox_rows() == 1

"""Deleting an account in detail: concurrency, the exact grace period and the worker."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from app import clock

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)

WEEK = timedelta(days=7)

INSTANT = timedelta(microseconds=1)

GRACES = pytest.mark.parametrize("grace", [timedelta(), WEEK], ids=["at once", "with a grace"])


@pytest.fixture
def delete(client):
    """`await delete(visit)`: what a front end sends."""

    async def send(visit, **headers):
        return await client.delete("/users/me", headers=visit.headers | headers)

    return send


@pytest.fixture
def deleted(manager, make_user, visit, delete, set_clock):
    """`await deleted("ada@example.com")`: an account deleted at noon, with a grace period of a week."""

    async def make(email="ada@example.com", **columns):
        manager.deletion_grace = WEEK
        set_clock(NOON)
        user = await make_user(email, **columns)
        await delete(await visit(user))
        return user

    return make


@pytest.fixture
def names(events):
    """`await names()`: the names and actors of the events in the audit log, oldest first."""

    async def read():
        return [(event.event, event.actor) for event in await events()]

    return read


# Immediately


@GRACES
async def test_concurrent_deletions_happen_once(
    manager, make_user, visit, delete, at_once, outbox, names, grace
):
    manager.deletion_grace = grace
    user = await make_user()
    here = await visit(user)

    statuses = await at_once(4, lambda: delete(here))

    assert statuses[0] == 204
    assert set(statuses[1:]) <= {204, 401}
    assert len(await names()) == 1
    assert len(await outbox()) == 1


async def test_the_hook_runs_once_for_two_concurrent_deletions(manager, make_user, visit, delete, at_once):
    here = await visit(await make_user())
    called = []

    async def hook(user):
        called.append(user.email)

    manager.on_before_delete = hook

    await at_once(4, lambda: delete(here))

    assert called == ["ada@example.com"]


# Refused deletions


@GRACES
async def test_one_of_two_superusers_may_delete_the_account(manager, make_user, visit, delete, grace):
    manager.deletion_grace = grace
    await make_user("eve@example.com", is_superuser=True)

    answer = await delete(await visit(await make_user(is_superuser=True)))

    assert answer.status_code == 204


@GRACES
async def test_two_superusers_cannot_both_delete_their_accounts(
    manager, make_user, visit, delete, at_once, grace
):
    manager.deletion_grace = grace
    emails = ("ada@example.com", "eve@example.com")
    visits = iter([await visit(await make_user(email, is_superuser=True)) for email in emails])

    statuses = await at_once(2, lambda: delete(next(visits)))

    assert statuses == [204, 409]


async def test_a_superuser_scheduled_for_deletion_does_not_count(make_user, visit, delete, deleted):
    last = await make_user("eve@example.com", is_superuser=True)
    await deleted(is_superuser=True)

    answer = await delete(await visit(last))

    assert answer.status_code == 409


# With a grace period


async def test_a_wrong_password_does_not_cancel_the_deletion(client, deleted, stored):
    user = await deleted()

    answer = await client.post("/users/login", json=ADA | {"password": "wrong"})

    assert answer.status_code == 401
    assert (await stored(user)).delete_after == NOON + WEEK


async def test_a_disabled_account_cannot_cancel_its_deletion(client, deleted, change, stored):
    user = await deleted()
    await change(user, is_active=False)

    answer = await client.post("/users/login", json=ADA)

    assert answer.status_code == 401
    assert (await stored(user)).delete_after == NOON + WEEK


async def test_nobody_logs_in_after_the_grace_period_even_without_a_worker(
    client, deleted, set_clock, stored
):
    user = await deleted()
    set_clock(NOON + WEEK)

    answer = await client.post("/users/login", json=ADA)

    assert answer.status_code == 401
    assert (await stored(user)).delete_after == NOON + WEEK


async def test_after_the_grace_period_the_account_seems_not_to_exist(client, deleted, set_clock):
    await deleted()
    set_clock(NOON + WEEK)

    gone = await client.post("/users/login", json=ADA)
    nobody = await client.post("/users/login", json=ADA | {"email": "nobody@example.com"})

    assert (gone.status_code, gone.content) == (nobody.status_code, nobody.content)


async def test_a_reset_does_not_cancel_the_deletion(client, manager, deleted, stored):
    user = await stored(await deleted())

    await client.post(f"/users/password-reset/{manager.reset_token(user)}", json={"password": "x" * 12})

    assert (await stored(user)).delete_after == NOON + WEEK


# The worker


async def test_the_worker_keeps_the_account_until_the_grace_period_ends(deleted, set_clock, do_task, stored):
    user = await deleted()
    set_clock(NOON + WEEK - INSTANT)

    await do_task("delete due accounts")

    assert await stored(user) is not None


async def test_two_workers_delete_each_account_only_once(
    deleted, set_clock, change, do_task, accounts, names, outbox
):
    users = [await deleted(f"ada{number}@example.com") for number in range(4)]
    await change(users[0], delete_after=NOON + WEEK + INSTANT)
    set_clock(NOON + WEEK)

    await asyncio.gather(*(do_task("delete due accounts") for _ in range(2)))

    assert [user.email for user in await accounts()] == ["ada0@example.com"]
    assert (await names()).count(("delete", "worker")) == 3
    assert len([mail for mail in await outbox() if "was deleted" in mail.subject]) == 3


async def test_a_login_is_refused_if_the_worker_deletes_the_account_meanwhile(
    client, deleted, set_clock, do_task, meanwhile, accounts
):
    await deleted()

    async def time_passes():
        set_clock(NOON + WEEK)
        await do_task("delete due accounts")

    meanwhile(time_passes)

    answer = await client.post("/users/login", json=ADA)

    assert answer.status_code == 401
    assert await accounts() == []


# During the grace period


async def test_concurrent_logins_cancel_a_deletion_once(client, make_user, at_once, events, stored):
    user = await make_user("ada@example.com", delete_after=clock.now() + timedelta(days=1))

    statuses = await at_once(5, lambda: client.post("/users/login", json=ADA))

    assert statuses == [200] * 5
    assert (await stored(user)).delete_after is None
    assert [each.event for each in await events()].count("delete_cancelled") == 1


@pytest.mark.parametrize("route", ["password-reset", "verify"])
async def test_an_account_past_its_grace_period_gets_no_link(client, make_user, outbox, outbox_rows, route):
    """Checklist 13. The link would be useless, and the work is the same as for an unknown address."""
    await make_user("ada@example.com", delete_after=clock.now())

    answer = await client.post(f"/users/{route}/request", json={"email": "ada@example.com"})

    assert answer.status_code == 202
    assert await outbox() == []
    assert await outbox_rows() == 1


async def test_an_account_whose_owner_logs_in_meanwhile_is_kept(
    deleted, set_clock, manager, do_task, stored, monkeypatch
):
    """A login has canceled the deletion, but the worker has already found the account."""
    user = await deleted()
    set_clock(NOON + WEEK)
    require_another_superuser = manager.require_another_superuser

    async def after_the_login(db, account):
        await db.execute(update(type(account)).values(delete_after=None))
        await require_another_superuser(db, account)

    monkeypatch.setattr(manager, "require_another_superuser", after_the_login)
    await do_task("delete due accounts")

    assert await stored(user) is not None

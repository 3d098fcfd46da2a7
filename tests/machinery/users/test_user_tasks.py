"""The account tasks: remove expired sessions and events, and delete accounts that are due."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, select
from sqlalchemy.exc import DBAPIError

from app import clock
from app.database import batches
from app.users import UserSession, record

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)


@pytest.fixture
def session_ids(db):
    """`await session_ids()`: the ids in the sessions table."""

    async def read():
        async with db.session(commit=False) as session:
            return set(await session.scalars(select(UserSession.id)))

    return read


@pytest.fixture
def deletions(manager, monkeypatch):
    """The number of sessions that each transaction deleted."""
    seen, remove = [], manager.sessions.remove_expired

    async def noting(db):
        seen.append(await remove(db))
        return seen[-1]

    monkeypatch.setattr(manager.sessions, "remove_expired", noting)
    return seen


def test_the_account_tasks_are_registered(app):
    assert {"clean", "delete due accounts"} <= {task.name for task in app.state.tasks}


@pytest.mark.parametrize(("age", "left"), [(14 * DAY - INSTANT, 1), (14 * DAY, 0)], ids=str)
async def test_a_long_unseen_session_is_removed(
    make_user, begin_session, set_clock, do_task, session_ids, age, left
):
    set_clock(NOON)
    await begin_session(await make_user())
    set_clock(NOON + age)

    await do_task("clean")

    assert len(await session_ids()) == left


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
async def test_however_many_have_expired_each_transaction_deletes_a_batch(
    make_user, begin_session, set_clock, do_task, session_ids, monkeypatch, deletions, number
):
    monkeypatch.setattr(batches, "BATCH", 2)
    set_clock(NOON)
    user = await make_user()
    for _ in range(number):
        await begin_session(user, remember=False)
    set_clock(NOON + DAY)
    await begin_session(user)

    await do_task("clean")

    assert len(await session_ids()) == 1
    assert [each for each in deletions if each] == [min(2, number - done) for done in range(0, number, 2)]


@pytest.mark.parametrize(("age", "left"), [(DAY - INSTANT, 1), (DAY, 0)], ids=str)
async def test_a_session_past_its_absolute_limit_is_removed(
    make_user, begin_session, set_clock, do_task, session_ids, age, left
):
    set_clock(NOON)
    await begin_session(await make_user(), remember=False)
    set_clock(NOON + age)

    await do_task("clean")

    assert len(await session_ids()) == left


@pytest.mark.parametrize(("age", "left"), [(14 * DAY - INSTANT, 1), (14 * DAY, 0)], ids=str)
async def test_a_revoked_session_is_kept_while_its_token_could_be_replayed(
    manager, db, make_user, begin_session, set_clock, do_task, session_ids, age, left
):
    set_clock(NOON)
    issued = await begin_session(await make_user())
    async with db.session() as session:
        await manager.sessions.revoke(session, issued.session)
    set_clock(NOON + age)

    await do_task("clean")

    assert len(await session_ids()) == left


async def test_the_retention_of_events_is_a_setting(build_app, db, set_clock, events):
    set_clock(NOON)
    async with db.session() as session:
        record(session, "login", "ada")
    set_clock(NOON + 30 * DAY + INSTANT)
    app = build_app(audit_retention_days=30)

    (task,) = [each for each in app.state.tasks if each.name == "clean"]
    await task.do()

    assert await events() == []


async def test_two_workers_can_clean_up_concurrently(
    make_user, begin_session, set_clock, do_task, session_ids
):
    set_clock(NOON)
    user = await make_user()
    await begin_session(user)
    await begin_session(user)
    set_clock(NOON + 14 * DAY)

    await asyncio.gather(do_task("clean"), do_task("clean"))

    assert await session_ids() == set()


async def test_a_failed_deletion_keeps_the_account_and_is_retried(
    manager, make_user, set_clock, do_task, stored, events, outbox
):
    user = await make_user(delete_after=NOON)
    set_clock(NOON)

    async def refuse(user):
        raise RuntimeError

    manager.on_before_delete = refuse
    await do_task("delete due accounts")
    kept = await stored(user), await events(), await outbox()
    manager.on_before_delete = None
    await do_task("delete due accounts")

    assert kept == (kept[0], [], [])
    assert kept[0] is not None
    assert await stored(user) is None


# Accounts past their grace period


@pytest.fixture
def delete_due_accounts(app):
    return next(task.do for task in app.state.tasks if task.name == "delete due accounts")


class Deadlock(Exception):
    sqlstate = "40P01"


@pytest.mark.parametrize(
    "error", [RuntimeError("not this one"), DBAPIError("UPDATE", {}, Deadlock("not this one"))], ids=type
)
async def test_a_failed_deletion_does_not_block_other_deletions(
    manager, make_user, stored, delete_due_accounts, caplog, error
):
    kept = await make_user("kept@example.com", delete_after=clock.now() - timedelta(days=2))
    gone = await make_user("gone@example.com", delete_after=clock.now() - timedelta(days=1))

    async def keep(user):
        if user.id == kept.id:
            raise error

    manager.on_before_delete = keep

    await delete_due_accounts()

    assert await stored(gone) is None
    assert await stored(kept) is not None
    assert "not this one" in caplog.text


async def test_accounts_that_are_in_use_do_not_stop_the_deletion_of_others(
    db, make_user, create_table, stored, delete_due_accounts
):
    """There are more of them than the number of failures after which a run gives up."""
    owner = Column("user_id", String(36), ForeignKey("users.id"))
    orders = await create_table("orders", Column("id", Integer, primary_key=True), owner)
    before, yesterday = clock.now() - timedelta(days=2), clock.now() - timedelta(days=1)
    for number in range(25):
        customer = await make_user(f"customer{number}@example.com", delete_after=before)
        async with db.session() as session:
            await session.execute(orders.insert().values(id=number, user_id=customer.id))
    gone = await make_user("gone@example.com", delete_after=yesterday)

    await delete_due_accounts()

    async with db.session() as session:
        await session.execute(orders.delete())
    assert await stored(gone) is None

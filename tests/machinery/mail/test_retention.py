"""How long the outbox keeps e-mails: no link outlives its expiry, and no e-mail is kept forever. CWE-459."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend
from hawkapi_sqlalchemy import Database
from sqlalchemy import insert, select, update

from app import clock
from app.keys import KeyRing
from app.mail import OutboxMessage, Worker, lease, worker
from app.mail.outbox import EXPIRED, set_aside
from app.mail.stored import PURPOSE, opened
from app.web import App

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
DAY, HOUR, INSTANT = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)

type Write = Callable[..., Awaitable[None]]
type SetClock = Callable[[datetime], None]
type Clean = Callable[..., Awaitable[None]]


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """`set_clock(moment)`: freeze the clock at *moment*."""
    return lambda moment: monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def write(app: App, db: Database, set_clock: SetClock) -> Write:
    """`await write(lifetime=3600)`: an e-mail with a link, written at noon."""

    async def send(**options: object) -> None:
        set_clock(NOON)
        async with db.session() as session:
            mailer = app.state.mail.for_session(session, **options)
            await mailer.send(
                EmailMessage.build(subject="Hello", to="ada@example.com", text="https://x/t0ken")
            )

    return send


@pytest.fixture
def fail(db: Database) -> Callable[[], Awaitable[None]]:
    """`await fail()`: set the waiting e-mail aside now."""

    async def give_up() -> None:
        async with db.session() as session:
            (row,) = await lease(session, HOUR)
            await set_aside(session, row, "refused")

    return give_up


@pytest.fixture
def clean(app: App) -> Clean:
    """`await clean()`: run the task once, for this application or another."""

    async def do(of: App = app) -> None:
        (task,) = [each for each in of.state.tasks if each.name == "clean the outbox"]
        await task.do()

    return do


async def rows(db: Database) -> list[OutboxMessage]:
    async with db.session(commit=False) as session:
        return list(await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


def text_of(app: App, row: OutboxMessage) -> str:
    return opened(row.message, KeyRing.of(app.state.settings, PURPOSE)).message.text_body


# Dead e-mails


@pytest.mark.parametrize(("age", "left"), [(30 * DAY, 1), (30 * DAY + INSTANT, 0)], ids=str)
async def test_a_dead_mail_is_deleted_after_the_retention(
    db: Database, write: Write, fail: Clean, set_clock: SetClock, clean: Clean, age: timedelta, left: int
) -> None:
    await write()
    await fail()
    set_clock(NOON + age)

    await clean()

    assert len(await rows(db)) == left


async def test_the_retention_starts_when_the_mail_is_set_aside(
    db: Database, write: Write, fail: Clean, set_clock: SetClock, clean: Clean
) -> None:
    await write()
    set_clock(NOON + 29 * DAY)
    await fail()
    set_clock(NOON + 31 * DAY)

    await clean()

    assert len(await rows(db)) == 1


async def test_the_retention_is_a_setting(
    db: Database,
    write: Write,
    fail: Clean,
    set_clock: SetClock,
    clean: Clean,
    build_app: Callable[..., App],
) -> None:
    await write()
    await fail()
    set_clock(NOON + 2 * DAY + INSTANT)

    await clean(build_app(mail_retention_days=2))

    assert await rows(db) == []


async def test_a_waiting_mail_is_never_deleted_for_its_age(
    app: App, db: Database, write: Write, set_clock: SetClock, clean: Clean
) -> None:
    await write()
    set_clock(NOON + 400 * DAY)

    await clean()

    (row,) = await rows(db)
    assert (row.status, "t0ken" in text_of(app, row)) == ("pending", True)


# E-mails that were written while a clock was wrong


@pytest.mark.parametrize("was_attempted", [True, False])
async def test_a_mail_postponed_by_a_wrong_clock_is_sent_now(
    app: App, db: Database, write: Write, set_clock: SetClock, clean: Clean, was_attempted: bool
) -> None:
    await write()
    if was_attempted:
        async with db.session() as session:
            await lease(session, HOUR)
    set_clock(NOON - 3650 * DAY)
    backend = InMemoryBackend()

    await clean()
    await Worker(db, backend).run_once()

    assert [mail.subject for mail in backend.sent] == ["Hello"]


async def test_the_longest_pause_between_attempts_is_kept(
    db: Database, write: Write, set_clock: SetClock, clean: Clean
) -> None:
    await write()
    longest = timedelta(seconds=1.2 * worker.MAX_RETRY)
    async with db.session() as session:
        await lease(session, longest)

    await clean()

    (row,) = await rows(db)
    assert row.next_attempt_at.replace(tzinfo=UTC) == NOON + longest


async def test_a_mail_that_was_scheduled_for_later_keeps_its_time(
    db: Database, write: Write, set_clock: SetClock, clean: Clean
) -> None:
    await write()
    async with db.session() as session:
        await session.execute(update(OutboxMessage).values(next_attempt_at=NOON + 10 * DAY))

    await clean()

    (row,) = await rows(db)
    assert row.next_attempt_at.replace(tzinfo=UTC) == NOON + 10 * DAY


# E-mails with a link


async def test_a_mail_keeps_its_content_until_its_link_expires(
    app: App, db: Database, write: Write, set_clock: SetClock, clean: Clean
) -> None:
    await write(lifetime=3600)
    set_clock(NOON + HOUR - INSTANT)

    await clean()

    (row,) = await rows(db)
    assert (row.status, "t0ken" in text_of(app, row), row.expires_at) == ("pending", True, NOON + HOUR)


async def test_a_waiting_mail_loses_its_content_when_its_link_expires(
    db: Database, write: Write, set_clock: SetClock, clean: Clean
) -> None:
    await write(lifetime=3600)
    set_clock(NOON + HOUR)

    await clean()

    (row,) = await rows(db)
    assert (row.status, row.message, row.last_error, row.subject) == ("dead", "", EXPIRED, "Hello")


async def test_a_dead_mail_loses_its_content_when_its_link_expires(
    db: Database, write: Write, fail: Clean, set_clock: SetClock, clean: Clean
) -> None:
    await write(lifetime=3600)
    await fail()
    set_clock(NOON + HOUR)

    await clean()

    (row,) = await rows(db)
    assert (row.status, row.message, row.last_error) == ("dead", "", "refused")


async def test_an_expired_mail_is_deleted_after_the_retention(
    db: Database, write: Write, set_clock: SetClock, clean: Clean
) -> None:
    await write(lifetime=3600)
    set_clock(NOON + HOUR)
    await clean()
    set_clock(NOON + HOUR + 30 * DAY + INSTANT)

    await clean()

    assert await rows(db) == []


async def test_two_workers_can_clean_up_concurrently(
    db: Database, write: Write, set_clock: SetClock, clean: Clean
) -> None:
    await write(lifetime=3600)
    await write(lifetime=3600)
    set_clock(NOON + HOUR)

    await asyncio.gather(clean(), clean())

    assert [(row.status, row.message) for row in await rows(db)] == [("dead", "")] * 2


# The worker


@pytest.mark.parametrize(
    ("age", "sent"), [(HOUR - INSTANT, ["Hello"]), (HOUR, [])], ids=["in time", "too late"]
)
async def test_an_expired_link_is_not_sent(
    db: Database, write: Write, set_clock: SetClock, age: timedelta, sent: list[str]
) -> None:
    await write(lifetime=3600)
    set_clock(NOON + age)
    backend = InMemoryBackend()

    await Worker(db, backend).run_once()

    assert [mail.subject for mail in backend.sent] == sent


async def test_the_worker_sets_an_expired_link_aside_without_its_content(
    db: Database, write: Write, set_clock: SetClock
) -> None:
    await write(lifetime=3600)
    set_clock(NOON + HOUR)

    await Worker(db, InMemoryBackend()).run_once()

    (row,) = await rows(db)
    assert (row.status, row.message, row.last_error) == ("dead", "", EXPIRED)


async def test_an_expired_dummy_mail_leaves_nothing_behind(
    db: Database, write: Write, set_clock: SetClock
) -> None:
    await write(lifetime=3600, discard=True)
    set_clock(NOON + HOUR)

    await Worker(db, InMemoryBackend()).run_once()

    assert await rows(db) == []


# Rows of older versions: their account and their link's expiry are unknown


@pytest.fixture
def as_before(db: Database, write: Write) -> Callable[[], Awaitable[None]]:
    """`await as_before()`: an e-mail as version 0.1.0 wrote it."""

    async def make() -> None:
        await write()
        async with db.session() as session:
            await session.execute(update(OutboxMessage).values(user_id=None, subject="", expires_at=None))

    return make


async def test_a_mail_of_an_older_version_is_sent(db: Database, as_before: Clean) -> None:
    await as_before()
    backend = InMemoryBackend()

    await Worker(db, backend).run_once()

    assert [mail.subject for mail in backend.sent] == ["Hello"]


async def test_a_dead_mail_of_an_older_version_is_deleted(
    db: Database, as_before: Clean, fail: Clean, set_clock: SetClock, clean: Clean
) -> None:
    await as_before()
    await fail()
    set_clock(NOON + 30 * DAY + INSTANT)

    await clean()

    assert await rows(db) == []


async def test_rows_of_an_older_version_are_accepted(db: Database) -> None:
    """During a rollout, the older version still writes rows."""
    older = {"message": "x", "status": "pending", "attempts": 0, "last_error": ""}
    times = {"next_attempt_at": NOON, "created_at": NOON}

    async with db.session() as session:
        await session.execute(insert(OutboxMessage.__table__).values(older | times))  # type: ignore[arg-type]

    (row,) = await rows(db)
    assert (row.user_id, row.subject, row.expires_at) == (None, "", None)

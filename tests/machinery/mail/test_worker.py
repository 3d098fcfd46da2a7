"""The worker sends each e-mail once, retries failures, gives up after the last attempt and logs no secret."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hawkapi_mail import EmailMessage, RetryPolicy, SendError, SendResult
from hawkapi_sqlalchemy import Database
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from app import clock
from app.mail import OutboxMessage, Undeliverable, Worker, build_worker, enqueue, install, outbox, worker
from app.mail.outbox import lease
from app.settings import Settings

AT_ONCE = RetryPolicy(max_attempts=3, base_seconds=0)
DATABASE_IS_GONE = OperationalError("SELECT", {}, ConnectionError("gone"))


class Sender:
    """A backend that fails with each of the given errors in turn and then sends."""

    name = "test"

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.message_ids: list[str] = []
        self.sent: list[str] = []

    async def send(self, message: EmailMessage) -> SendResult:
        self.message_ids.append(message.message_id)
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.sleep(0)
        self.sent.append(message.subject)
        return SendResult(message_id=message.message_id, provider=self.name)

    async def close(self) -> None:
        self.sent.append("closed")


type Write = Callable[..., Awaitable[None]]


@pytest.fixture
def write(db: Database) -> Write:
    """`await write("a", "b")`: two e-mails in the outbox, with these subjects."""

    async def enqueue_all(*subjects: str, discard: bool = False) -> None:
        async with db.session() as session:
            for subject in subjects:
                message = EmailMessage.build(subject=subject, sender="us@example.com", to="ada@example.com")
                enqueue(session, message, discard=discard)

    return enqueue_all


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Stops `worker.run(stop)`, whose waits are short here."""
    monkeypatch.setattr(worker, "IDLE", 0.01)
    monkeypatch.setattr(worker, "BUSY", 0.01)
    return asyncio.Event()


async def rows(db: Database) -> list[OutboxMessage]:
    async with db.session(commit=False) as session:
        return list(await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


async def until_empty(db: Database) -> None:
    async with asyncio.timeout(10):
        while await rows(db):
            await asyncio.sleep(0.01)


async def test_waiting_mails_are_sent_and_deleted(db: Database, write: Write) -> None:
    await write("first", "second")
    sender = Sender()

    handled = await Worker(db, sender).run_once()

    assert handled == 2
    assert sender.sent == ["first", "second"]
    assert await rows(db) == []


async def test_an_empty_outbox_sends_nothing(db: Database) -> None:
    assert await Worker(db, Sender()).run_once() == 0


async def test_three_workers_send_every_mail_once(db: Database, write: Write) -> None:
    subjects = [f"{number}" for number in range(30)]
    await write(*subjects)
    sender = Sender()

    await asyncio.gather(*(Worker(db, sender).run_once() for _ in range(3)))

    assert sorted(sender.sent, key=int) == subjects


async def test_a_dummy_mail_is_deleted_unsent(db: Database, write: Write) -> None:
    await write("decoy", discard=True)
    sender = Sender()

    await Worker(db, sender).run_once()

    assert sender.sent == []
    assert await rows(db) == []


async def test_a_mail_has_the_same_id_on_every_attempt(db: Database, write: Write) -> None:
    await write("hello")
    sender = Sender(SendError("down"), SendError("down"))

    await Worker(db, sender, retry=AT_ONCE).run_once()

    assert len(sender.message_ids) == 3
    assert len(set(sender.message_ids)) == 1


# Failing


async def test_a_failed_mail_is_retried_later(db: Database, write: Write) -> None:
    await write("hello")

    await Worker(db, Sender(SendError("SMTPConnectError"))).run_once()

    (row,) = await rows(db)
    wait = row.next_attempt_at.replace(tzinfo=UTC) - datetime.now(UTC)
    assert (row.status, row.attempts, row.last_error) == ("pending", 1, "SMTPConnectError")
    assert timedelta(seconds=5) < wait < timedelta(seconds=15)


async def test_each_wait_is_longer_than_the_last(db: Database, write: Write) -> None:
    await write("hello")
    async with db.session() as session:
        await session.execute(update(OutboxMessage).values(attempts=3))

    await Worker(db, Sender(SendError("down"))).run_once()

    (row,) = await rows(db)
    assert row.next_attempt_at.replace(tzinfo=UTC) - datetime.now(UTC) > timedelta(seconds=60)


async def test_a_mail_is_retried_for_about_a_day_and_at_least_every_72_minutes(
    db: Database, write: Write, later: Callable[[float], None]
) -> None:
    await write("hello")
    begin, waits = clock.now(), [0.0]
    max_attempts = Settings.model_fields["mail_max_attempts"].default
    while (await rows(db))[0].status == "pending":
        later(waits[-1])
        await Worker(db, Sender(SendError("down")), max_attempts=max_attempts).run_once()
        waits.append((await due(db) - clock.now()).total_seconds())

    assert timedelta(hours=20) < clock.now() - begin < timedelta(hours=29)
    assert max(waits) <= 1.2 * worker.MAX_RETRY == 72 * 60
    assert len({round(wait) for wait in waits if wait > 40 * 60}) > 10, "the waits do not vary"


async def test_a_mail_outlasts_an_hour_without_a_server(
    db: Database, write: Write, settings: Settings, later: Callable[[float], None]
) -> None:
    await write("hello")
    begin, sender = clock.now(), Sender(*[SendError("down")] * 100)
    while clock.now() - begin < timedelta(hours=1):
        await Worker(db, sender, max_attempts=settings.mail_max_attempts).run_once()
        later((await due(db) - clock.now()).total_seconds())
    sender.errors.clear()

    await Worker(db, sender, max_attempts=settings.mail_max_attempts).run_once()

    assert sender.sent == ["hello"]


async def test_an_expired_link_is_not_retried(
    db: Database, write: Write, later: Callable[[float], None]
) -> None:
    await write("hello")
    async with db.session() as session:
        expiry = clock.now() + timedelta(hours=1)
        await session.execute(update(OutboxMessage).values(expires_at=expiry))
    sender = Sender(SendError("down"))
    await Worker(db, sender).run_once()
    later(3600)

    await Worker(db, sender).run_once()

    (row,) = await rows(db)
    assert (row.status, row.last_error) == ("dead", outbox.EXPIRED)
    assert sender.sent == []


async def test_a_failed_mail_is_sent_on_the_next_attempt(db: Database, write: Write) -> None:
    await write("hello")
    sender = Sender(SendError("down"), ConnectionError())

    await Worker(db, sender, retry=AT_ONCE).run_once()

    assert sender.sent == ["hello"]
    assert await rows(db) == []


async def test_a_mail_is_set_aside_after_its_last_attempt(db: Database, write: Write) -> None:
    await write("hello")
    sender = Sender(*[SendError("down")] * 3)

    await Worker(db, sender, retry=AT_ONCE).run_once()

    (row,) = await rows(db)
    assert (row.status, row.attempts, row.last_error) == ("dead", 3, "down")
    assert sender.sent == []


async def test_an_undeliverable_mail_is_set_aside_at_once(db: Database, write: Write) -> None:
    await write("hello", "next")
    sender = Sender(Undeliverable("SMTPDataError 550"))

    await Worker(db, sender).run_once()

    (row,) = await rows(db)
    assert (row.status, row.attempts, row.last_error) == ("dead", 1, "SMTPDataError 550")
    assert sender.sent == ["next"]


async def test_a_hanging_send_times_out(db: Database, write: Write) -> None:
    class Hanging(Sender):
        async def send(self, message: EmailMessage) -> SendResult:
            return await asyncio.Future()

    await write("hello")

    await Worker(db, Hanging(), send_timeout=0.05).run_once()

    (row,) = await rows(db)
    assert (row.status, row.last_error) == ("pending", "TimeoutError")


async def test_an_unreadable_row_is_set_aside(db: Database, write: Write) -> None:
    async with db.session() as session:
        session.add(OutboxMessage(message='{"message": 1}'))
    await write("next")
    sender = Sender()

    await Worker(db, sender).run_once()

    (row,) = await rows(db)
    assert (row.status, row.last_error) == ("dead", "the stored e-mail cannot be read")
    assert sender.sent == ["next"]


async def test_no_secret_gets_into_the_log_or_the_table(
    db: Database, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="app.mail")
    await write("s3cret subject")

    await Worker(db, Sender(RuntimeError("https://x.example/s3cret")), retry=AT_ONCE).run_once()
    await write("s3cret subject")
    await Worker(db, Sender(RuntimeError("https://x.example/s3cret")), max_attempts=1).run_once()

    (row,) = await rows(db)
    assert row.last_error == "RuntimeError"
    assert "set aside" in caplog.text
    assert "s3cret" not in caplog.text
    assert "ada@example.com" not in caplog.text


# Leases


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`later(10)`: move the clock forward by that many seconds. Otherwise the clock is frozen."""
    now = datetime.now(UTC)

    def move(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)

    monkeypatch.setattr(clock, "now", lambda: now)
    return move


class Slow(Sender):
    """A backend that has started to send, and finishes when `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def send(self, message: EmailMessage) -> SendResult:
        self.begun.set()
        await self.go.wait()
        return await super().send(message)


async def due(db: Database) -> datetime:
    (row,) = await rows(db)
    return row.next_attempt_at.replace(tzinfo=UTC)


async def until_renewed(db: Database, seconds: float) -> None:
    async with asyncio.timeout(30):
        while await due(db) != clock.now() + timedelta(seconds=seconds):
            await asyncio.sleep(0.01)


async def test_the_mail_of_a_killed_worker_is_sent_within_ten_seconds(
    db: Database, write: Write, later: Callable[[float], None]
) -> None:
    await write("hello")
    killed, other = Slow(), Sender()
    running = asyncio.create_task(Worker(db, killed).run_once())
    await killed.begun.wait()
    running.cancel()
    await asyncio.wait([running])

    assert await Worker(db, other).run_once() == 0
    later(10 - worker.IDLE)
    assert await Worker(db, other).run_once() == 1

    assert (killed.sent, other.sent) == ([], ["hello"])
    assert await rows(db) == []


async def killed(db: Database) -> None:
    """A worker that is killed while it sends."""
    running = asyncio.create_task(Worker(db, slow := Slow()).run_once())
    await slow.begun.wait()
    running.cancel()
    await asyncio.wait([running])


async def test_a_mail_that_keeps_killing_workers_is_set_aside_within_minutes(
    db: Database, write: Write, later: Callable[[float], None]
) -> None:
    await write("poison")
    begin, waits = clock.now(), list[float]()
    for _ in range(worker.MAX_DEATHS):
        await killed(db)
        waits.append((await due(db) - clock.now()).total_seconds())
        later(waits[-1])
    sender = Sender()

    await Worker(db, sender).run_once()

    (row,) = await rows(db)
    assert (row.status, row.last_error) == ("dead", "5 workers died while sending the e-mail")
    assert sender.sent == []
    assert waits == sorted(waits)
    assert timedelta(minutes=2) < clock.now() - begin < timedelta(minutes=4)


async def test_a_slow_send_after_a_death_keeps_its_longer_lease(
    db: Database, write: Write, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RENEWAL", 0.01)
    await write("hello")
    await killed(db)
    later(worker.LEASE)
    slow, retry = Slow(), RetryPolicy(base_seconds=100)
    running = asyncio.create_task(Worker(db, slow, retry=retry).run_once())
    await slow.begun.wait()

    later(70)
    async with asyncio.timeout(30):
        while await due(db) < clock.now() + timedelta(seconds=70):
            await asyncio.sleep(0.01)
    slow.go.set()
    await running

    assert slow.sent == ["hello"]


async def test_a_death_does_not_count_as_an_attempt(
    db: Database, write: Write, later: Callable[[float], None]
) -> None:
    await write("hello")
    await killed(db)
    later(worker.LEASE)

    await Worker(db, Sender(SendError("down")), max_attempts=2).run_once()

    (row,) = await rows(db)
    assert (row.status, row.last_error) == ("pending", "down")
    assert (await due(db) - clock.now()).total_seconds() <= 1.2 * worker.FIRST_RETRY


async def test_failures_are_not_deaths(db: Database, write: Write) -> None:
    await write("hello")
    sender = Sender(*[SendError("down")] * 2 * worker.MAX_DEATHS)

    await Worker(db, sender, retry=RetryPolicy(max_attempts=100, base_seconds=0)).run_once()

    assert sender.sent == ["hello"]


async def test_sending_a_mail_again_manually_resets_its_deaths(db: Database, write: Write) -> None:
    await write("hello")
    (row,) = await rows(db)
    async with db.session() as session:
        await session.execute(update(OutboxMessage).values(status="dead", attempts=6, unfinished=6))
        await outbox.retry(session, row.id)

    (row,) = await rows(db)
    assert (row.status, row.attempts, row.unfinished) == ("pending", 0, 0)


async def test_a_slow_send_keeps_its_lease(
    db: Database, write: Write, later: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RENEWAL", 0.01)
    await write("hello")
    slow, other = Slow(), Sender()
    running = asyncio.create_task(Worker(db, slow).run_once())
    await slow.begun.wait()

    for _ in range(20):
        later(worker.LEASE - 1)
        await until_renewed(db, worker.LEASE)
        assert await Worker(db, other).run_once() == 0
    slow.go.set()
    await running

    assert (slow.sent, other.sent) == (["hello"], [])
    assert await rows(db) == []


async def test_a_renewal_that_fails_does_not_stop_the_send(
    db: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def failing_renew(*_: object) -> bool:
        failed.set()
        raise DATABASE_IS_GONE

    monkeypatch.setattr(worker, "RENEWAL", 0.01)
    monkeypatch.setattr(outbox, "renew", failing_renew)
    await write("hello")
    slow = Slow()
    running = asyncio.create_task(Worker(db, slow).run_once())
    await failed.wait()
    slow.go.set()
    await running

    assert slow.sent == ["hello"]
    assert await rows(db) == []


async def test_a_worker_that_lost_its_lease_stops_sending(
    db: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "RENEWAL", 0.01)
    await write("hello")
    slow = Slow()
    running = asyncio.create_task(Worker(db, slow).run_once())
    await slow.begun.wait()
    async with db.session() as session:
        await session.execute(update(OutboxMessage).values(attempts=2, last_error="of another worker"))
    await running

    (row,) = await rows(db)
    assert slow.sent == []
    assert (row.status, row.attempts, row.last_error) == ("pending", 2, "of another worker")


async def test_every_step_of_a_slow_server_may_take_the_full_timeout(
    db: Database, settings: Settings
) -> None:
    slow = build_worker(db, settings.model_copy(update={"smtp_timeout": 10.0}))

    assert slow.send_timeout == 120


# Running


async def test_a_running_worker_sends_new_mails_until_stopped(
    db: Database, write: Write, stop: asyncio.Event
) -> None:
    sender = Sender()
    running = asyncio.create_task(Worker(db, sender).run(stop))

    await write("first")
    await until_empty(db)
    await write("second")
    await until_empty(db)
    stop.set()
    await running

    assert sender.sent == ["first", "second", "closed"]


async def test_a_send_in_progress_finishes_before_shutdown(
    db: Database, write: Write, stop: asyncio.Event
) -> None:
    class StopsMeanwhile(Sender):
        async def send(self, message: EmailMessage) -> SendResult:
            stop.set()
            await asyncio.sleep(0.05)
            return await super().send(message)

    await write("first", "second")
    sender = StopsMeanwhile()

    await Worker(db, sender).run(stop)

    assert sender.sent == ["first", "closed"]
    assert [row.attempts for row in await rows(db)] == [0]


async def test_a_worker_survives_a_database_outage(
    db: Database,
    write: Write,
    stop: asyncio.Event,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    outages = [DATABASE_IS_GONE, ConnectionRefusedError()]

    async def failing_lease(*arguments: object) -> list[OutboxMessage]:
        if outages:
            raise outages.pop()
        return await lease(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "lease", failing_lease)
    await write("hello")
    sender = Sender()
    running = asyncio.create_task(Worker(db, sender).run(stop))

    await until_empty(db)
    stop.set()
    await running

    assert sender.sent == ["hello", "closed"]
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [
        "the mail worker failed (ConnectionRefusedError); further failures are counted until it works again",
        "the mail worker works again; failures: 2",
    ]


async def test_a_sent_mail_that_cannot_be_deleted_is_not_sent_again(
    db: Database, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    outages = [DATABASE_IS_GONE, DATABASE_IS_GONE]
    remove = outbox.remove

    async def failing_remove(*arguments: object) -> None:
        if outages:
            raise outages.pop()
        await remove(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "remove", failing_remove)
    await write("hello")
    sender = Sender()
    sending = Worker(db, sender)

    with pytest.raises(OperationalError):
        await sending.run_once()
    with pytest.raises(OperationalError):
        await sending.run_once()
    await sending.run_once()

    assert sender.sent == ["hello"]
    assert await rows(db) == []


class Hooks:
    """The parts of an application that `install` needs."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self.state = SimpleNamespace(db=db, settings=settings, tasks=[])
        self.startup: list[Callable[[], Awaitable[None]]] = []
        self.shutdown: list[Callable[[], Awaitable[None]]] = []
        self.on_startup = self.startup.append
        self.on_shutdown = self.shutdown.append
        self.readiness_check = lambda name: lambda check: check


@pytest.mark.usefixtures("stop")
async def test_an_inline_worker_runs_as_long_as_the_application(
    db: Database, settings: Settings, write: Write
) -> None:
    app = Hooks(db, settings.model_copy(update={"background_worker": "inline"}))
    install(app)  # type: ignore[arg-type]
    (start,), (end,) = app.startup, app.shutdown

    await start()
    await write("while it runs")
    await until_empty(db)
    await end()
    await write("after its end")
    await asyncio.sleep(0.05)

    assert len(await rows(db)) == 1


async def test_a_separate_worker_does_not_run_in_the_application(db: Database, settings: Settings) -> None:
    app = Hooks(db, settings.model_copy(update={"background_worker": "separate"}))

    install(app)  # type: ignore[arg-type]

    assert (app.startup, app.shutdown) == ([], [])

"""PostgreSQL wakes the workers when an e-mail is committed. Without PostgreSQL, the workers poll often enough
by themselves.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from hawkapi_mail import EmailMessage, SendResult
from hawkapi_sqlalchemy import Database
from sqlalchemy import make_url, text

from app.mail import Worker, enqueue, wakeup, worker
from app.mail.wakeup import Bell, listening
from app.settings_checks.pooler import is_behind_pooler

on_postgresql = pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="needs PostgreSQL")
NEVER = 3600.0


class Sender:
    name = "test"

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, message: EmailMessage) -> SendResult:
        self.sent.append(message.subject)
        return SendResult(message_id=message.message_id, provider=self.name)

    async def close(self) -> None:
        return None


@pytest.fixture
def write(db: Database) -> Callable[..., Awaitable[None]]:
    async def add(subject: str) -> None:
        async with db.session() as session:
            enqueue(
                session, EmailMessage.build(subject=subject, sender="us@example.com", to="ada@example.com")
            )

    return add


@asynccontextmanager
async def running(db: Database, *senders: Sender) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(Worker(db, sender).run(stop)) for sender in senders]
    yield
    stop.set()
    await asyncio.gather(*tasks)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


class Noted(Bell):
    """Records how long its worker waits."""

    made: ClassVar[list["Noted"]]
    seconds = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.made.append(self)

    async def wait(self, stop: asyncio.Event, seconds: float) -> None:
        self.seconds = seconds
        await super().wait(stop, seconds)
        self.seconds = 0.0

    @property
    def is_needed(self) -> bool:
        """Whether the bell's worker sends nothing until the bell rings."""
        return self.seconds == NEVER


@pytest.fixture
def bells(monkeypatch: pytest.MonkeyPatch) -> list[Noted]:
    """The bells of the running workers."""
    Noted.made = []
    monkeypatch.setattr(wakeup, "Bell", Noted)
    return Noted.made


@pytest.fixture
def only_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that listen never poll for e-mails by themselves."""
    monkeypatch.setattr(worker, "IDLE_LISTENING", NEVER)


@on_postgresql
@pytest.mark.usefixtures("only_woken")
async def test_a_mail_wakes_every_worker_and_is_sent_once(db: Database, write, bells: list[Noted]) -> None:
    senders = [Sender(), Sender(), Sender()]
    async with running(db, *senders):
        for number in (1, 2):
            await until(lambda: len(bells) == 3 and all(bell.is_needed for bell in bells))
            await write(f"{number}")
            await until(lambda number=number: sum(len(sender.sent) for sender in senders) == number)

    assert sorted(each for sender in senders for each in sender.sent) == ["1", "2"]


@on_postgresql
async def test_a_mail_that_is_rolled_back_wakes_no_one(
    db: Database, write, monkeypatch: pytest.MonkeyPatch
) -> None:
    rings: list[None] = []
    async with listening(db) as bell:
        await until(lambda: bell.is_listening)
        monkeypatch.setattr(bell, "ring", lambda: rings.append(None))
        async with db.session() as session:
            enqueue(session, EmailMessage.build(subject="no", sender="us@example.com", to="ada@example.com"))
            await session.flush()
            await session.rollback()
        # Notifications arrive in order, so a notification of the first e-mail would have arrived by then.
        await write("yes")
        await until(lambda: bool(rings))

    assert len(rings) == 1


@on_postgresql
@pytest.mark.usefixtures("only_woken")
async def test_a_worker_listens_again_after_its_connection_was_lost(
    db: Database, write, bells: list[Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup, "RECONNECT", 0.01)
    sender = Sender()
    async with running(db, sender):
        await until(lambda: bool(bells) and bells[0].is_needed)
        async with db.session() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'"
                )
            )
        await until(lambda: not bells[0].is_listening)
        await write("meanwhile")
        await until(lambda: bells[0].is_listening)
        await until(lambda: "meanwhile" in sender.sent and bells[0].is_needed)
        await write("later")
        await until(lambda: "later" in sender.sent)

    assert sender.sent == ["meanwhile", "later"]


@on_postgresql
@pytest.mark.usefixtures("only_woken")
async def test_a_mail_that_waits_for_its_next_attempt_is_sent_on_time(
    db: Database, write, bells: list[Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The retry is due later than the poll that follows each e-mail.
    monkeypatch.setattr(worker, "FIRST_RETRY", 3 * worker.BUSY)
    failing = Sender()
    send, failures = failing.send, [RuntimeError]

    async def fail_once(message: EmailMessage) -> SendResult:
        if failures:
            raise failures.pop()
        return await send(message)

    failing.send = fail_once
    async with running(db, failing):
        await until(lambda: bool(bells) and bells[0].is_needed)
        await write("hello")
        await until(lambda: failing.sent == ["hello"])


@on_postgresql
async def test_a_worker_looks_for_mails_if_notifications_do_not_arrive(
    db: Database, write, bells: list[Noted], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """This happens behind a pooler that DATABASE_URL does not reveal."""
    caplog.set_level(logging.INFO, logger="app.mail")
    monkeypatch.setattr(wakeup, "TIMEOUT", 0.01)
    monkeypatch.setattr(wakeup, "_notify", lambda *_: None)
    sender = Sender()
    async with running(db, sender):
        await until(lambda: "not receiving notifications of new e-mails" in caplog.text)
        await write("hello")
        await until(lambda: sender.sent == ["hello"])

    assert not bells[0].is_listening


async def test_a_worker_that_does_not_listen_looks_within_a_second(
    db: Database, write, bells: list[Noted], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(wakeup, "_listen", nothing)
    monkeypatch.setattr(worker, "IDLE_LISTENING", NEVER)
    sender = Sender()
    async with running(db, sender):
        await until(lambda: bool(bells) and bells[0].seconds == worker.IDLE)
        await write("hello")
        await until(lambda: sender.sent == ["hello"])

    assert worker.IDLE + worker.BUSY < 1


@pytest.mark.parametrize(
    ("query", "is_behind"), [("", False), ("?prepared_statement_cache_size=0", True), ("?ssl=require", False)]
)
def test_a_pooler_is_recognised(query: str, is_behind: bool) -> None:
    assert is_behind_pooler(make_url(f"postgresql+asyncpg://db.example/app{query}")) is is_behind


@on_postgresql
async def test_behind_a_pooler_nothing_listens(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """LISTEN would remain active on the pooler's connection, which other clients use next."""
    monkeypatch.setattr(wakeup, "is_behind_pooler", lambda url: True)
    listened: list[object] = []

    async def listen(*arguments: object) -> bool:
        listened.append(arguments)
        return False

    monkeypatch.setattr(wakeup, "_listen_once", listen)

    await wakeup._listen(db, Bell())

    assert listened == []

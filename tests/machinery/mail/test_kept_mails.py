"""The development mailbox: what the worker keeps and for how long, and what the console prints."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend, SendError
from hawkapi_sqlalchemy import Database
from sqlalchemy import select

from app import clock
from app.mail import (
    ConsoleBackend,
    OutboxMessage,
    Worker,
    build_backend,
    build_worker,
    outbox,
    pending_messages,
)
from app.mail import mailbox as kept
from app.settings import Settings

type Write = Callable[..., Awaitable[None]]


@pytest.fixture
def write(db: Database) -> Write:
    async def enqueue(subject: str, **options: object) -> None:
        async with db.session() as session:
            message = EmailMessage.build(subject=subject, sender="us@example.com", to="ada@example.com")
            outbox.enqueue(session, message, **options)  # type: ignore[arg-type]

    return enqueue


@pytest.fixture
def send(db: Database) -> Callable[[], Awaitable[int]]:
    return lambda: Worker(db, InMemoryBackend(), keep_sent=True).run_once()


async def subjects(db: Database) -> list[str]:
    async with db.session(commit=False) as session:
        return [mail.message.subject for mail in await kept.sent_mails(session)]


async def rows(db: Database) -> list[OutboxMessage]:
    async with db.session(commit=False) as session:
        return list(await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


async def test_a_sent_mail_is_kept_and_not_sent_again(db, write, send) -> None:
    await write("first")
    await write("second")

    assert [await send(), await send()] == [2, 0]
    assert await subjects(db) == ["second", "first"]


async def test_a_sent_mail_no_longer_waits(db, write, send) -> None:
    await write("first")
    await send()

    async with db.session(commit=False) as session:
        assert await pending_messages(session) == []
        assert await outbox.lease(session, timedelta(minutes=1)) == []
        assert [await kept.unsent(session, each) for each in ("pending", "dead")] == [0, 0]


async def test_a_dummy_mail_is_not_kept(db, write, send) -> None:
    await write("nobody", discard=True)

    await send()

    assert await rows(db) == []


async def test_a_failed_mail_is_not_in_the_mailbox(db, write) -> None:
    class Failing(InMemoryBackend):
        async def send(self, message: EmailMessage) -> None:  # type: ignore[override]
            raise SendError("down")

    await write("first")
    await Worker(db, Failing(), keep_sent=True).run_once()

    assert await subjects(db) == []


async def test_a_kept_mail_keeps_its_content_when_its_link_expires(db, write, send) -> None:
    await write("first", expires_at=clock.now() + timedelta(milliseconds=800))
    await send()
    (row,) = await rows(db)

    async with db.session() as session:
        await outbox.blank_expired(session)

    assert (row.status, row.expires_at) == ("sent", None)
    assert await subjects(db) == ["first"]


async def test_a_kept_mail_outlives_its_account(db, write, send, make_user, manager) -> None:
    user = await make_user("ada@example.com")
    await write("first", user_id=user.id)
    await send()

    async with db.session() as session:
        await manager.delete(session, await manager.require(session, user.id))

    assert "first" in [row.subject for row in await rows(db)]


async def test_a_kept_mail_is_removed_after_the_retention(db, write, send) -> None:
    await write("first")
    await send()

    async with db.session() as session:
        await outbox.remove_dead(session, clock.now() - timedelta(days=1))
    assert await subjects(db) == ["first"]
    async with db.session() as session:
        await outbox.remove_dead(session, clock.now() + timedelta(seconds=1))
    assert await subjects(db) == []


async def test_a_mail_that_could_not_be_kept_is_kept_later(db, write, monkeypatch) -> None:
    await write("first")
    worker = Worker(db, backend := InMemoryBackend(), keep_sent=True)
    keep = kept.keep

    async def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(kept, "keep", fail)
    with pytest.raises(OSError):
        await worker.run_once()
    monkeypatch.setattr(kept, "keep", keep)
    await worker.run_once()

    assert len(backend.sent) == 1
    assert await subjects(db) == ["first"]


@pytest.mark.parametrize(
    ("environment", "url"),
    [("development", "http://test/dev/mailbox"), ("test", ""), ("production", "")],
)
async def test_mails_are_kept_in_development_only(
    db: Database, settings: Settings, write, environment: str, url: str
) -> None:
    settings = settings.model_copy(update={"environment": environment})
    await write("first")

    await build_worker(db, settings).run_once()

    assert kept.mailbox_url(settings) == url
    assert await subjects(db) == (["first"] if url else [])


async def test_no_mail_is_kept_without_the_pages(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr(kept, "find_spec", lambda name: None)

    assert kept.mailbox_url(settings.model_copy(update={"environment": "development"})) == ""


def text(body: str) -> EmailMessage:
    return EmailMessage.build(subject="Confirm", sender="us@shop.example", to="ada@example.com", text=body)


async def test_the_console_announces_a_mail_and_its_link(settings: Settings, capsys) -> None:
    changes = {"environment": "development", "mail_backend": "console"}
    console = build_backend(settings.model_copy(update=changes))

    await console.send(text("Dear Ada,\n\nhttps://shop.example/verify/mt_t0ken\n\nThe link expires."))

    printed = capsys.readouterr().out
    assert "To: ada@example.com\nSubject: Confirm\n" in printed
    assert "\nhttps://shop.example/verify/mt_t0ken\n" in printed
    assert "Dear" not in printed


async def test_the_console_links_to_the_mailbox_for_a_mail_without_a_link(capsys) -> None:
    await ConsoleBackend(mailbox_url="http://test/dev/mailbox").send(text("Your password was changed."))

    printed = capsys.readouterr().out
    assert "\nhttp://test/dev/mailbox\n" in printed
    assert "was changed" not in printed

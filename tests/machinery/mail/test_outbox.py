"""The outbox: an e-mail is stored in the transaction that causes it, and only one worker leases it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import chain

import pytest
from hawkapi_mail import Attachment, EmailMessage, InMemoryBackend
from hawkapi_mail import Mailer as DirectMailer
from hawkapi_sqlalchemy import Database
from sqlalchemy import select

from app.mail import Mailer, OutboxMessage, enqueue, lease
from app.mail.outbox import put_back, set_aside
from app.users import send_verification_email
from app.web import App

type Outbox = Callable[[], Awaitable[list[EmailMessage]]]

MINUTE = timedelta(minutes=1)


def mail(subject: str = "Hello") -> EmailMessage:
    return EmailMessage.build(subject=subject, sender="Shop <no-reply@shop.example>", to="ada@example.com")


async def rows(db: Database) -> list[OutboxMessage]:
    async with db.session(commit=False) as session:
        return list(await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


# Writing


async def test_a_mail_waits_once_its_transaction_is_committed(db: Database, outbox: Outbox) -> None:
    async with db.session() as session:
        enqueue(session, mail("first"))
        enqueue(session, mail("second"))

    assert [each.subject for each in await outbox()] == ["first", "second"]


async def test_a_mail_disappears_with_its_transaction(db: Database, outbox: Outbox) -> None:
    async with db.session() as session:
        enqueue(session, mail())
        await session.flush()
        await session.rollback()

    assert await outbox() == []


async def test_a_mail_is_restored_unchanged(db: Database, outbox: Outbox) -> None:
    message = EmailMessage.build(
        subject="Größe \0 🎈",
        sender="a@example.com",
        to=["b@example.com", "c@example.com"],
        cc="d@example.com",
        bcc="e@example.com",
        reply_to="f@example.com",
        text="Zeile 1\nZeile 2",
        html="<p>Grüße</p>",
        attachments=[Attachment("ä.bin", bytes(range(256)), "application/zip", True, "<cid>")],
        headers={"X-Kind": "test"},
        tags=["welcome"],
        metadata={"user": "1"},
    )

    async with db.session() as session:
        enqueue(session, message)

    (stored,) = await outbox()
    assert stored.headers.pop("Date")
    assert stored.headers.pop("Auto-Submitted") == "auto-generated"
    message.message_id = stored.message_id
    assert stored == message


async def test_a_header_that_is_given_is_kept(db: Database, outbox: Outbox) -> None:
    given = {"date": "Sat, 28 Nov 2026 12:00:00 +0000", "auto-submitted": "no"}
    message = EmailMessage.build(subject="Hello", sender="a@example.com", to="b@example.com", headers=given)

    async with db.session() as session:
        enqueue(session, message)

    (stored,) = await outbox()
    assert stored.headers == given


async def test_a_mail_has_its_message_id_and_date_before_it_is_sent(db: Database, outbox: Outbox) -> None:
    async with db.session() as session:
        enqueue(session, mail())

    (stored,) = await outbox()
    assert stored.message_id.endswith("@shop.example>")
    assert abs(parsedate_to_datetime(stored.headers["Date"]) - datetime.now(UTC)) < MINUTE


@pytest.mark.parametrize(
    ("sender", "domain"),
    [("us@büro.example", "xn--bro-hoa.example"), ("nobody", "localhost"), ("us@a..b", "localhost")],
)
async def test_any_sender_yields_a_valid_message_id(
    db: Database, outbox: Outbox, sender: str, domain: str
) -> None:
    async with db.session() as session:
        enqueue(session, EmailMessage.build(subject="Hello", sender=sender, to="ada@example.com"))

    (stored,) = await outbox()
    assert stored.message_id.endswith(f"@{domain}>")


async def test_a_dummy_mail_is_a_row_like_any_other(db: Database, outbox: Outbox) -> None:
    async with db.session() as session:
        enqueue(session, mail())
        enqueue(session, mail(), discard=True)

    real, decoy = await rows(db)
    assert (decoy.status, decoy.attempts) == (real.status, real.attempts)
    # "true" is a letter shorter than "false", so the lengths can differ by one cipher block, in base64.
    assert abs(len(decoy.message) - len(real.message)) <= 24
    assert len(await outbox()) == 1


# The mailer


async def test_the_mailer_fills_in_the_default_sender(app: App, db: Database, outbox: Outbox) -> None:
    async with db.session() as session:
        await app.state.mail.for_session(session).send(EmailMessage.build(subject="Hi", to="a@example.com"))

    (stored,) = await outbox()
    assert stored.sender == app.state.settings.mail_sender


async def test_the_mailer_keeps_a_sender_that_was_given(db: Database, outbox: Outbox) -> None:
    async with db.session() as session:
        await Mailer("default@example.com").for_session(session).send(mail())

    (stored,) = await outbox()
    assert stored.sender == "Shop <no-reply@shop.example>"


async def test_a_function_that_sends_mail_accepts_either_mailer(db: Database, outbox: Outbox) -> None:
    memory = InMemoryBackend()
    link = {"to": "ada@example.com", "token": "t0ken", "verify_url_template": "https://x.example/{token}"}

    await send_verification_email(DirectMailer(memory, "us@example.com"), **link)
    async with db.session() as session:
        await send_verification_email(Mailer("us@example.com").for_session(session), **link)

    (stored,) = await outbox()
    assert "https://x.example/t0ken" in stored.text_body
    assert (stored.text_body, stored.sender) == (memory.sent[0].text_body, memory.sent[0].sender)


# Leasing


async def test_a_leased_mail_cannot_be_leased_again(db: Database) -> None:
    async with db.session() as session:
        enqueue(session, mail())

    async with db.session() as session:
        first = await lease(session, MINUTE)
    async with db.session() as session:
        second = await lease(session, MINUTE)

    assert (len(first), len(second)) == (1, 0)


async def test_concurrent_leases_do_not_overlap(db: Database) -> None:
    async with db.session() as session:
        for number in range(40):
            enqueue(session, mail(f"{number}"))

    async def take() -> list[int]:
        async with db.session() as session:
            return [row.id for row in await lease(session, MINUTE, limit=10)]

    taken = await asyncio.gather(take(), take(), take(), take())

    assert sorted(chain(*taken)) == [row.id for row in await rows(db)]


async def test_a_mail_can_be_leased_again_after_its_lease(db: Database) -> None:
    async with db.session() as session:
        enqueue(session, mail())
    async with db.session() as session:
        await lease(session, MINUTE)

    async with db.session() as session:
        (again,) = await lease(session, MINUTE, now=datetime.now(UTC) + 2 * MINUTE)

    assert again.attempts == 2


async def test_the_longest_overdue_mail_is_leased_first(db: Database) -> None:
    now = datetime.now(UTC)
    async with db.session() as session:
        session.add(OutboxMessage(message="late", next_attempt_at=now - MINUTE))
        session.add(OutboxMessage(message="later", next_attempt_at=now + MINUTE))
        session.add(OutboxMessage(message="early", next_attempt_at=now - 2 * MINUTE))

    async with db.session() as session:
        first = await lease(session, MINUTE)
        second = await lease(session, MINUTE)
        third = await lease(session, MINUTE)

    assert [row.message for row in first + second + third] == ["early", "late"]


async def test_a_dead_mail_is_not_leased(db: Database) -> None:
    async with db.session() as session:
        enqueue(session, mail())
    async with db.session() as session:
        (row,) = await lease(session, MINUTE)
        await set_aside(session, row, "refused")

    async with db.session() as session:
        leased = await lease(session, MINUTE, now=datetime.now(UTC) + 2 * MINUTE)

    assert leased == []


async def test_a_worker_that_lost_its_lease_changes_nothing(db: Database) -> None:
    async with db.session() as session:
        enqueue(session, mail())
    async with db.session() as session:
        (slow,) = await lease(session, MINUTE)
    async with db.session() as session:
        (quick,) = await lease(session, MINUTE, now=datetime.now(UTC) + 2 * MINUTE)

    async with db.session() as session:
        await set_aside(session, slow, "too late")
        await put_back(session, slow, MINUTE, "too late")

    (row,) = await rows(db)
    assert (row.status, row.last_error, row.attempts) == ("pending", "", quick.attempts)

"""A feature can suppress e-mails to certain addresses when they are about to be sent."""

from typing import NoReturn

import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend
from hawkapi_sqlalchemy import Database
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.mail import NoSuchMailbox, OutboxMessage, Worker, enqueue, suppression


@pytest.fixture(autouse=True)
def suppressed(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """A feature that suppresses addresses at gone.example. Returns the addresses it was asked about."""
    asked: list[set[str]] = []

    async def at_gone(db: AsyncSession, addresses: set[str]) -> set[str]:
        asked.append(set(addresses))
        return {each for each in addresses if each.endswith("@gone.example")}

    monkeypatch.setattr(suppression, "SUPPRESSIONS", [at_gone])
    return asked


@pytest.mark.parametrize(
    ("to", "cc", "is_sent"),
    [
        ("ada@example.com", (), True),
        ("ada@gone.example", (), False),
        ("Ada <ada@gone.example>", "eve@gone.example", False),
        ("ada@gone.example", "eve@example.com", True),
    ],
)
async def test_a_mail_is_sent_if_one_recipient_may_get_it(
    db: Database, to: str, cc: str, is_sent: bool
) -> None:
    async with db.session() as session:
        enqueue(session, EmailMessage.build(subject="Hello", sender="us@shop.example", to=to, cc=cc))
    backend = InMemoryBackend()

    await Worker(db, backend, keep_sent=True).run_once()

    assert bool(backend.sent) is is_sent
    async with db.session(commit=False) as session:
        # The development mailbox shows only what was sent.
        assert await session.scalar(select(func.count()).select_from(OutboxMessage)) == is_sent


async def test_no_feature_is_asked_about_a_dummy_mail(db: Database, suppressed: list[set[str]]) -> None:
    """The addresses of a dummy e-mail are not real."""
    mail = EmailMessage.build(subject="Hello", sender="us@shop.example", to="nobody@localhost")
    async with db.session() as session:
        enqueue(session, mail, discard=True)

    await Worker(db, InMemoryBackend()).run_once()

    assert suppressed == []


class Refusing:
    """A backend whose server knows none of the mailboxes."""

    name = "refusing"

    async def send(self, message: EmailMessage) -> NoReturn:
        raise NoSuchMailbox("SMTPRecipientRefused 550 5.1.1")

    async def close(self) -> None: ...


async def test_a_feature_learns_which_mailboxes_do_not_exist(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[set[str]] = []

    async def note(session: AsyncSession, addresses: set[str]) -> None:
        noted.append(addresses)

    monkeypatch.setattr(suppression, "ON_MISSING", [note])
    mail = EmailMessage.build(subject="Hello", sender="us@shop.example", to="Ada <ada@x.example>")
    async with db.session() as session:
        enqueue(session, mail)

    await Worker(db, Refusing()).run_once()

    async with db.session(commit=False) as session:
        assert await session.scalar(select(OutboxMessage.status)) == "dead"
    assert noted == [{"ada@x.example"}]

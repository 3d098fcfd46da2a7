"""The content of an e-mail cannot be read in the table, and only SECRET_KEY decrypts it. CWE-312."""

from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec
import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend
from hawkapi_sqlalchemy import Database
from pydantic import SecretStr
from sqlalchemy import select, text, update

from app.mail import OutboxMessage, Worker, enqueue, mailbox, pending_messages
from app.mail.stored import StoredMail
from app.web import App

MAIL = EmailMessage.build(
    subject="Hello",
    sender="us@example.com",
    to="ada@example.com",
    text="https://x.example/t0ken",
    html='<a href="https://x.example/t0ken">Confirm</a>',
)
OTHER = SecretStr(sha256(b"another secret").hexdigest())


@pytest.fixture
def write(db: Database) -> Callable[..., Awaitable[None]]:
    """`await write()`: an e-mail in the outbox of the application, or of another one."""

    async def add(of: Database = db) -> None:
        async with of.session() as session:
            enqueue(session, MAIL)

    return add


async def rows(db: Database) -> list[OutboxMessage]:
    async with db.session(commit=False) as session:
        return list(await session.scalars(select(OutboxMessage).order_by(OutboxMessage.id)))


@pytest.mark.parametrize("private", ["t0ken", "ada@example.com", "Confirm"])
async def test_the_table_shows_no_part_of_a_mail(db: Database, write, private: str) -> None:
    await write()

    async with db.session(commit=False) as session:
        (row,) = (await session.execute(text("SELECT * FROM mail_outbox"))).all()

    assert private not in str(row)


async def test_a_mail_is_sealed_as_long_as_it_is_kept(db: Database, write) -> None:
    """This includes e-mails in the development mailbox."""
    await write()

    await Worker(db, InMemoryBackend(), keep_sent=True).run_once()

    (row,) = await rows(db)
    async with db.session(commit=False) as session:
        (shown,) = await mailbox.sent_mails(session)
    assert (row.status, "t0ken" in row.message) == ("sent", False)
    assert "t0ken" in shown.message.text_body


async def test_a_mail_of_an_older_version_is_sent(db: Database) -> None:
    """During a rollout, the older version still writes plain JSON."""
    async with db.session() as session:
        session.add(OutboxMessage(message=msgspec.json.encode(StoredMail(MAIL)).decode()))
    backend = InMemoryBackend()

    async with db.session(commit=False) as session:
        waiting = await pending_messages(session)
    await Worker(db, backend).run_once()

    assert [mail.text_body for mail in (*waiting, *backend.sent)] == [MAIL.text_body] * 2


async def test_a_mail_of_another_secret_key_is_set_aside_with_its_content(
    db: Database, write, build_app: Callable[..., App]
) -> None:
    await write(build_app(secret_key=OTHER).state.db)
    await write()
    backend = InMemoryBackend()

    await Worker(db, backend).run_once()

    (row,) = await rows(db)
    assert (row.status, row.message != "") == ("dead", True)
    assert row.last_error == "the e-mail cannot be decrypted: it was stored with a different SECRET_KEY"
    assert len(backend.sent) == 1


async def test_a_mail_of_an_earlier_secret_key_is_sent(
    db: Database, write, build_app: Callable[..., App]
) -> None:
    await write()
    secret = build_app().state.settings.secret_key
    later = build_app(secret_key=OTHER, secret_key_fallbacks=[secret])
    backend = InMemoryBackend()

    await Worker(later.state.db, backend).run_once()

    assert len(backend.sent) == 1


async def test_a_mail_that_was_changed_in_the_table_is_not_sent(db: Database, write) -> None:
    await write()
    (row,) = await rows(db)
    async with db.session() as session:
        await session.execute(update(OutboxMessage).values(message=row.message[:-10] + "AAAAAAAA=="))
    backend = InMemoryBackend()

    await Worker(db, backend).run_once()

    assert (backend.sent, (await rows(db))[0].status) == ([], "dead")


async def test_the_mailbox_omits_mails_that_cannot_be_decrypted(
    db: Database, write, build_app: Callable[..., App]
) -> None:
    """SECRET_KEY has been changed in development since the e-mail was written."""
    await write(build_app(secret_key=OTHER).state.db)
    await write()
    async with db.session() as session:
        await session.execute(update(OutboxMessage).values(status="sent"))

    other, own = await rows(db)
    async with db.session(commit=False) as session:
        assert [mail.id for mail in await mailbox.sent_mails(session)] == [own.id]
        assert await mailbox.sent_mail(session, other.id) is None

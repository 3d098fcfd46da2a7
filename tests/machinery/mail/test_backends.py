"""The backends: what they print and send, and which failures are final."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO, TextIOWrapper

import pytest
from hawkapi_mail import EmailMessage, InMemoryBackend, SendError
from hawkapi_sqlalchemy import Database
from pydantic import SecretStr
from sqlalchemy import select

from app.mail import (
    CarefulSMTPBackend,
    ConsoleBackend,
    Misconfigured,
    NoSuchMailbox,
    OutboxMessage,
    Undeliverable,
    Worker,
    build_backend,
    enqueue,
)
from app.settings import Settings

LINK = "https://shop.example/users/verify/t0ken"


def mail(**parts: str) -> EmailMessage:
    whole = {"subject": "Confirm", "sender": "us@shop.example", "to": "ada@example.com", "text": LINK}
    return EmailMessage.build(**(whole | parts))


# The console


async def test_the_console_shows_recipient_subject_and_link(capsys: pytest.CaptureFixture[str]) -> None:
    await ConsoleBackend().send(mail(text=f"Open this:\n\n{LINK}\n", html="<p>not this</p>"))

    printed = capsys.readouterr().out.splitlines()
    assert "To: ada@example.com" in printed
    assert "Subject: Confirm" in printed
    assert LINK in printed
    assert "<p>not this</p>" not in printed


async def test_the_console_shows_html_when_there_is_no_text(capsys: pytest.CaptureFixture[str]) -> None:
    await ConsoleBackend().send(mail(text="", html="<p>Hello</p>"))

    assert "<p>Hello</p>" in capsys.readouterr().out


async def test_a_console_that_cannot_print_a_character_prints_the_rest() -> None:
    printed = BytesIO()
    screen = TextIOWrapper(printed, encoding="ascii")

    await ConsoleBackend(screen).send(mail(subject="Grüße"))

    assert b"Subject: Gr??e" in printed.getvalue()


# Choosing a backend


async def test_mail_backend_chooses_the_backend(settings: Settings) -> None:
    console = build_backend(settings.model_copy(update={"mail_backend": "console"}))
    memory = build_backend(settings.model_copy(update={"mail_backend": "memory"}))

    assert isinstance(console, ConsoleBackend)
    assert isinstance(memory, InMemoryBackend)


@pytest.mark.parametrize(
    ("security", "use_tls", "start_tls"),
    [("none", False, False), ("starttls", False, True), ("tls", True, False)],
)
async def test_the_smtp_settings_reach_the_backend(
    settings: Settings, security: str, use_tls: bool, start_tls: bool
) -> None:
    smtp = {
        "mail_backend": "smtp",
        "smtp_host": "mail.example",
        "smtp_port": 2525,
        "smtp_username": "shop",
        "smtp_password": SecretStr("s3cret"),
        "smtp_security": security,
        "smtp_timeout": 7,
    }

    backend = build_backend(settings.model_copy(update=smtp))

    assert isinstance(backend, CarefulSMTPBackend)
    config = backend.inner.config
    assert (config.host, config.port, config.timeout) == ("mail.example", 2525, 7)
    assert (config.username, config.password) == ("shop", "s3cret")
    assert (config.use_tls, config.start_tls) == (use_tls, start_tls)


# SMTP


SILENCE = ""


class SMTPServer:
    """A server that accepts everything except what the test makes it reject."""

    def __init__(self) -> None:
        self.replies: dict[str, str] = {}
        """A command ("MAIL", a whole line, or "END" for the end of the e-mail) and the reply to it."""
        self.commands: list[str] = []
        self.received = ""
        self.port = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := (await reader.readline()).decode().strip():
            self.commands.append(line)
            command = line.split(" ")[0].split(":")[0].upper()
            usual = {"DATA": "354 go on", "QUIT": "221 bye"}.get(command, "250 ok")
            reply = self.replies.get(line, self.replies.get(command, usual))
            if reply != SILENCE:
                writer.write(f"{reply}\r\n".encode())
            if reply.startswith("354"):
                self.received = (await reader.readuntil(b"\r\n.\r\n")).decode()
                writer.write(f"{self.replies.get('END', '250 ok')}\r\n".encode())
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[SMTPServer]:
    server = SMTPServer()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()


@pytest.fixture
def smtp(settings: Settings, server: SMTPServer) -> CarefulSMTPBackend:
    """The SMTP backend, connected to the server."""
    to_server = {"mail_backend": "smtp", "smtp_host": "127.0.0.1", "smtp_port": server.port}
    plain = {"smtp_security": "none", "smtp_username": "", "smtp_password": None, "smtp_timeout": 5}
    backend = build_backend(settings.model_copy(update=to_server | plain))
    assert isinstance(backend, CarefulSMTPBackend)
    return backend


async def test_smtp_delivers_the_mail(smtp: CarefulSMTPBackend, server: SMTPServer) -> None:
    message = mail(sender="The Shop <us@shop.example>")

    await smtp.send(message)

    assert any(line.startswith("MAIL FROM:<us@shop.example>") for line in server.commands)
    assert any(line.startswith("RCPT TO:<ada@example.com>") for line in server.commands)
    assert LINK in server.received
    assert message.message_id in server.received


@pytest.mark.parametrize(
    ("command", "reply", "error"),
    [
        ("MAIL", "550 5.1.8 bad sender", "SMTPSenderRefused 550 5.1.8"),
        ("RCPT", "550 5.1.1 no such user", "SMTPRecipientRefused 550 5.1.1"),
        ("END", f"554 5.7.1 blocked link {LINK}", "SMTPDataError 554 5.7.1"),
        ("END", "552 too big", "SMTPDataError 552"),
    ],
)
async def test_a_permanent_refusal_is_final(
    smtp: CarefulSMTPBackend, server: SMTPServer, command: str, reply: str, error: str
) -> None:
    server.replies[command] = reply

    with pytest.raises(Undeliverable) as caught:
        await smtp.send(mail())

    assert str(caught.value) == error


@pytest.mark.long
@pytest.mark.parametrize(
    ("reply", "kind"), [("550 5.1.1 no such user", NoSuchMailbox), ("450 4.2.0 greylisted", SendError)]
)
async def test_silence_after_a_refusal_does_not_hide_the_refusal(
    smtp: CarefulSMTPBackend, server: SMTPServer, reply: str, kind: type[SendError]
) -> None:
    server.replies |= {"RCPT": reply, "RSET": SILENCE}

    with pytest.raises(SendError) as caught:
        await smtp.send(mail())

    assert type(caught.value) is kind
    assert str(caught.value) == f"SMTPRecipientRefused {reply[:9]}"


@pytest.mark.parametrize(
    ("command", "reply", "kind"),
    [
        ("RCPT", "550 5.1.1 no such user", NoSuchMailbox),
        ("RCPT", "550 5.1.10 the domain takes no mail", NoSuchMailbox),
        ("RCPT", "551 5.1.6 moved", NoSuchMailbox),
        ("RCPT", "550 no such user", Undeliverable),
        ("RCPT", "550 5.7.1 we do not like you", Undeliverable),
        ("RCPT", "550 5.2.1 too much mail for this mailbox", Undeliverable),
        ("RCPT", "550 5.1.2 unknown domain", Undeliverable),
        ("RCPT", "450 4.1.1 not found for now", SendError),
        ("MAIL", "550 5.1.1 no such sender", Undeliverable),
        ("END", "550 5.1.1 no such user", Undeliverable),
    ],
)
async def test_only_some_refusals_mean_that_the_mailbox_does_not_exist(
    smtp: CarefulSMTPBackend, server: SMTPServer, command: str, reply: str, kind: type[SendError]
) -> None:
    server.replies[command] = reply

    with pytest.raises(SendError) as caught:
        await smtp.send(mail())

    assert type(caught.value) is kind


async def test_if_one_recipient_has_a_mailbox_the_mail_is_sent(
    smtp: CarefulSMTPBackend, server: SMTPServer
) -> None:
    server.replies["RCPT TO:<gone@example.com>"] = "550 5.1.1 no such user"

    await smtp.send(mail(cc="gone@example.com"))

    assert LINK in server.received


@pytest.mark.parametrize(
    ("command", "reply", "status", "reason"),
    [
        ("RCPT", "550 5.1.1 no such user", "dead", "SMTPRecipientRefused 550 5.1.1"),
        ("DATA", "554 5.7.1 no mail from you", "dead", "SMTPDataError 554 5.7.1"),
        ("END", "554 5.6.0 not this one", "dead", "SMTPDataError 554 5.6.0"),
        ("RCPT", "450 4.2.0 greylisted", "pending", "SMTPRecipientRefused 450 4.2.0"),
        ("END", "452 4.3.1 disk full", "pending", "SMTPDataError 452 4.3.1"),
    ],
)
async def test_only_a_permanent_refusal_is_set_aside_at_once(
    db: Database,
    smtp: CarefulSMTPBackend,
    server: SMTPServer,
    command: str,
    reply: str,
    status: str,
    reason: str,
) -> None:
    server.replies[command] = reply
    async with db.session() as session:
        enqueue(session, mail())

    await Worker(db, smtp).run_once()

    async with db.session(commit=False) as session:
        (row,) = await session.scalars(select(OutboxMessage))
    assert (row.status, row.attempts, row.last_error) == (status, 1, reason)


@pytest.mark.parametrize(
    ("command", "reply", "error"),
    [
        ("MAIL", "451 4.7.1 later", "SMTPSenderRefused 451 4.7.1"),
        ("RCPT", f"450 4.2.0 greylisted {LINK}", "SMTPRecipientRefused 450 4.2.0"),
        ("END", "421 4.3.0 shutting down", "SMTPDataError 421 4.3.0"),
        ("EHLO", "554 no service", "SMTPHeloError 554"),
    ],
)
async def test_a_temporary_refusal_is_not_final(
    smtp: CarefulSMTPBackend, server: SMTPServer, command: str, reply: str, error: str
) -> None:
    server.replies |= {"HELO": "554 no service", command: reply}

    with pytest.raises(SendError) as caught:
        await smtp.send(mail())

    assert type(caught.value) is SendError
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("command", "reply", "error"),
    [
        ("MAIL", "530 5.7.0 log in first", "SMTPSenderRefused 530 5.7.0"),
        ("AUTH", "535 5.7.8 wrong password s3cret", "SMTPAuthenticationError 535 5.7.8"),
    ],
)
async def test_a_refused_login_names_the_settings(
    settings: Settings, server: SMTPServer, command: str, reply: str, error: str
) -> None:
    server.replies |= {"EHLO": "250-test\r\n250 AUTH PLAIN", command: reply}
    if command == "MAIL":
        server.replies["AUTH"] = "235 welcome"
    login = {"smtp_username": "shop", "smtp_password": SecretStr("s3cret"), "smtp_security": "none"}
    to_server = {"mail_backend": "smtp", "smtp_host": "127.0.0.1", "smtp_port": server.port}
    backend = build_backend(settings.model_copy(update=to_server | login))

    with pytest.raises(Misconfigured) as caught:
        await backend.send(mail())

    assert str(caught.value) == f"{error}; check SMTP_USERNAME, SMTP_PASSWORD and SMTP_SECURITY"


async def test_an_unreachable_server_is_not_final(settings: Settings) -> None:
    nobody = {"mail_backend": "smtp", "smtp_host": "127.0.0.1", "smtp_port": 1, "smtp_security": "none"}
    backend = build_backend(settings.model_copy(update=nobody))

    with pytest.raises(SendError, match="SMTPConnectError") as caught:
        await backend.send(mail())

    assert type(caught.value) is SendError


@pytest.mark.parametrize(
    "parts",
    [
        {"subject": "Hello\r\nBcc: all@example.com"},
        {"to": "gruß@example.com"},
        {"to": ""},
        {"sender": ""},
    ],
    ids=["line break in a header", "address outside ASCII", "no recipient", "no sender"],
)
async def test_an_unserializable_mail_is_final(smtp: CarefulSMTPBackend, parts: dict[str, str]) -> None:
    with pytest.raises(Undeliverable):
        await smtp.send(mail(**parts))

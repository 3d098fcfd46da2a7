"""Mail backends: the console, an SMTP server, a provider or a list in memory. `MAIL_BACKEND` selects one.

Template-owned. To add a backend, write a class with `name`, `send` and `close`, and add a case for it to
`build_backend`. `send_errors.py` defines the exceptions that a backend raises.
"""

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

from aiosmtplib import (
    SMTPConnectError,
    SMTPDataError,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from hawkapi_mail import (
    Backend,
    EmailMessage,
    InMemoryBackend,
    SendError,
    SendResult,
    SMTPBackend,
    SMTPConfig,
)

from app.mail import providers
from app.mail.mailbox import mailbox_url
from app.mail.send_errors import Misconfigured, NoSuchMailbox, Undeliverable
from app.settings import Settings

# Your own imports go below; template updates never touch them.
# isort: split

_LINK = re.compile(r"https?://[^\s\"<>]+")


def build_backend(settings: Settings) -> Backend:
    """The backend selected by MAIL_BACKEND."""
    match settings.mail_backend:
        case "console":
            return ConsoleBackend(mailbox_url=mailbox_url(settings))
        case "smtp":
            return CarefulSMTPBackend(SMTPBackend(_smtp_config(settings)))
        case "memory":
            return InMemoryBackend()
        case "ses":
            return providers.SESBackend(settings)
        case "sendgrid":
            return providers.sendgrid(settings)
        case "mailgun":
            return providers.mailgun(settings)
        case "resend":
            return providers.resend(settings)
        # Your own backends go below; template updates never touch them.


def _smtp_config(settings: Settings) -> SMTPConfig:
    password = settings.smtp_password
    return SMTPConfig(
        host=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username or "",
        password=password.get_secret_value() if password else "",
        use_tls=settings.smtp_security == "tls",
        start_tls=settings.smtp_security == "starttls",
        timeout=settings.smtp_timeout,
    )


@dataclass
class ConsoleBackend:
    """Prints e-mails so that you can click their links in the terminal.

    For development only: the links contain secrets.
    """

    stream: TextIO | None = None
    """Where to print. None means standard output."""
    mailbox_url: str = ""
    """The URL of the page that shows whole e-mails. When it is set, only the first link of an e-mail's
    body is printed, or this URL if the body has no link. To and Subject are always printed."""
    name: str = field(default="console", init=False)

    async def send(self, message: EmailMessage) -> SendResult:
        stream = self.stream or sys.stdout
        body = (message.text_body or message.html_body).strip()
        if self.mailbox_url:
            link = _LINK.search(body)
            body = link[0] if link is not None else self.mailbox_url
        text = (
            f"\n--- mail ---\nTo: {', '.join(message.to)}\nSubject: {message.subject}\n\n"
            f"{body}\n--- end of mail ---\n"
        )
        # Characters that the terminal cannot display become question marks.
        encoding = stream.encoding or "utf-8"
        # A single call, so that no other output appears in between.
        print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
        return SendResult(message_id=message.message_id, provider=self.name)

    async def close(self) -> None:
        return None


@dataclass
class CarefulSMTPBackend:
    """Wraps hawkapi-mail's SMTP backend and decides whether a failed e-mail is retried."""

    inner: SMTPBackend
    name: str = field(default="smtp", init=False)

    async def send(self, message: EmailMessage) -> SendResult:
        if not message.sender or not message.all_recipients():
            raise Undeliverable("the e-mail has no sender or no recipient")
        with _sorted_errors():
            return await self.inner.send(message)

    async def close(self) -> None:
        await self.inner.close()


@contextmanager
def _sorted_errors() -> Generator[None]:
    try:
        yield
    except SendError as error:
        cause = error.__cause__ or error
        cause = _refusal(cause) or cause
        if _is_about_login(cause):
            check = "SMTP_USERNAME, SMTP_PASSWORD and SMTP_SECURITY"
            raise Misconfigured(f"{_describe(cause)}; check {check}") from error
        raise _kind_of(cause)(_describe(cause)) from error
    except ValueError as error:
        # hawkapi-mail raises ValueError for a line break in a header or an invalid recipient. For a non-ASCII
        # address, it raises UnicodeEncodeError, a subclass of ValueError.
        raise Undeliverable(f"the e-mail cannot be encoded ({type(error).__name__})") from error


def _refusal(error: BaseException | None) -> BaseException | None:
    """The error that contains the server's reply: *error* or one of its causes.

    After a rejection, aiosmtplib resets the session. A server that rejects an e-mail and then stops
    responding causes a timeout, which must not hide the rejection.
    """
    while error is not None and not isinstance(error, SMTPRecipientsRefused | SMTPResponseException):
        error = error.__context__
    return error


_OUR_ACCOUNT = frozenset({530, 534, 535, 538})
"""SMTP codes about our credentials (RFC 4954). The e-mail can be sent once the credentials are corrected."""


_NO_MAILBOX = frozenset({"5.1.1", "5.1.6", "5.1.10"})
"""Statuses of a mailbox that does not exist or has moved (RFC 3463, 3.2), or whose domain accepts no e-mail
(RFC 7505).

A 550 reply without one of these statuses often indicates a poor sender reputation, and 5.2.1 often indicates
a mailbox that receives too much e-mail.
"""


def _kind_of(error: BaseException) -> type[SendError]:
    if _has_no_mailbox(error):
        return NoSuchMailbox
    return Undeliverable if _is_final(error) else SendError


def _has_no_mailbox(error: BaseException) -> bool:
    match error:
        case SMTPRecipientsRefused():
            return all(_has_no_mailbox(each) for each in error.recipients)
        case SMTPRecipientRefused():
            return _is_final(error) and _status_of(error) in _NO_MAILBOX
        case _:
            return False


def _is_about_login(error: BaseException) -> bool:
    return isinstance(error, SMTPResponseException) and error.code in _OUR_ACCOUNT


def _is_final(error: BaseException | None) -> bool:
    """Whether the server permanently rejected this e-mail with a 5xx reply (RFC 5321, 4.2.1)."""
    match error:
        case SMTPRecipientsRefused():
            return all(_is_final(each) for each in error.recipients)
        case SMTPSenderRefused() | SMTPRecipientRefused() | SMTPDataError():
            return 500 <= error.code <= 599 and not _is_about_login(error)
        case _:
            return False


def _describe(error: BaseException) -> str:
    """A description of *error* without the server's text, which may quote an address or a link."""
    match error:
        case SMTPRecipientsRefused():
            return "; ".join(_describe(each) for each in error.recipients)
        case SMTPResponseException():
            return f"{type(error).__name__} {error.code} {_status_of(error)}".rstrip()
        case SMTPConnectError():
            # The error's message names the server and the cause. It cannot quote the e-mail, which has not
            # been sent yet.
            return f"{type(error).__name__}: {error}"
        case _:
            return type(error).__name__


def _status_of(error: SMTPResponseException) -> str:
    """The enhanced status code (RFC 2034), such as 5.1.1. Empty if there is none."""
    found = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", error.message)
    return found.group() if found else ""

"""How the outbox stores an e-mail: as JSON, encrypted with a key derived from SECRET_KEY. Template-owned.

An e-mail can contain a link that gives access to an account, so a copy of the table must not be readable. The
recipient is also encrypted, so that someone who can write to the table cannot send a link elsewhere. Rows
outlive releases, so add fields only with defaults, and never rename a field.
"""

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr

import msgspec
from hawkapi_mail import EmailMessage, new_message_id
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import services_of_session
from app.keys import KeyRing

PURPOSE = "outbox"
"""The purpose of the encryption key."""


class StoredMail(msgspec.Struct):
    """An e-mail, and whether to discard it instead of sending it."""

    message: EmailMessage
    discard: bool = False


def keys_of(db: AsyncSession) -> KeyRing:
    """The keys that encrypt stored e-mails in the application that created *db*."""
    return KeyRing.of(services_of_session(db).settings, PURPOSE)


def sealed(mail: StoredMail, keys: KeyRing) -> str:
    """*mail* as JSON, encrypted for the outbox."""
    return keys.encrypt(msgspec.json.encode(mail).decode())


def opened(text: str, keys: KeyRing) -> StoredMail:
    """Read the text that `sealed` returned, or the plain JSON from an older version.

    Raises:
        CannotDecrypt: the text was sealed with a different SECRET_KEY.
        msgspec.MsgspecError: the text is not a stored e-mail.
    """
    json = text if text.startswith("{") else keys.decrypt(text)
    return msgspec.json.decode(json, type=StoredMail)


def addressed(message: EmailMessage) -> EmailMessage:
    """A copy of *message* with the Message-ID and Date that every attempt uses.

    A mail server can recognize a duplicate e-mail by its Message-ID. `Auto-Submitted` keeps mail programs
    from replying automatically (RFC 3834, section 5). Headers that *message* already has are kept.
    """
    headers = {"Date": format_datetime(datetime.now(UTC)), "Auto-Submitted": "auto-generated"}
    given = {name.lower() for name in message.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in given}
    headers |= message.headers
    return replace(message, headers=headers, message_id=new_message_id(_domain(message.sender)))


def _domain(sender: str) -> str:
    _, at, domain = parseaddr(sender)[1].rpartition("@")
    try:
        return domain.encode("idna").decode() if at and domain else "localhost"
    except UnicodeError:
        return "localhost"

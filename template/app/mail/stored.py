"""The stored form of a mail in the outbox: JSON, with attachments in base64. Template-owned.

Rows outlive releases: add fields only with a default, and never rename one.
"""

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr

import msgspec
from hawkapi_mail import EmailMessage, new_message_id


class StoredMail(msgspec.Struct):
    """A mail, and whether it is discarded instead of sent."""

    message: EmailMessage
    discard: bool = False


def to_json(mail: StoredMail) -> str:
    return msgspec.json.encode(mail).decode()


def from_json(text: str) -> StoredMail:
    """Read what `to_json` wrote.

    Raises:
        msgspec.MsgspecError: *text* is not a stored mail.
    """
    return msgspec.json.decode(text, type=StoredMail)


def addressed(message: EmailMessage) -> EmailMessage:
    """A copy of *message* with the Message-ID and Date that every attempt uses.

    A mail server recognizes a mail that was sent twice by its Message-ID. `Auto-Submitted` keeps mail
    programs from replying automatically (RFC 3834, section 5). A header that *message* has is kept.
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

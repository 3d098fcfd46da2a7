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

    A mail server recognizes a mail that was sent twice by its Message-ID.
    """
    headers = dict(message.headers)
    if not any(name.lower() == "date" for name in headers):
        headers["Date"] = format_datetime(datetime.now(UTC))
    return replace(message, headers=headers, message_id=new_message_id(_domain(message.sender)))


def _domain(sender: str) -> str:
    _, at, domain = parseaddr(sender)[1].rpartition("@")
    try:
        return domain.encode("idna").decode() if at and domain else "localhost"
    except UnicodeError:
        return "localhost"

"""How a mail looks in the outbox: JSON, attachments in base64. Template-owned.

Rows outlive releases: a field may be added with a default, and none renamed.
"""

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parseaddr

import msgspec
from hawkapi_mail import EmailMessage, new_message_id


class StoredMail(msgspec.Struct):
    """A mail, and whether it is thrown away in place of being sent."""

    message: EmailMessage
    discard: bool = False


def to_json(mail: StoredMail) -> str:
    return msgspec.json.encode(mail).decode()


def from_json(text: str) -> StoredMail:
    """Read what `to_json` wrote.

    Raises:
        msgspec.MsgspecError: *text* is something else.
    """
    return msgspec.json.decode(text, type=StoredMail)


def addressed(message: EmailMessage) -> EmailMessage:
    """A copy of *message* with the Message-ID and the Date that every attempt will carry.

    The same id each time is how mail servers recognise a mail that was sent twice.
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

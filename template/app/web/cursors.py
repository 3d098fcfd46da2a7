"""Cursors, which mark the end of a page in a list ordered by time. Template-owned."""

import base64
from datetime import UTC, datetime

from app.web.problems import invalid


def to_cursor(moment: datetime, key: str) -> str:
    """The cursor for the page after the entry at *moment*. *key* distinguishes entries with the same time."""
    return base64.urlsafe_b64encode(f"{moment.isoformat()} {key}".encode()).decode()


def from_cursor(cursor: str) -> tuple[datetime, str]:
    """The `to_cursor` arguments encoded in *cursor*. Raises a 400 if `to_cursor` did not create *cursor*."""
    try:
        text, _, key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode().partition(" ")
        moment = datetime.fromisoformat(text)
        if moment.tzinfo != UTC or "\0" in key:
            raise ValueError("not written by `to_cursor`")
    except ValueError:
        raise invalid("cursor", "The cursor is not the `next` value from a page.") from None
    return moment, key

"""The request and response bodies of the notes routes."""

from datetime import datetime
from typing import Annotated

import msgspec

from app.notes.models import Note


class NewNote(msgspec.Struct):
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    text: Annotated[str, msgspec.Meta(max_length=10_000)] = ""


class PublicNote(msgspec.Struct):
    id: int
    title: str
    text: str
    created_at: datetime


class Page(msgspec.Struct):
    """The query parameters of a list: how many entries, and after which id."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 20
    after: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0


def public(note: Note) -> PublicNote:
    """The public view of *note*."""
    return PublicNote(note.id, note.title, note.text, note.created_at)

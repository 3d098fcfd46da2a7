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


def public(note: Note) -> PublicNote:
    """The public view of *note*."""
    return PublicNote(note.id, note.title, note.text, note.created_at)

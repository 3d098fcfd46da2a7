"""What a report says about a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A message about a file."""

    kind: str
    """The field of `Merge` that has the file, or lost, meaning, columns, renamed or moved_code."""
    path: str
    sentence: str
    needs_person: bool = True
    line: int | None = None
    command: str = ""
    """What to run, if the sentence names a command."""

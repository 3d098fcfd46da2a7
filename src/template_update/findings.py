"""The findings in a report: messages about individual files."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A message about a file."""

    kind: str
    """The `Merge` field that lists the file, or one of: lost, meaning, columns, renamed, moved_code."""
    path: str
    sentence: str
    needs_person: bool = True
    line: int | None = None
    command: str = ""
    """The command to run, if the message names one."""

"""Everything known about a conflict: its location, the changelog entries about it and the tests to run."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from template_update.changelog import News
from template_update.git import Git

_PLACE = re.compile(
    r"^<{7} yours\r?\n(?P<yours>.*?)^\|{7} old\r?\n(?P<old>.*?)^={7}\r?\n(?P<new>.*?)^>{7} new\r?$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Conflict:
    """A file that both sides changed in conflicting ways."""

    path: str
    line: int | None
    """The line of the first conflict marker. None for a file without markers, such as a binary file."""
    reason: str
    tests: list[str] = field(default_factory=list[str])
    """The pytest arguments for the tests that must pass once the conflict is resolved."""
    changelog: list[str] = field(default_factory=list[str])
    """The changelog entries that mention the file."""


@dataclass(frozen=True)
class Place:
    """Each version's lines at a place where the versions conflict."""

    yours: str
    old: str
    new: str


def first_marker(lines: Iterable[str]) -> int | None:
    """The number of the line with the first conflict marker."""
    return next((number for number, line in enumerate(lines, 1) if line.startswith("<<<<<<< ")), None)


def entries_about(path: str, news: Iterable[News]) -> Iterator[str]:
    """The changelog entries that mention *path*, each with its version."""
    for version in news:
        for heading, text in (("security, ", version.security), ("", version.rest)):
            for entry in re.split(r"^(?=- )", text, flags=re.MULTILINE):
                item = re.split(r"^#", entry, flags=re.MULTILINE)[0].strip()
                if item.startswith("- ") and f"`{path}`" in item:
                    yield f"- {version.version}: {heading}{item.removeprefix('- ')}"


def places(versions: Sequence[Path | None]) -> list[Place]:
    """The places where *versions* conflict. Empty for a binary file, or if one side removed the file.

    *versions* contains, in this order, your version, the template's old version (which may be missing) and
    the template's new version.
    """
    yours, old, new = versions
    if yours is None or new is None:
        return []
    labels = ("-L", "yours", "-L", "old", "-L", "new")
    files = (yours, old or Path(os.devnull), new)
    merged = Git(new.parent).run("merge-file", "--stdout", "--diff3", *labels, *files)
    return [Place(each["yours"], each["old"], each["new"]) for each in _PLACE.finditer(merged.stdout)]

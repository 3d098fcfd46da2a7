"""The kinds of edits that users make. Each is located by text, so it works in any version.

An edit whose place is not found fails, because it would otherwise count as kept.
"""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seams import Seam


@dataclass(frozen=True)
class Edit:
    """One change in one place of a project, or in all places of one kind."""

    what: str
    make: Callable[[Path], None]
    """Makes the change in the project in this folder."""
    at_seam: bool = False
    """Whether the edit is below a "your own … go below" comment."""
    is_formatting: bool = False
    """Whether the edit only reformats lines, throughout the project."""

    def __str__(self) -> str:
        return self.what


class NoSuchPlace(LookupError):
    """The text to which an edit is anchored is missing or not unique."""


def below(path: str, things: str, own: str) -> Edit:
    """Adds the lines *own* below the seam for *things*."""
    return at(Seam(path, things, own))


def at(seam: Seam) -> Edit:
    """Adds lines at a seam."""

    def make(project: Path) -> None:
        path = project / seam.path
        _write(path, seam.add_own(path.read_text("utf-8")))

    return Edit(f"{seam.path}: own {seam.things}", make, at_seam=True)


def instead(path: str, old: str, new: str, within: str = "") -> Edit:
    """Replaces *old*, which must be unique in the file or below *within*, with *new*."""

    def make(project: Path) -> None:
        text = (project / path).read_text("utf-8")
        _require_one(text.count(within) if within else 1, within, path)
        before, start, part = text.rpartition(within) if within else ("", "", text)
        part, end, behind = part.partition("\n\n\n") if within else (part, "", "")
        _require_one(part.count(old), old, path)
        _write(project / path, before + start + part.replace(old, new) + end + behind)

    return Edit(f"{path}: {old.strip().splitlines()[0]}", make)


def after(path: str, line: str, *lines: str) -> Edit:
    """Adds *lines* after *line*, which must be unique, with the same indentation."""

    def make(project: Path) -> None:
        text = (project / path).read_text("utf-8")
        found = list(re.finditer(rf"^([ \t]*){re.escape(line)}\n", text, re.MULTILINE))
        _require_one(len(found), line, path)
        (place,) = found
        own = "".join(f"{place[1]}{each}\n" for each in lines)
        _write(project / path, text[: place.end()] + own + text[place.end() :])

    return Edit(f"{path}: after {line}", make)


def at_the_end(path: str, text: str) -> Edit:
    """Appends *text* to a file, where most users put new code."""

    def make(project: Path) -> None:
        before = (project / path).read_text("utf-8")
        _write(project / path, before + text)

    return Edit(f"{path}: at the end", make)


def added(path: str, text: str) -> Edit:
    """Adds a file that belongs to the user."""

    def make(project: Path) -> None:
        if (project / path).exists():
            raise NoSuchPlace(f"{path} exists already")
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        _write(project / path, text)

    return Edit(f"{path}: added", make)


def deleted(*paths: str) -> Edit:
    """Deletes files that the user does not need."""

    def make(project: Path) -> None:
        for path in paths:
            (project / path).unlink()

    return Edit(f"{', '.join(paths)}: deleted", make)


def moved(path: str, to: str) -> Edit:
    """Moves a file and changes every import of it."""

    def make(project: Path) -> None:
        (project / to).parent.mkdir(parents=True, exist_ok=True)
        (project / path).rename(project / to)
        old, new = (re.escape(_module(path)), _module(to))
        for source in _python_files(project):
            text = source.read_text("utf-8")
            _write_if_other(source, text, re.sub(rf"\b{old}\b", new, text))
        # Imports are sorted by name.
        _ruff(project, "check", "--quiet", "--select", "I", "--fix")

    return Edit(f"{path}: moved to {to}", make)


def reformatted(width: int) -> Edit:
    """Formats the whole project with a different line length."""

    def make(project: Path) -> None:
        pyproject = project / "pyproject.toml"
        text = pyproject.read_text("utf-8")
        _require_one(text.count("line-length = 110"), "line-length = 110", "pyproject.toml")
        _write(pyproject, text.replace("line-length = 110", f"line-length = {width}"))
        format_again(project)

    return Edit(f"everything: lines of {width}", make, is_formatting=True)


def format_again(project: Path) -> None:
    """Formats updated code with the user's formatter."""
    _ruff(project, "format", "--quiet")


def _ruff(project: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ruff", *arguments, "."], cwd=project, check=True)


def _module(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def _python_files(project: Path) -> list[Path]:
    return [path for folder in ("app", "migrations", "tests") for path in (project / folder).rglob("*.py")]


def _require_one(count: int, text: str, path: str) -> None:
    if count != 1:
        raise NoSuchPlace(f"{path} has {count} places with {text!r}, and the edit needs one")


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8", newline="\n")


def _write_if_other(path: Path, before: str, text: str) -> None:
    if text != before:
        _write(path, text)

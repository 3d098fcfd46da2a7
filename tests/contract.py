"""The compatibility that a new version owes existing projects, which are updated, not regenerated.

Paths, questions, defaults, released migrations and seams are an API (docs/releasing.md).
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from seams import PHRASE

REVISIONS = re.compile(r"template/(app/\w+/migrations|migrations/versions)/\w+\.py")


def violations(old: Path, new: Path) -> list[str]:
    """Incompatible changes from the template in the folder *old* to that in *new*, with one message each."""
    return [
        *_lost_paths(old, new),
        *_changed_questions(old, new),
        *_changed_revisions(old, new),
        *_changed_seams(old, new),
    ]


def _lost_paths(old: Path, new: Path) -> Iterator[str]:
    for path in sorted(_paths(old) - _paths(new)):
        yield f"{path} is gone: users' changes to it, or fixes for it, would be lost."


def _changed_questions(old: Path, new: Path) -> Iterator[str]:
    after = _questions(new)
    for name, question in _questions(old).items():
        if name not in after:
            yield f"The question {name} is gone: existing projects have answers to it."
            continue
        for part in ("type", "default", "when"):
            if question.get(part) != after[name].get(part):
                yield f"The question {name} has another {part}."
        if lost := set(_choices(question)) - set(_choices(after[name])):
            yield f"The question {name} lacks the choices {', '.join(sorted(lost))}."
    for name in after.keys() - _questions(old).keys():
        if "default" not in after[name]:
            yield f"The question {name} is new and has no default: existing projects have no answer."


def _changed_revisions(old: Path, new: Path) -> Iterator[str]:
    for path in sorted(filter(REVISIONS.fullmatch, _paths(old) & _paths(new))):
        if _hash(old / path) != _hash(new / path):
            yield f"{path} is released and has changed: databases that applied it will never get the change."


def _changed_seams(old: Path, new: Path) -> Iterator[str]:
    for path in sorted(_paths(old) & _paths(new)):
        if path.endswith(".gz"):
            continue
        before, after = (lines_after_seams((folder / path).read_text("utf-8")) for folder in (old, new))
        for seam, line in before.items():
            if seam not in after:
                yield f"{path} lacks a seam: {seam}. Users have added lines below it."
            elif after[seam] != line:
                yield (
                    f"{path} has another line after the seam: {seam}. Lines that users have added there would"
                    f" conflict. It was: {line or 'an empty line'}"
                )


def lines_after_seams(text: str) -> dict[str, str]:
    """Maps each seam of a file to the next line. A seam for imports has a second line, `# isort: split`."""
    lines = [*text.splitlines(), "the end of the file"]
    seams = [number for number, line in enumerate(lines) if PHRASE in line]
    return {
        lines[number].strip(): lines[number + (2 if lines[number + 1] == "# isort: split" else 1)]
        for number in seams
    }


def _paths(folder: Path) -> set[str]:
    files = (path for path in (folder / "template").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in files if "__pycache__" not in path.parts}


def _questions(folder: Path) -> dict[str, dict[str, Any]]:
    configuration = yaml.safe_load((folder / "copier.yml").read_text("utf-8"))
    return {name: value for name, value in configuration.items() if not name.startswith("_")}


def _choices(question: dict[str, Any]) -> list[str]:
    choices = question.get("choices", [])
    return list(choices.values() if isinstance(choices, dict) else choices)


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""What has become of each edit after a merge."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edits import Edited, Made
from places import places
from versions import Version

type Outcome = Literal["merged", "conflict", "lost", "misplaced", "twice"]
OUTCOMES: tuple[Outcome, ...] = ("merged", "conflict", "lost", "misplaced", "twice")

_START, _MIDDLE, _END = (re.compile(rf"{each}{{7}}(?: |$)") for each in "<=>")


@dataclass(frozen=True)
class Sides:
    """A merged file, apart from its conflicts."""

    yours: str
    """Its text with the person's side of each conflict."""
    conflicts: tuple[tuple[str, str], ...]
    """The person's and the template's lines of each conflict."""


def sides(text: str) -> Sides:
    """Resolve the conflict markers in *text*."""
    lines: list[str] = []
    conflicts: list[tuple[str, str]] = []
    mine: list[str] = []
    theirs: list[str] = []
    at = lines
    for line in text.split("\n"):
        if _START.match(line) and at is lines:
            at = mine = []
        elif _MIDDLE.match(line) and at is mine and at is not lines:
            at = theirs = []
        elif _END.match(line) and at is theirs:
            conflicts.append(("\n".join(mine), "\n".join(theirs)))
            lines += mine
            at = lines
        else:
            at.append(line)
    return Sides("\n".join(lines), tuple(conflicts))


def outcomes(
    old: dict[str, str], project: Edited, version: Version, merged: dict[str, str]
) -> Iterator[tuple[Made, Outcome]]:
    """The outcome of each edit of *project* that *merged*, the files after the update, shows."""
    for path, mine in project.files.items():
        here = [made for made in project.made if made.edit.path == path]
        if path not in merged:
            yield from ((made, "lost") for made in here)
            continue
        if merged[path] == mine and path not in version.files:
            yield from ((made, "merged") for made in here)
            continue
        result = sides(merged[path])
        judge = _Judge(path, old[path], mine, version, result)
        for made in here:
            yield made, judge.outcome(made)


class _Judge:
    """Compares one file of the project before and after."""

    def __init__(self, path: str, old: str, mine: str, version: Version, result: Sides) -> None:
        self._before, self._after = mine.lower(), result.yours.lower()
        self._conflicts = [(yours.lower(), theirs) for yours, theirs in result.conflicts]
        self._lines = Counter(result.yours.split("\n"))
        new = version.files.get(path, old)
        self._theirs = Counter(new.split("\n")) - Counter(old.split("\n"))
        self._is_code = path.endswith(".py")
        self._renamed = version.renamed.get(path, {})
        self._places_of_old, self._places_of_new = set(places(path, old)), set(places(path, new))
        self._places_before = places(path, mine)
        try:
            self._places_after = places(path, result.yours)
        except SyntaxError:
            self._places_after = None

    def outcome(self, made: Made) -> Outcome:
        if made.edit.deletes:
            return self._of_deletion(made)
        if any(made.name in yours for yours, _ in self._conflicts):
            return "conflict"
        before, after = (text.count(made.name) for text in (self._before, self._after))
        if after < before:
            return "lost"
        if after > before or self._is_back(made):
            return "twice"
        return "merged" if self._is_in_place(made.name) else "misplaced"

    def _of_deletion(self, made: Made) -> Outcome:
        if any(line in theirs.split("\n") for _, theirs in self._conflicts for line in made.gone):
            return "conflict"
        return "lost" if self._is_back(made) else "merged"

    def _is_back(self, made: Made) -> bool:
        """Whether there is a line that the edit has removed, and that the template has not added."""
        return any(self._lines[line] > self._theirs[line] for line in made.gone)

    def _is_in_place(self, name: str) -> bool:
        if self._places_after is None:
            # Without a conflict, it is broken. Else the resolution may lack what the template's side has.
            return bool(self._conflicts)
        before, after = (
            [place for place, line in zip(where, text.split("\n"), strict=True) if name in line]
            for where, text in ((self._places_before, self._before), (self._places_after, self._after))
        )
        expected = map(self._new_name, before)
        return all(map(self._is_same, sorted(expected), sorted(after)))

    def _new_name(self, place: str) -> str:
        """What the new version calls the function or class *place*."""
        for old, new in self._renamed.items():
            if place == old or place.startswith(f"{old}."):
                return new + place.removeprefix(old)
        return place

    def _is_same(self, before: str, after: str) -> bool:
        """Whether two places are the same, apart from the words of a heading."""
        is_reworded = before not in self._places_of_new and after not in self._places_of_old
        return before == after or (is_reworded and not self._is_code)

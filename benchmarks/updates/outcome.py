"""What became of each edit in a merge."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edits import Edited, Made
from merging import Merged
from places import is_valid, places
from versions import Version

type Outcome = Literal["merged", "conflict", "lost", "misplaced", "twice"]
OUTCOMES: tuple[Outcome, ...] = ("merged", "conflict", "lost", "misplaced", "twice")

_START, _MIDDLE, _END = (re.compile(rf"{each}{{7}}(?: |$)") for each in "<=>")


@dataclass(frozen=True)
class Sides:
    """A merged file, with its conflicts separated."""

    yours: str
    """The file's text with the user's side of each conflict."""
    conflicts: tuple[tuple[str, str], ...]
    """The user's and the template's lines in each conflict."""


def sides(text: str) -> Sides:
    """Separate the two sides of each conflict in *text*."""
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
    old: dict[str, str], project: Edited, version: Version, merged: Merged
) -> Iterator[tuple[Made, Outcome]]:
    """The outcome of each edit in *project*, as seen in *merged*, the files after the update."""
    for path, mine in project.files.items():
        here = [made for made in project.made if made.edit.path == path]
        if path not in merged.files:
            yield from ((made, "lost") for made in here)
            continue
        if merged.files[path] == mine and path not in version.files:
            yield from ((made, "merged") for made in here)
            continue
        told = {line for where, line in merged.told if where == path}
        judge = _Judge(path, old[path], mine, version, sides(merged.files[path]), told)
        for made in here:
            yield made, judge.outcome(made)


class _Judge:
    """Compares one of the project's files before and after the update."""

    def __init__(
        self, path: str, old: str, mine: str, version: Version, result: Sides, told: set[str]
    ) -> None:
        self._path, self._old, self._mine = path, old, mine
        self._new = version.files.get(path, old)
        self._renamed = version.renamed.get(path, {})
        self._before, self._after = mine.lower(), result.yours.lower()
        self._conflicts = result.conflicts
        self._told = told
        self._lines = Counter(result.yours.split("\n"))
        self._own = Counter(mine.split("\n"))
        self._theirs = Counter(self._new.split("\n")) - Counter(old.split("\n"))
        self._places_before = places(path, mine)
        self._places_after = places(path, result.yours) if is_valid(path, result.yours) else None

    def outcome(self, made: Made) -> Outcome:
        if made.edit.deletes:
            return self._of_deletion(made)
        if any(made.name in yours.lower() for yours, _ in self._conflicts):
            return "conflict"
        before, after = (text.count(made.name) for text in (self._before, self._after))
        if after < before:
            return "lost"
        if after > before or self._is_back(made):
            return "twice"
        if self._is_in_place(made.name):
            return "merged"
        return "conflict" if any(made.name in line.lower() for line in self._told) else "misplaced"

    def _of_deletion(self, made: Made) -> Outcome:
        if self._told & {*made.gone} or any(map(self._is_in_conflict, made.gone)):
            return "conflict"
        return "lost" if self._is_back(made) else "merged"

    def _is_in_conflict(self, gone: str) -> bool:
        """Whether a conflict contains the deleted line or a line next to it."""
        lines = [line for line in self._old.split("\n") if line.strip()]
        at = lines.index(gone) if gone in lines else None
        beside = [] if at is None else lines[max(0, at - 1) : at + 2]
        return any(
            gone in theirs.split("\n") or set(beside) & set(yours.split("\n"))
            for yours, theirs in self._conflicts
        )

    def _is_back(self, made: Made) -> bool:
        """Whether a line that the edit removed has come back, even though neither the template nor another
        edit added it.
        """
        return any(self._lines[line] > self._theirs[line] + self._own[line] for line in made.gone)

    def _is_in_place(self, name: str) -> bool:
        if self._places_after is None:
            # The file cannot be parsed. If it has no conflict, the merge broke it. If it has one, the user's
            # side may merely need lines that are on the template's side.
            return bool(self._conflicts)
        before, after = (
            [number for number, line in enumerate(text.split("\n")) if name in line]
            for text in (self._before, self._after)
        )
        # If a function's first line is in a conflict, the function still has its old name.
        expected, found = (
            sorted(self._new_name(where[number]) for number in numbers)
            for where, numbers in ((self._places_before, before), (self._places_after, after))
        )
        if all(map(self._is_same, expected, found)):
            return True
        return {self._places_after[number] for number in after} <= self._places_around(before[0])

    def _places_around(self, number: int) -> set[str]:
        """The places where the new version has the nearest unique lines before and after a project line.

        The template may have moved these lines to another function. If so, the edit belongs there as well.
        """
        lines = self._new.split("\n")
        once = {line for line, count in Counter(lines).items() if count == 1 and len(line.strip()) > 12}
        where = dict(zip(lines, places(self._path, self._new), strict=True))
        mine, place = self._mine.split("\n"), self._places_before[number]
        found: set[str] = set()
        for around in (range(number - 1, -1, -1), range(number + 1, len(mine))):
            for each in around:
                if self._places_before[each] != place:
                    break
                if mine[each] in once:
                    found.add(where[mine[each]])
                    break
        return found

    def _new_name(self, place: str) -> str:
        """The name of the function or class *place* in the new version."""
        for old, new in self._renamed.items():
            if place == old or place.startswith(f"{old}."):
                return new + place.removeprefix(old)
        return place

    def _is_same(self, before: str, after: str) -> bool:
        """Whether two places are the same, even if the template has reworded the heading."""
        if before == after or self._path.endswith(".py"):
            return before == after
        old, new = (places(self._path, text) for text in (self._old, self._new))
        return before not in new and after not in old

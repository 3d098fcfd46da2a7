"""Conflicts between an insertion and a change to the line below it.

If inserted text ends with the same lines as the text above it, usually blank lines, git can place the
insertion in several positions. Git picks the last one, directly above the next function. If the other side
has changed the first line of that function, git reports a conflict, even though the two changes do not
overlap.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

MARKER_SIZE = 31
"""The length of the conflict markers. They must be longer than any line of `<`, `|`, `=` or `>` in a file."""
_BLANK_LINE = re.compile(r"(?:\A|\n)\r?\n\Z")
_BLOCK = re.compile(
    r"^<{31} [^\n]*\n(?P<yours>.*?)^\|{31} [^\n]*\n(?P<old>.*?)^={31}\r?\n(?P<new>.*?)^>{31} [^\n]*\n",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Resolved:
    """A merged text with at least one conflict resolved."""

    text: str
    conflicts: int
    """The number of conflicts that remain in *text*."""


def resolve(text: str, merge: Callable[[str, str, str], str]) -> Resolved | None:
    """*text* with the insertions kept above the changed lines. Returns None if this resolves no conflict.

    The conflicts in *text* are in the format of `git merge-file --diff3`. A conflict is resolved only if it
    is between a change and an insertion that ends with a blank line. For every other conflict, the result
    contains what *merge* returns for its three versions: the project's, the old one and the new one.
    """
    parts: list[str] = []
    end = resolved = conflicts = 0
    for block in _BLOCK.finditer(text):
        sides = block["yours"], block["old"], block["new"]
        merged = _resolved(*sides)
        if merged is None:
            conflicts += 1
            merged = merge(*sides)
        else:
            resolved += 1
        parts += [text[end : block.start()], merged]
        end = block.end()
    return Resolved("".join([*parts, text[end:]]), conflicts) if resolved else None


def _resolved(yours: str, old: str, new: str) -> str | None:
    for inserted, changed in ((yours, new), (new, yours)):
        above = inserted.removesuffix(old)
        is_insertion = old.strip() and above != inserted and _BLANK_LINE.search(above)
        if is_insertion and _goes_above(above, old, changed):
            return above + changed
    return None


def _goes_above(inserted: str, old: str, changed: str) -> bool:
    """Whether *inserted* can be placed above *changed*, as it was above *old*."""
    # If one of the added lines was also inserted, both sides added the same code.
    if _added_lines(old, changed) & set(inserted.split("\n")):
        return False
    # If the indentation differs, *changed* may be the rest of a docstring whose first lines git found
    # elsewhere.
    return not changed.strip() or _indentation(changed) == _indentation(old)


def _indentation(text: str) -> str:
    """The indentation of the first line that is not blank."""
    line = next(line for line in text.split("\n") if line.strip())
    return line.removesuffix(line.lstrip())


def _added_lines(old: str, new: str) -> set[str]:
    """The lines that occur more often in *new* than in *old*."""
    added = Counter(new.split("\n")) - Counter(old.split("\n"))
    return {line for line in added if line.strip()}

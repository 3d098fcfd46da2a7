"""Conflicts between an insertion and a change to the line below it.

If inserted text ends with the same lines as the text above it, usually blank lines, git can place the
insertion in several positions. Git picks the last one, directly above the next function. If the other side
has changed the first line of that function, git reports a conflict, even though the two changes do not
overlap.
"""

import re
from collections import Counter

MARKER_SIZE = 31
"""The length of the conflict markers. They must be longer than any line of `<`, `|`, `=` or `>` in a file."""
_BLANK_LINE = re.compile(r"(?:\A|\n)\r?\n\Z")
_BLOCK = re.compile(
    r"^<{31} [^\n]*\n(?P<yours>.*?)^\|{31} [^\n]*\n(?P<old>.*?)^={31}\r?\n(?P<new>.*?)^>{31} [^\n]*\n",
    re.MULTILINE | re.DOTALL,
)


def without_conflicts(text: str) -> str | None:
    """*text* with each conflict resolved by keeping the insertion above the changed lines.

    The conflicts in *text* are in the format of `git merge-file --diff3`. Returns None unless every conflict
    is between a change and an insertion that ends with a blank line.
    """
    parts: list[str] = []
    end = 0
    for block in _BLOCK.finditer(text):
        resolved = _resolved(block["yours"], block["old"], block["new"])
        if resolved is None:
            return None
        parts += [text[end : block.start()], resolved]
        end = block.end()
    return "".join([*parts, text[end:]]) if parts else None


def _resolved(yours: str, old: str, new: str) -> str | None:
    for inserted, changed in ((yours, new), (new, yours)):
        above = inserted.removesuffix(old)
        is_insertion = old.strip() and above != inserted and _BLANK_LINE.search(above)
        if is_insertion and not _added_lines(old, changed) & set(above.split("\n")):
            return above + changed
    return None


def _added_lines(old: str, new: str) -> set[str]:
    """The lines that occur more often in *new* than in *old*. If one of them was also inserted, both sides
    added the same code.
    """
    added = Counter(new.split("\n")) - Counter(old.split("\n"))
    return {line for line in added if line.strip()}

"""Lines that the project removed but that came back because the template moved them.

Both sides removed the lines from the old place, and only the template added them in the new one. Git does not
consider this a conflict.
"""

from collections import Counter
from collections.abc import Iterator

from template_update.merge import Merge, Merger


def returned(merger: Merger, merge: Merge, yours: str) -> Iterator[tuple[str, int, str]]:
    """The path, number and text of each line that came back in *merge*. *yours* is the project's tree before
    the merge.
    """
    for path in merger.changes(merge.old, yours):
        old, new = (merger.lines(tree, path) for tree in (merge.old, merge.new))
        # Most paths are the project's own files, which can be large, so skip them first.
        if old is None or new is None or old == new:
            continue
        mine, result = (merger.lines(tree, path) for tree in (yours, merge.result))
        if mine is None or result is None:
            continue
        counts = [Counter(lines) for lines in (old, mine, new)]
        for number, line in _outside_of_conflicts(result):
            if line.strip() and [each[line] for each in counts] == [1, 0, 1]:
                yield path, number, line


def _outside_of_conflicts(lines: list[str]) -> Iterator[tuple[int, str]]:
    is_outside = True
    for number, line in enumerate(lines, 1):
        if line.startswith("<<<<<<< "):
            is_outside = False
        if is_outside:
            yield number, line
        if line.startswith(">>>>>>> "):
            is_outside = True

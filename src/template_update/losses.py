"""Finds changes that `copier update` lost in a project.

Copier silently loses changes to files that are binary or that were moved or removed. It may also put a change
into the wrong function. This module therefore compares the commit made after `copier update` with what
this tool would have merged.
"""

from collections.abc import Iterator
from dataclasses import replace

from template_update.merge import Merge, Merger
from template_update.misplaced import misplaced


def losses(merger: Merger, merge: Merge, before: str, after: str) -> Iterator[str]:
    """The paths at which the tree *after* lacks changes that *merge* would have made to the tree *before*.

    A file counts only if Copier may have left it in that state. Any other difference must have been made by
    hand in the same commit, for example to reject a change or delete a new file.
    """
    moved_by_template = set(merger.renames(merge.old, merge.new).values())
    with_misplaced = {line.path for line in misplaced(merger, replace(merge, result=after), before)}
    for path in merger.changes(after, merge.result):
        # Earlier versions of this tool left conflicts next to insertions for the user to resolve.
        if path in merge.conflicts or path in merge.insertions:
            continue
        trees = (merge.result, after, before, merge.new)
        wanted, got, was, template = (merger.lines(tree, path) for tree in trees)
        if wanted is None:
            continue
        replaceable = path in merge.kept or path in moved_by_template or _is_binary(was)
        if (
            (got == template != was and replaceable)
            or (got == was and path in merge.moved.values())
            or (path in with_misplaced and sorted(got or []) == sorted(wanted))
        ):
            yield path


def _is_binary(lines: list[str] | None) -> bool:
    return any("\0" in line for line in lines or [])

"""What `copier update` lost in a project.

Without warning, Copier loses changes to files that were moved or removed or that are binary, and may put a
change into the wrong function. So this module compares the commit made after `copier update` with what this
tool would have merged.
"""

from collections.abc import Iterator

from template_update.merge import Merge, Merger


def losses(merger: Merger, merge: Merge, before: str, after: str) -> Iterator[str]:
    """The paths in which the tree *after* lacks changes that *merge* would have made to the tree *before*.

    A file counts only if it is as Copier would leave it: as it was before, as the template has it, or with
    the same lines in another order. Any other content must have been edited by hand in the same commit.
    """
    changed = {*merger.changes(merge.old, merge.new), *merger.changes(before, merge.result)}
    for path in merger.changes(after, merge.result):
        trees = (merge.result, after, before, merge.new)
        wanted, got, was, template = (merger.lines(tree, path) for tree in trees)
        # Earlier versions of this tool left conflicts next to insertions to the user.
        if path in merge.conflicts or path in merge.insertions or wanted is None:
            continue
        is_reset = got == template != was
        if path in changed:
            is_lost = is_reset or got == was or sorted(got or []) == sorted(wanted)
        else:
            # The project's version of a binary file was replaced with the template's.
            is_lost = is_reset and template is not None
        if is_lost:
            yield path

"""What `copier update` lost in a project.

Copier loses a change to a file that was moved, removed or is binary, and may put one into the wrong function.
It says nothing about it. So what somebody has committed after `copier update` is compared with what this tool
would have merged.
"""

from collections.abc import Iterator

from template_update.merge import Merge, Merger


def losses(merger: Merger, merge: Merge, before: str, after: str) -> Iterator[str]:
    """The paths in which the tree *after* lacks what *merge*, into the tree *before*, has.

    A file counts only if it is as Copier leaves it: as it was before, as the template has it, or with the
    same lines in another order. Any other content is what somebody has made of it in the same commit.
    """
    changed = {*merger.changes(merge.old, merge.new), *merger.changes(before, merge.result)}
    for path in merger.changes(after, merge.result):
        trees = (merge.result, after, before, merge.new)
        wanted, got, was, template = (merger.lines(tree, path) for tree in trees)
        if path in merge.conflicts or wanted is None:
            continue
        is_reset = got == template != was
        if path in changed:
            is_lost = is_reset or got == was or sorted(got or []) == sorted(wanted)
        else:
            # A binary file that the template has, too.
            is_lost = is_reset and template is not None
        if is_lost:
            yield path

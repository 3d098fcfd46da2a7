"""What `copier update` lost in a project.

Copier loses a change to a file that was moved, removed or is binary, and may put one into the wrong function.
It says nothing about it. So what somebody has committed after `copier update` is compared with what this tool
would have merged.
"""

from collections import Counter
from collections.abc import Iterator

from template_update.merge import Merge, Merger


def losses(merger: Merger, merge: Merge, before: str, after: str) -> Iterator[str]:
    """The paths in which the tree *after* lacks something that *merge*, into the tree *before*, has.

    Edits of the same commit are not losses, nor is a file with a conflict, which somebody has resolved.
    """
    changed = {*merger.changes(merge.old, merge.new), *merger.changes(before, merge.result)}
    head = merger.tree("HEAD")
    for path in merger.changes(after, merge.result):
        trees = (merge.result, after, before, head, merge.new)
        wanted, got, was, now, template = (merger.lines(tree, path) for tree in trees)
        is_reset = got == template != was
        if path in merge.conflicts or wanted is None or not (path in changed or (is_reset and template)):
            continue
        if now is None and got is not None:
            # Somebody has deleted the file since then.
            continue
        is_as_it_was = now == got and (is_reset or got == was or sorted(got or []) == sorted(wanted))
        if is_as_it_was or _missing(wanted, was, template, got) - Counter(now):
            yield path


def _missing(
    wanted: list[str], was: list[str] | None, template: list[str] | None, got: list[str] | None
) -> Counter[str]:
    """The lines that the template or the project has brought and that are not there."""
    lines = Counter(wanted)
    return ((lines - Counter(was)) | (lines - Counter(template))) & (lines - Counter(got))

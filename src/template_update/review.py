"""Finds what a merge may have gotten wrong or missed, even though git saw no conflict."""

from collections.abc import Iterator
from shlex import quote

from template_update import meaning
from template_update.columns import added_twice
from template_update.findings import Finding
from template_update.merge import Merge, Merger
from template_update.moved_code import MovedPart, moved_parts
from template_update.python_files import PythonFiles
from template_update.repository import Repository

_CODE = ("app/", "migrations/", "tests/")


def unnoticed(merger: Merger, repository: Repository, merge: Merge) -> Iterator[Finding]:
    """The findings in the project's Python files."""
    files = _python_files(merger, repository, merge)
    for source, target in files.renamed.items():
        if files.old(source) != files.yours(source) is not None:
            sentence = f"the template renamed this file to {target}. Your changes are now in that file."
            yield Finding("renamed", source, f"{source}: {sentence}", needs_person=False)
    for path, line, sentence in meaning.findings(files):
        yield Finding("meaning", path, f"{path}, line {line}: {sentence}", line=line)
    for path, line, sentence in added_twice(files):
        yield Finding("columns", path, f"{path}, line {line}: {sentence}", line=line)
    for part in moved_parts(files):
        advice, command = _advice(merger, repository, merge, files, part)
        sentence = (
            f"the template changed {part.name} in {part.source}, which you moved here. {advice}: `{command}`."
        )
        place = f"{part.target}, line {part.line}"
        yield Finding("moved_code", part.target, f"{place}: {sentence}", line=part.line, command=command)


def _advice(
    merger: Merger, repository: Repository, merge: Merge, files: PythonFiles, part: MovedPart
) -> tuple[str, str]:
    """The advice for a function or class that was moved, and the command to run."""
    merged, target = merger.merged_text(part.yours, part.base, part.theirs), files.result(part.target) or ""
    if merged is None or part.yours not in target:
        shown = f"git diff {merge.old[:12]} {merge.new[:12]} -- {quote(part.source)}"
        return "Your code may need the same change", shown
    patch = part.patch(target, merged, repository.prefix)
    return "To make the change here, too", f"git cat-file blob {merger.stored(patch)} | git apply"


def _python_files(merger: Merger, repository: Repository, merge: Merge) -> PythonFiles:
    head, where = merger.tree("HEAD"), repository.inside

    def differing(old: str, new: str, *options: str) -> list[str]:
        paths = map(where, merger.changes(old, new, *options))
        return [path for path in paths if path.startswith(_CODE) and path.endswith(".py")]

    return PythonFiles(
        *(merger.reader(tree, repository.prefix) for tree in (head, merge.old, merge.new, merge.result)),
        own=differing(merge.old, head, "--diff-filter=AM"),
        edited=differing(merge.new, merge.result, "--diff-filter=AM"),
        changed=differing(merge.old, merge.new),
        brought=differing(merge.old, merge.new, "--diff-filter=A"),
        renamed={where(old): where(new) for old, new in merger.renames(merge.old, merge.new).items()},
        followed={where(old): where(new) for old, new in merge.moved.items()},
    )

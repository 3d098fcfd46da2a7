"""Functions and classes that the user moved to another file and that the template then changed.

Git follows renamed files, but not code that was cut from one file and pasted into another. So the three
versions of such a function or class are merged separately, and the user gets the result as a patch.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff

from template_update.python_files import PythonFiles, definitions, parsed

_ALIKE = 0.6
"""How similar a function or class must be in both files to count as moved."""


@dataclass(frozen=True)
class MovedPart:
    """A function or class that is now in another file."""

    name: str
    source: str
    """The path in the template."""
    target: str
    """The path in the project."""
    line: int
    base: str
    """Its text in the template's old version, in its new version, and in the project."""
    theirs: str
    yours: str

    def patch(self, text: str, merged: str, prefix: str) -> str:
        """A patch that replaces the function or class with *merged* in *text*, the target file's content."""
        path = f"{prefix}{self.target}"
        before, after = (
            each.splitlines(keepends=True) for each in (text, text.replace(self.yours, merged, 1))
        )
        return "".join(unified_diff(before, after, f"a/{path}", f"b/{path}"))


def moved_parts(files: PythonFiles) -> Iterator[MovedPart]:
    """The functions and classes that the template changed and that the project has only in another file."""
    for source in files.changed:
        before, after, kept = (_parts(read(source)) for read in (files.old, files.new, files.yours))
        for name in sorted(before.keys() & after.keys() - kept.keys()):
            base, theirs = before[name][0], after[name][0]
            for target in files.own if base != theirs else ():
                text, line = _parts(files.yours(target)).get(name, ("", 0))
                is_new = target != files.followed.get(source) and name not in _parts(files.old(target))
                if text and is_new and SequenceMatcher(None, base, text).ratio() >= _ALIKE:
                    yield MovedPart(name, source, target, line, base, theirs, text)
                    break


def _parts(text: str | None) -> dict[str, tuple[str, int]]:
    """The text and the first line of each function and class of a module, decorators included."""
    lines = (text or "").splitlines(keepends=True)
    found: dict[str, tuple[str, int]] = {}
    for name, statements in definitions(parsed(text)).items():
        last = statements[-1]
        if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([last.lineno, *(each.lineno for each in last.decorator_list)])
            found[name] = "".join(lines[first - 1 : last.end_lineno]), first
    return found

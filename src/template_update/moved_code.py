"""Functions and classes that the user moved to another file and that the template then changed.

Git follows renamed files, but not code that was cut from one file and pasted into another. So the three
versions of such a function or class are merged separately, and the user gets the result as a patch.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from io import StringIO

from template_update.python_files import PythonFiles, definitions, parsed

_NO_NEWLINE = "\n\\ No newline at end of file\n"
_ALIKE = 0.6
"""How similar a function or class must be to the one in the template's old version to count as moved."""


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
    """The source text in the template's old version."""
    theirs: str
    """The source text in the template's new version."""
    yours: str
    """The source text in the project."""

    def patch(self, text: str, merged: str, prefix: str) -> str:
        """A patch that replaces the function or class with *merged* in *text*, the target file's content."""
        path = f"{prefix}{self.target}"
        before, after = (
            re.split(r"(?<=\n)(?!\Z)", each) for each in (text, text.replace(self.yours, merged, 1))
        )
        lines = unified_diff(before, after, f"a/{path}", f"b/{path}", n=2)
        return "".join(each if each.endswith("\n") else f"{each}{_NO_NEWLINE}" for each in lines)


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
    """The source text and first line number of each function and class in a module, including decorators."""
    # Unlike `splitlines`, this splits lines only where Python does, so not at form feeds, for example.
    lines = list(StringIO(text or "", newline=""))
    found: dict[str, tuple[str, int]] = {}
    for name, statements in definitions(parsed(text)).items():
        last = statements[-1]
        if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([last.lineno, *(each.lineno for each in last.decorator_list)])
            found[name] = "".join(lines[first - 1 : last.end_lineno]), first
    return found

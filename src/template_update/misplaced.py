"""Project lines that the merge put into a different function or class.

If the template reorders functions that resemble each other, git may match the lines that they have in common.
A changed line can then end up in the wrong function without a conflict.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from template_update.merge import Merge, Merger
from template_update.python_files import parsed

_MODULE = "the module, outside of functions"
_LONG_ENOUGH = 12
"""Shorter lines, such as `else:`, occur in many functions, so they do not identify a function."""


class MisplacedLine(NamedTuple):
    """A project line that is now in the function or class *found* instead of *expected*."""

    path: str
    number: int
    text: str
    expected: str
    found: str


def misplaced(merger: Merger, merge: Merge, yours: str) -> Iterator[MisplacedLine]:
    """Each line that *merge* misplaced. *yours* is the project's tree before the merge."""
    both = {*merger.changes(merge.old, yours)} & {*merger.changes(merge.old, merge.new)}
    for path in sorted(path for path in both if path.endswith(".py")):
        versions = [merger.lines(tree, path) for tree in (merge.old, yours, merge.new)]
        result = merger.lines(merge.result, path)
        if result is None or None in versions:
            continue
        scopes = [_scopes([*enumerate(lines or [], 1)]) for lines in versions]
        after = _scopes([*_your_side(result)])
        if after and all(scopes):
            old, mine, new = scopes
            yield from _misplaced(path, old, mine, new, after)


type _Scopes = list[tuple[int, str, str]]
"""The number and the text of each line, and the qualified name of the function or class that it is in."""


def _misplaced(
    path: str, old: _Scopes, mine: _Scopes, new: _Scopes, result: _Scopes
) -> Iterator[MisplacedLine]:
    before, here, theirs, after = (
        Counter((name, text) for _, text, name in each if text.strip()) for each in (old, mine, new, result)
    )
    names = {name for _, _, name in result}
    for name, text in here - before:
        if name not in names or after[name, text] >= here[name, text]:
            continue
        around = _places_around(mine, new, name, text)
        for number, line, other in result:
            is_extra = after[other, text] > max(here[other, text], theirs[other, text])
            if line == text and is_extra and other not in around:
                yield MisplacedLine(path, number, text, name or _MODULE, other or _MODULE)


def _places_around(mine: _Scopes, new: _Scopes, name: str, text: str) -> set[str]:
    """The functions and classes of *new* that contain the neighbors of *text*: the nearest unique lines
    before and after it in *name*. If the template moved the neighbors to a different function, *text*
    also belongs there.
    """
    counts = Counter(line for _, line, _ in new)
    where = {line: place for _, line, place in new if counts[line] == 1 and len(line.strip()) > _LONG_ENOUGH}
    inside = [line for _, line, place in mine if place == name]
    found: set[str] = set()
    for position in (number for number, line in enumerate(inside) if line == text):
        for neighbors in (reversed(inside[:position]), inside[position + 1 :]):
            found.update([where[line] for line in neighbors if line in where][:1])
    return found


def _scopes(lines: list[tuple[int, str]]) -> _Scopes:
    """The scope of each line. Empty if the lines cannot be parsed."""
    text = "\n".join(text for _, text in lines)
    # Python also ends a line at a lone carriage return, which would shift the line numbers.
    module = None if re.search(r"\r(?!\n|\Z)", text) else parsed(text)
    names = [""] * len(lines)
    for name, first, last in _definitions(module) if module else ():
        names[first - 1 : last] = [name] * (last - first + 1)
    return [(*line, name) for line, name in zip(lines, names, strict=True)] if module else []


def _definitions(scope: ast.AST, prefix: str = "") -> Iterator[tuple[str, int, int]]:
    """The qualified name, first and last line of each function and class in *scope*, outer ones first."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield f"{prefix}{node.name}", first, node.end_lineno or first
            yield from _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.stmt):
            yield from _definitions(node, prefix)


def _your_side(lines: list[str]) -> Iterator[tuple[int, str]]:
    """The lines and their numbers, with only the project's side of each conflict."""
    is_yours = True
    for number, line in enumerate(lines, 1):
        if line.startswith(("<<<<<<< ", ">>>>>>> ")):
            is_yours = True
        elif line.startswith(("||||||| ", "=======")) and not line.startswith("========"):
            is_yours = False
        elif is_yours:
            yield number, line

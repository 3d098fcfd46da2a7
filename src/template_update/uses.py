"""Names and modules that the project uses and that the template renamed, moved or removed."""

import ast
import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from functools import cache

from template_update.python_files import (
    PythonFiles,
    Read,
    definitions,
    files_of,
    imported_module,
    module_in,
    parsed,
)

_DOTTED = re.compile(r"app(\.\w+)+(:\w+)?")
_ALIKE = 0.7
"""The minimum similarity at which a new function or class counts as an old one that was renamed."""


def broken_uses(files: PythonFiles, path: str, module: ast.Module) -> Iterator[tuple[int, str]]:
    """For each use in *path* that the update breaks, its line and a message about what to do."""
    for line, source, name in _uses(files, path, module):
        if not _has(files.yours, source, name) or _has(files.result, source, name):
            continue
        whole = f"{source}.{name}" if _has(files.yours, f"{source}.{name}") else source
        renamed = "" if _has(files.result, whole) else _renamed_module(files, whole)
        if renamed and (whole != source or not name or _has(files.result, renamed, name)):
            yield line, f"the template renamed {whole} to {renamed}. Use the new name."
            continue
        place, other = _new_place(files, source, name)
        if not place:
            is_gone = whole != source or not _has(files.result, source)
            problem = f"{whole} no longer exists" if is_gone else f"{source} no longer contains {name}"
            yield line, f"{problem}. Replace it, or keep your own copy of it."
        elif place == source:
            yield line, f"the template renamed {name} in {source} to {other}. Use the new name."
        else:
            yield line, f"the template moved {name} from {source} to {place}.{other}. Import it from there."


def _uses(files: PythonFiles, path: str, module: ast.Module) -> Iterator[tuple[int, str, str]]:
    """The line, module and name for each import, each use of a name through its module, and each dotted name
    in a string, such as a patch target in a test. The name is empty if the module itself is used.
    """
    modules: dict[str, str] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            for each in node.names:
                modules[each.asname or each.name] = each.name
                yield node.lineno, each.name, ""
        elif isinstance(node, ast.ImportFrom):
            source = imported_module(path, node)
            for each in node.names:
                modules[each.asname or each.name] = f"{source}.{each.name}"
                if each.name != "*":
                    yield node.lineno, source, each.name
    for node in ast.walk(module):
        match node:
            case ast.Attribute(ast.Name() | ast.Attribute() as owner, name):
                source = modules.get(ast.unparse(owner), "")
                # If the module is gone, its import is already reported.
                if source and _has(files.result, source):
                    yield node.lineno, source, name
            case ast.Constant(str(text)) if _DOTTED.fullmatch(text):
                source, name = _split(text.replace(":", "."), files.yours)
                yield node.lineno, source, name
            case _:
                pass


def _split(dotted: str, read: Read) -> tuple[str, str]:
    """Split a dotted name into the longest prefix that is a module and the name that follows it."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        if _has(read, source := ".".join(parts[:length])):
            return source, ".".join(parts[length : length + 1])
    return dotted, ""


def _new_place(files: PythonFiles, source: str, name: str) -> tuple[str, str]:
    """The module and name of the replacement for *name* from *source*. Both are empty if there is none."""
    gone = {
        each: statement
        for path in files_of(source)
        for each, statement in _defined_only(files.old, files.new, path)
    }
    gained = {
        (module_in(path), each): statement
        for path in sorted(files.changed, key=lambda path: path not in files_of(source))
        for each, statement in _defined_only(files.new, files.old, path)
    }
    if same := [place for place in gained if place[1] == name]:
        return same[0]
    for place, statement in gained.items():
        likeness = {each: _likeness(each, old, place[1], statement) for each, old in gone.items()}
        if likeness.get(name, 0) >= _ALIKE and likeness[name] == max(likeness.values()):
            return place
    return "", ""


def _defined_only(read: Read, other: Read, path: str) -> Iterator[tuple[str, ast.stmt]]:
    """The names defined in *path* in one version but not in the other, with their definitions."""
    there, known = (definitions(parsed(each(path))) for each in (read, other))
    yield from ((name, statements[-1]) for name, statements in there.items() if name not in known)


def _likeness(name: str, statement: ast.stmt, other: str, new: ast.stmt) -> float:
    """How similar two definitions are, apart from their names."""
    if type(statement) is not type(new) or not isinstance(
        new, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    ):
        # Unrelated constants may happen to be equal.
        return 0
    old_text, new_text = (
        re.sub(rf"\b{each}\b", "_", ast.unparse(node)) for each, node in ((name, statement), (other, new))
    )
    return SequenceMatcher(None, old_text, new_text).ratio()


def _renamed_module(files: PythonFiles, source: str) -> str:
    """The new name of the module *source*, or an empty string if it was not renamed."""
    return next((module_in(files.renamed[path]) for path in files_of(source) if path in files.renamed), "")


def _has(read: Read, module: str, name: str = "") -> bool:
    """Whether *module* exists and contains *name*."""
    texts = [text for file in files_of(module) if (text := read(file)) is not None]
    if not name:
        return bool(texts)
    if any(read(file) is not None for file in files_of(f"{module}.{name}")):
        return True
    return any(name in _bound(parsed(text)) for text in texts)


@cache
def _bound(module: ast.Module | None) -> set[str]:
    """Every name that a module binds, in any scope. Including functions' local names is harmless."""
    names: set[str] = set()
    for node in ast.walk(module or ast.Module([], [])):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                names.add(name)
            case ast.Name(name, ast.Store()):
                names.add(name)
            case ast.alias(name, alias):
                names.add(alias or name.partition(".")[0])
            case _:
                pass
    return names

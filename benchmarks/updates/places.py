"""Where a line is: the function, class, section or block that encloses it."""

import ast
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath

type Function = ast.FunctionDef | ast.AsyncFunctionDef
type Definition = Function | ast.ClassDef

_BLOCK = re.compile(r"{%-?\s*(end)?(?:block|macro|call)\b\s*(\w*)")


@lru_cache(maxsize=4096)
def places(path: str, text: str) -> list[str]:
    """The place of each line of the file *text*, in order.

    Raises:
        SyntaxError: the file is Python but cannot be parsed.
    """
    lines = text.split("\n")
    match PurePosixPath(path).suffix:
        case ".py":
            return _of_python(text, len(lines))
        case ".md":
            return list(_headings(lines))
        case ".toml":
            return list(_tables(lines))
        case ".yml" | ".yaml":
            return list(_parents(lines))
        case ".html":
            return list(_blocks(lines))
        case _:
            return [""] * len(lines)


@lru_cache(maxsize=1024)
def parsed(text: str) -> ast.Module:
    """The syntax tree of a module, cached because most files are the same in most projects."""
    return ast.parse(text)


def is_valid(path: str, text: str) -> bool:
    """Whether *text* can be parsed. Always true for a file that is not Python code."""
    try:
        return not path.endswith(".py") or bool(parsed(text))
    except SyntaxError:
        return False


def definitions(scope: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Every function and class in *scope* with its qualified name, enclosing ones first."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for node in getattr(scope, part, ()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield prefix + node.name, node
                yield from definitions(node, f"{prefix}{node.name}.")
            else:
                yield from definitions(node, prefix)


def first_line(definition: Definition) -> int:
    """The number of the statement's first line, which may be a decorator."""
    return min([definition.lineno, *(each.lineno for each in definition.decorator_list)])


def _of_python(text: str, count: int) -> list[str]:
    found = [""] * count
    for name, definition in definitions(parsed(text)):
        start = first_line(definition) - 1
        found[start : definition.end_lineno] = [name] * (definition.end_lineno - start)
    return found


def _headings(lines: list[str]) -> Iterator[str]:
    heading = ""
    for line in lines:
        heading = line if line.startswith("#") else heading
        yield heading


def _tables(lines: list[str]) -> Iterator[str]:
    table = key = ""
    for line in lines:
        if line.startswith("["):
            table, key = line, ""
        elif opened := re.match(r"(\S+) = \[$", line):
            key = opened[1]
        elif line.startswith("]"):
            key = ""
        yield f"{table} {key}".strip()


def _parents(lines: list[str]) -> Iterator[str]:
    parents: list[tuple[int, str]] = []
    for line in lines:
        indent = len(line) - len(line.lstrip(" -"))
        if line.strip() and not line.lstrip().startswith("#"):
            while parents and parents[-1][0] >= indent:
                parents.pop()
            place = ".".join(key for _, key in parents)
            if key := re.match(r"[ -]*([\w-]+):(?: &\w+)?$", line):
                parents.append((indent, key[1]))
            yield place
        else:
            yield ".".join(key for level, key in parents if level < indent or not line.strip())


def _blocks(lines: list[str]) -> Iterator[str]:
    stack: list[str] = []
    for line in lines:
        yield ".".join(stack)
        for end, name in _BLOCK.findall(line):
            if end and stack:
                stack.pop()
            elif not end:
                stack.append(name)

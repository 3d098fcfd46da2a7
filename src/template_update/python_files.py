"""The project's Python files in each version involved in a merge. They are read, never run."""

import ast
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

type Read = Callable[[str], str | None]
"""Returns the text of a project file in one of the versions, or None if there is no such file."""


@dataclass(frozen=True)
class PythonFiles:
    """The versions, and the paths of the Python files that differ between them."""

    yours: Read
    old: Read
    new: Read
    result: Read
    own: list[str]
    """Files that you added or changed since the old version."""
    edited: list[str]
    """Files in the result that differ from the new version."""
    changed: list[str]
    """Files that the template changed, added or removed."""
    brought: list[str]
    """The files that the template added."""
    renamed: dict[str, str]
    """Maps the old path to the new path of each file that the template renamed."""
    followed: dict[str, str]
    """Maps the old path to the new path of each file that you moved and the template changed."""


@cache
def parsed(text: str | None) -> ast.Module | None:
    """The syntax tree of *text*, or None if it cannot be parsed."""
    try:
        with warnings.catch_warnings():
            # Invalid escape sequences in the project's code do not concern the update.
            warnings.simplefilter("ignore", SyntaxWarning)
            return None if text is None else ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        # The file has a conflict, or uses syntax that this Python version does not support.
        return None


def definitions(scope: ast.Module | ast.ClassDef | None) -> dict[str, list[ast.stmt]]:
    """The statements that define each name in a module or class."""
    found: dict[str, list[ast.stmt]] = {}
    for statement in scope.body if scope else []:
        match statement:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                names = [name]
            case ast.AnnAssign(ast.Name(name)):
                names = [name]
            case ast.Assign(targets):
                names = [each.id for each in targets if isinstance(each, ast.Name)]
            case _:
                continue
        for name in names:
            found.setdefault(name, []).append(statement)
    return found


def module_in(path: str) -> str:
    """The module in the file *path*."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imported_module(path: str, node: ast.ImportFrom) -> str:
    """The module that *node* in *path* imports from."""
    if not node.level:
        return node.module or ""
    package = path.removesuffix(".py").split("/")[: -node.level]
    return ".".join([*package, *([node.module] if node.module else [])])


def files_of(module: str) -> tuple[str, str]:
    """The files that may contain *module*."""
    folder = module.replace(".", "/")
    return f"{folder}.py", f"{folder}/__init__.py"

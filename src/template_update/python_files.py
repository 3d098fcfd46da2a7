"""The Python files of a project in each version that a merge is about. They are read, never run."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

type Read = Callable[[str], str | None]
"""The text of a file of the project in one of the versions, None if there is no such file."""


@dataclass(frozen=True)
class PythonFiles:
    """The versions, and the paths of the Python files in which they differ."""

    yours: Read
    old: Read
    new: Read
    result: Read
    own: list[str]
    """Files that you have added to the old version or changed in it."""
    edited: list[str]
    """Files of the result that are not as the new version has them."""
    changed: list[str]
    """Files that the template has changed, added or removed."""
    brought: list[str]
    """Those of them that it has added."""
    renamed: dict[str, str]
    """Those that it has renamed: from the old path to the new one."""
    followed: dict[str, str]
    """Files that you have moved, and into whose new place git has merged the change."""


@cache
def parsed(text: str | None) -> ast.Module | None:
    """The syntax tree of *text*, None without one."""
    try:
        return None if text is None else ast.parse(text)
    except (SyntaxError, ValueError):
        # A conflict, or no Python of this version.
        return None


def definitions(scope: ast.Module | ast.ClassDef | None) -> dict[str, list[ast.stmt]]:
    """The statements with which a module or class defines each of its names."""
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
    """The files that may have *module*."""
    folder = module.replace(".", "/")
    return f"{folder}.py", f"{folder}/__init__.py"

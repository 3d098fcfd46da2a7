"""A synthetic next version of the template: every file is changed, and a line is added at every seam.

Future changes are unknown, so this changes everything a little in typical places: the docstring or comment at
the top, a line in every third function and in the middle of every class and text file, a new function at the
end, and something above every seam. It is generated only from the text, without knowledge of users' edits.
Released migrations stay unchanged, as they must.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from conftest import commit, run
from seams import PHRASE, SHIPPED_REVISION, add_shipped_lines

VERSION = "2.0.0"
MIGRATION = "app/users/migrations/users_0008_shipped_color.py"
NEWS = "This is what the next version says."

NOT_CHANGED = re.compile(
    r"app/\w+/migrations/|migrations/versions/|.*\.gz$|tests/users/templates/|\{\{_copier_conf"
)
"""Released migrations, packed files, text files in tests, and Copier's own files."""

_FUNCTION = '''

def next_version() -> int:
    """What the next version can do."""
    return 2
'''


def release_everything(template: Path) -> None:
    """Add the version to a clone of this repository."""
    project = template / "template"
    add_shipped_lines(project)
    for path in files_to_change(project):
        path.write_text(changed(path.name.removesuffix(".jinja"), path.read_text("utf-8")), "utf-8")
    (project / MIGRATION).write_text(SHIPPED_REVISION, "utf-8")
    ruff = (sys.executable, "-m", "ruff")
    run(*ruff, "check", "--isolated", "--quiet", "--select", "I", "--fix", ".", cwd=project)
    run(*ruff, "format", "--isolated", "--quiet", "--line-length", "110", ".", cwd=project)
    commit(template, "Everything anew", tag=VERSION)


def files_to_change(project: Path) -> Iterator[Path]:
    for path in sorted(project.rglob("*")):
        if path.is_file() and not NOT_CHANGED.match(path.relative_to(project).as_posix()):
            yield path


def changed(name: str, text: str) -> str:
    """The next version of a file with this name."""
    match Path(name).suffix:
        case ".py" | ".pyi":
            return _python(text)
        case ".html":
            return _html(text)
        case ".css":
            return f"/* {NEWS} */\n{text}"
        case ".js":
            return f"// {NEWS}\n{text}"
        case ".txt":
            longer = text.replace("\n\n", f"\n\n{NEWS}\n\n", 1)
            return longer if longer != text else f"{NEWS}\n{text}"
        case ".md":
            return _with_line(text, r"\n## ", f"\n{NEWS}\n")
        case ".mako":
            return f"## {NEWS}\n{text}"
        case _ if name == ".python-version":
            return "3.14\n"
        case _:
            return f"# {NEWS}\n" + _with_line(text, r"\n\n", f"\n\n# {NEWS}\n", behind=True)


def _python(text: str) -> str:
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    for number in sorted(_places(tree, lines), reverse=True):
        indent = re.match(r" *", lines[number - 1])[0]
        lines.insert(number - 1, f"{indent}# {NEWS}\n")
    if ast.get_docstring(tree):
        _lengthen_docstring(lines, tree.body[0])
    has_seam_at_the_end = PHRASE in "".join(lines[-2:])
    return "".join(lines) + ("" if has_seam_at_the_end else _FUNCTION)


def _places(scope: ast.Module | ast.ClassDef, lines: list[str]) -> Iterator[int]:
    """The lines to insert a comment before: in every third function and in the middle of every class."""
    functions = [each for each in scope.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions[min(1, len(functions) - 1) :: 3] if functions else []:
        yield from _middle(function.body, lines)
    for each in scope.body:
        if isinstance(each, ast.ClassDef):
            yield from _middle([part for part in each.body if isinstance(part, ast.AnnAssign)], lines)
            yield from _places(each, lines)


def _middle(statements: list[ast.stmt], lines: list[str]) -> Iterator[int]:
    """The first line of the middle statement, if that statement starts the line and is not a docstring."""
    found = [each for each in statements if not _is_text(each)]
    if found:
        middle = found[len(found) // 2]
        number = min([middle.lineno, *(each.lineno for each in getattr(middle, "decorator_list", []))])
        if not lines[number - 1][: middle.col_offset].strip():
            yield number


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _lengthen_docstring(lines: list[str], docstring: ast.stmt) -> None:
    last = docstring.end_lineno - 1
    text = lines[last].rstrip("\n").removesuffix('"""')
    ending = [f"{text}\n", "\n"] if text else ["\n"]
    lines[last : last + 1] = [*ending, f"{NEWS}\n", '"""\n']


def _html(text: str) -> str:
    head = '<meta charset="utf-8">\n'
    text = text.replace(head, f'{head}<meta name="viewport" content="width=device-width">\n')
    return _with_line(text, r"\n<p>", f"\n<p>{NEWS}</p>")


def _with_line(text: str, before: str, line: str, *, behind: bool = False) -> str:
    """*text* with *line* before (or instead of) the middle match of the expression *before*."""
    places = list(re.finditer(before, text))
    if not places:
        return text + line.lstrip("\n")
    place = places[len(places) // 2]
    return text[: place.start()] + line + text[place.end() if behind else place.start() :]

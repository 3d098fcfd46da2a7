"""Gives the template's versions Windows line endings in the files that a project has committed with them.

Otherwise, every line of such a file would count as changed in the project.
"""

from collections.abc import Iterable
from pathlib import Path

from template_update.repository import Repository


def end_lines_alike(repository: Repository, renders: Iterable[Path]) -> None:
    """Change the line endings in *renders* to the project's.

    A file that is not in the project gets the line endings that most of the project's files have.
    """
    committed = repository.line_endings()
    mostly = sum(committed.values()) > len(committed) / 2
    for render in renders:
        for path in render.rglob("*"):
            is_windows = committed.get(path.relative_to(render).as_posix(), mostly)
            if is_windows and path.is_file() and not path.is_symlink():
                _end_lines_as_windows(path)


def _end_lines_as_windows(path: Path) -> None:
    content = path.read_bytes()
    if b"\0" not in content and b"\r\n" not in content:
        path.write_bytes(content.replace(b"\n", b"\r\n"))

"""Converts rendered files to Windows line endings if the project's committed files use them.

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
    if not any(committed.values()):
        return
    for render in renders:
        names = [path.relative_to(render).as_posix() for path in render.rglob("*") if _is_file(path)]
        fixed = repository.with_fixed_line_endings(names)
        for name in names:
            if committed.get(name, mostly and name not in fixed):
                _end_lines_as_windows(render / name)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _end_lines_as_windows(path: Path) -> None:
    content = path.read_bytes()
    if b"\0" not in content and b"\r\n" not in content and _is_text(content):
        path.write_bytes(content.replace(b"\n", b"\r\n"))


def _is_text(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True

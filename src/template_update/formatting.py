"""Formats the template's versions with the project's own formatting rules.

Otherwise every line that breaks differently at another width would count as changed in the project.
"""

import os
import shutil
import subprocess  # nosec B404 - ruff is a command
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

CONFIGURATIONS = (".ruff.toml", "ruff.toml", "pyproject.toml")
"""The files in which ruff looks for its configuration, in order."""


def format_alike(project: Path, renders: Sequence[Path]) -> None:
    """Format *renders* with the rules of *project*.

    Files that the project does not keep formatted stay as they are in the template.
    """
    found = [project / name for name in CONFIGURATIONS if (project / name).is_file()]
    if not found:
        return
    ruff = _Ruff(project, found[0])
    if ruff.format("--check", renders[0]).returncode == 0:
        return
    not_formatted = _not_formatted(project, ruff, set[str]().union(*map(_sources, renders)))
    for render in renders:
        names = sorted(_sources(render) - not_formatted)
        ruff.format(*(render / name for name in names))


class _Ruff:
    """Ruff with the project's configuration, and in the project's version if its environment has one."""

    def __init__(self, project: Path, configuration: Path) -> None:
        environment = project / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
        folders = os.pathsep.join(str(environment / each) for each in ("bin", "Scripts"))
        own = shutil.which("ruff", path=folders)
        self._command = [own] if own else [sys.executable, "-P", "-m", "ruff"]
        self._options = ["--quiet", "--no-cache", "--config", str(configuration)]

    def format(self, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # nosec B603 # noqa: S603 - no shell, and only paths
            [*self._command, "format", *self._options, *(str(each) for each in arguments)],
            capture_output=True,
            check=False,
        )


def _not_formatted(project: Path, ruff: _Ruff, names: set[str]) -> set[str]:
    """The files in the project that `ruff format` would change."""
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        there = {name for name in names if (project / name).is_file()}
        for name in there:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project / name, copy / name)
        ruff.format(copy)
        return {name for name in there if (copy / name).read_bytes() != (project / name).read_bytes()}


def _sources(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}

"""Formats the template's versions the way the project is formatted.

Otherwise, every line that the project's formatter breaks differently would count as changed in the project.
The formatter is Black if the project configures Black. Otherwise, it is ruff if the project configures ruff.
If the project configures isort, isort runs first.
"""

import os
import shutil
import subprocess  # nosec B404 - formatters are commands
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from template_update.repository import Repository

_CONFIGURATIONS = {
    "ruff": {".ruff.toml", "ruff.toml", "pyproject.toml"},
    "black": {"pyproject.toml"},
    "isort": {".isort.cfg", "pyproject.toml", "setup.cfg", "tox.ini"},
}
"""The files in which each formatter looks for its configuration, in the project's folder and its parents."""
_COMMANDS = {
    "ruff": ("format", "--quiet", "--no-cache", "."),
    "black": ("--quiet", "."),
    "isort": ("--quiet", "."),
}


def format_alike(repository: Repository, renders: Sequence[Path], say: Callable[[str], None]) -> None:
    """Format *renders* the way the project in *repository* is formatted.

    Files that the project does not keep formatted, or that it excludes from formatting, stay as they are in
    the template.
    """
    style = _Style(repository, say)
    before = _sources(renders[0])
    formatted = style.changes(renders[0], before)
    if not formatted:
        return
    # Black takes a second for ten files. Most files are the same in every render and in the project, so
    # format these only once.
    expected = before | formatted
    versions = [_sources(render) for render in renders]
    names = {name for version in versions for name in version}
    own = {name: path.read_bytes() for name in names if (path := repository.project / name).is_file()}
    not_kept = style.changes(
        repository.project, [name for name, content in own.items() if content != expected.get(name)]
    )
    for render, version in zip(renders, versions, strict=True):
        kept = {name: content for name, content in version.items() if name not in not_kept}
        is_known = {name for name, content in kept.items() if content == before.get(name)}
        result = {name: formatted[name] for name in is_known & formatted.keys()}
        result |= style.changes(render, kept.keys() - is_known)
        for name, content in result.items():
            (render / name).write_bytes(content)


@dataclass(frozen=True)
class _Formatter:
    name: str
    command: tuple[str, ...]

    def format(self, folder: Path) -> None:
        subprocess.run(  # nosec B603 # noqa: S603 - no shell, and only constants
            [*self.command, *_COMMANDS[self.name]], cwd=folder, capture_output=True, check=False
        )


class _Style:
    """A project's formatters, with their configuration."""

    def __init__(self, repository: Repository, say: Callable[[str], None]) -> None:
        self._top, self._prefix = repository.git.folder, repository.prefix
        self._configurations = list(_configurations(repository))
        self._formatters = [
            each for name in self._wanted() if (each := _found(name, repository.project, say)) is not None
        ]

    def changes(self, folder: Path, names: Iterable[str]) -> dict[str, bytes]:
        """The new content of each file in *names* that formatting changes. The files are in *folder*.

        The formatters run on copies of these files and of the configuration files, laid out as in the
        project's repository. That way, they find the configuration, and the paths in it still apply.
        """
        if not self._formatters:
            return {}
        with TemporaryDirectory() as temporary:
            stage = Path(temporary) / self._prefix
            for path in self._configurations:
                _copy(self._top / path, Path(temporary) / path)
            there = {name: folder / name for name in names if (folder / name).is_file()}
            for name, source in there.items():
                _copy(source, stage / name)
            # isort recognizes the project's own packages only if their folders exist.
            for package in {path.parent.name for path in folder.glob("*/*.py")}:
                (stage / package).mkdir(parents=True, exist_ok=True)
                (stage / package / "__init__.py").touch()
            for formatter in self._formatters:
                formatter.format(stage)
            after = {name: (stage / name).read_bytes() for name in there}
        return {name: content for name, content in after.items() if content != there[name].read_bytes()}

    def _wanted(self) -> Iterator[str]:
        """The formatters that the project configures, in the order in which they run."""
        above = [path for path in self._configurations if self._prefix.startswith(_folder(path))]
        configured = {
            name
            for name, files in _CONFIGURATIONS.items()
            for path in above
            if PurePosixPath(path).name in files and _has_section(self._top / path, name)
        }
        if "isort" in configured:
            yield "isort"
        if "black" in configured:
            yield "black"
        elif "ruff" in configured:
            yield "ruff"


def _configurations(repository: Repository) -> Iterator[str]:
    """The formatters' configuration files in the project and in the folders above it."""
    names = set[str]().union(*_CONFIGURATIONS.values())
    for path in repository.names("ls-files"):
        is_near = path.startswith(repository.prefix) or repository.prefix.startswith(_folder(path))
        if is_near and PurePosixPath(path).name in names and (repository.git.folder / path).is_file():
            yield path


def _folder(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _has_section(path: Path, name: str) -> bool:
    """Whether a configuration file configures the formatter *name*."""
    if path.name in (".ruff.toml", "ruff.toml"):
        return True
    if path.suffix == ".toml":
        try:
            found: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return False
        return name in found.get("tool", {})
    parser = ConfigParser(interpolation=None)
    try:
        parser.read(path, "utf-8")
    except (ConfigParserError, ValueError):
        return False
    sections = ("settings",) if path.name == ".isort.cfg" else (name, f"tool:{name}")
    return any(section in parser for section in sections)


def _found(name: str, project: Path, say: Callable[[str], None]) -> _Formatter | None:
    """Return the formatter in the project's environment, because the project uses that version.

    If the environment lacks it, return this tool's own ruff, or a uv command that runs Black or isort.
    Return None if uv cannot run the formatter.
    """
    environment = project / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
    folders = os.pathsep.join(str(environment / each) for each in ("bin", "Scripts"))
    if own := shutil.which(name, path=folders):
        return _Formatter(name, (own,))
    if name == "ruff":
        return _Formatter(name, (sys.executable, "-P", "-m", name))
    uv = os.environ.get("UV") or shutil.which("uv") or "uv"
    command = (uv, "tool", "run", "--quiet", name)
    try:
        done = subprocess.run([*command, "--version"], capture_output=True, check=False)  # nosec B603 # noqa: S603
    except OSError:
        done = None
    if done is None or done.returncode != 0:
        say(
            f"This project is formatted with {name}, which is not installed, so lines that {name} would"
            f" change may conflict. Install it, for example with `uv add --dev {name}`, and repeat the"
            " update."
        )
        return None
    return _Formatter(name, command)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _sources(folder: Path) -> dict[str, bytes]:
    """The content of each Python file in *folder*."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.py")}

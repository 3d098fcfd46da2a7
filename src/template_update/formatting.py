"""For projects that are formatted in a way of their own: the template's versions are formatted alike first.

Otherwise every line that the other width has broken would count as changed in the project.
"""

import importlib.util
import shutil
import subprocess  # nosec B404 - git, copier, ruff and the tests are commands
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

CONFIGURATIONS = (".ruff.toml", "ruff.toml", "pyproject.toml")
"""Where ruff looks for what to do, in its order."""


def format_alike(project: Path, old: Path, new: Path) -> None:
    """Format in the renders *old* and *new* what *project* keeps formatted, by the project's own rules.

    A file that the project does not keep formatted stays as the template has it, and so does everything where
    ruff is not installed.
    """
    found = [project / name for name in CONFIGURATIONS if (project / name).is_file()]
    if importlib.util.find_spec("ruff") is None or not found:
        return
    if _ruff(found[0], "--check", old).returncode == 0:
        return
    not_formatted = _not_formatted(project, found[0], _sources(old) | _sources(new))
    for render in (old, new):
        names = sorted(_sources(render) - not_formatted)
        _ruff(found[0], *(render / name for name in names))


def _not_formatted(project: Path, configuration: Path, names: set[str]) -> set[str]:
    """Which of the files are in the project, and not as `ruff format` would leave them."""
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        there = {name for name in names if (project / name).is_file()}
        for name in there:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project / name, copy / name)
        _ruff(configuration, copy)
        return {name for name in there if (copy / name).read_bytes() != (project / name).read_bytes()}


def _sources(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.py")}


def _ruff(configuration: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "format",
        "--quiet",
        "--no-cache",
        "--config",
        str(configuration),
    ]
    return subprocess.run(  # nosec B603 # noqa: S603 - no shell, and only paths
        [*command, *(str(each) for each in arguments)], capture_output=True, check=False
    )

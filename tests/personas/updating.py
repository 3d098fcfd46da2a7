"""An update as users run it, and its expected result."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from conftest import Once, clean_environment, commit, copier, run, snapshot, uv_in
from test_render import files_of

from .edits import Edit

THEIRS = re.compile(
    r"\.git/|\.env$|README\.md$|CHANGELOG\.md$|app/users/hooks\.py$"
    r"|app/notes/|tests/notes/|migrations/versions/"
)
"""Files that an update never touches: the secret, the files that are copied once, the example and the
project's own migrations.
"""

RENDERING_ONCE = Path(__file__).with_name("rendering_once.py")

MADE = re.compile(r"(^|/)(\.git|\.template-update|\.ruff_cache|\.pytest_cache|\.hypothesis|__pycache__)/")


def edited(rendered: Path, folder: Path, *edits: Edit) -> Path:
    """A copy of a rendered project with these edits, to compare with."""
    shutil.copytree(rendered, folder, symlinks=True)
    for edit in edits:
        edit.make(folder)
    return folder


def project_of(rendered: Path, folder: Path, *edits: Edit) -> Path:
    """A copy of a rendered project with these edits, committed."""
    edited(rendered, folder, *edits)
    run("git", "init", "--quiet", cwd=folder)
    commit(folder, "Mine")
    return folder


def update(
    project: Path,
    python: Path,
    *options: str,
    database: str = "",
    migrate: bool = True,
    env: dict[str, str] | None = None,
) -> tuple[int, str]:
    """Update to the newest version, as users do. Returns the exit code and the output."""
    url = database or f"sqlite+aiosqlite:///{project.parent / f'{project.name}.db'}"
    command = [sys.executable, "-P", RENDERING_ONCE, "--skip-tests", *(["--yes"] if migrate else [])]
    done = subprocess.run(
        [*command, *options],
        cwd=project,
        env=clean_environment() | uv_in(python) | {"DATABASE_URL": url} | (env or {}),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout


def unmerged(project: Path) -> list[str]:
    """The files that git reports as unmerged."""
    return run("git", "diff", "--name-only", "--diff-filter=U", cwd=project).splitlines()


def with_markers(project: Path) -> list[str]:
    """The files with conflict markers."""
    files = _compared(files_of(project)).items()
    return [name for name, content in files if b"\n<<<<<<< " in b"\n" + content]


def resolve(project: Path, fresh: Path, conflicts: Iterable[str]) -> None:
    """Resolves conflicts as the user would."""
    for name in conflicts:
        shutil.copy2(fresh / name, project / name)
        run("git", "add", "--", name, cwd=project)


def differences(project: Path, fresh: Path, before: dict[str, bytes]) -> list[str]:
    """The files with the wrong content after an update. Template-owned files must equal those in *fresh*, a
    project of the new version with the same edits. The user's own files must be as *before*.
    """
    actual = _compared(files_of(project))
    theirs = {name: content for name, content in before.items() if THEIRS.match(name)}
    ours = {name: content for name, content in files_of(fresh).items() if not THEIRS.match(name)}
    expected = _compared(ours | theirs)
    return sorted(name for name in actual.keys() | expected.keys() if actual.get(name) != expected.get(name))


def _compared(files: dict[str, bytes]) -> dict[str, bytes]:
    """The project's files, excluding git's own files and files that tools create."""
    return {name: content for name, content in files.items() if not MADE.search(name)}


@dataclass(frozen=True)
class Versions:
    """Projects of a version and of the next one, rendered with the default answers."""

    old: Path
    new: Path


def versions_of(once: Once, name: str, release: Callable[[Path], object], version: str) -> Versions:
    """Projects of 1.0.0, the working tree, and of *version*, which `release(template)` adds to a clone."""

    def fill(folder: Path) -> None:
        (folder / "template").mkdir()
        template = snapshot(folder / "template")
        release(template)
        _render(template, "1.0.0", folder / "old")
        _render(template, version, folder / "new")

    folder = once(name, fill)
    return Versions(folder / "old", folder / "new")


def _render(template: Path, version: str, folder: Path) -> None:
    copier("copy", "--quiet", "--defaults", "--vcs-ref", version, template, folder, cwd=folder.parent)

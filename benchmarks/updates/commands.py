"""Updates a few projects with the commands themselves: `template-update` and `copier update`."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from edits import Edited, edited
from merging import Workshop
from templates import REPOSITORY, Step

EDITS = 12
"""Edits in each sample project. With a hundred, every refactoring would conflict, and no tests would run."""
TOOL, COPIER = "template-update", "copier update"
COMMANDS = {
    TOOL: ["-m", "template_update", "--skip-tests", "--to"],
    COPIER: ["-m", "copier", "update", "--quiet", "--defaults", "--vcs-ref"],
}


_DOWNLOADS = re.compile("UV_|SSL_CERT_|https?_proxy|no_proxy", re.IGNORECASE)
"""Matches the environment variables that a download may need, such as proxy settings."""


@dataclass
class Tally:
    """What became of the projects that a command updated."""

    projects: int = 0
    files: int = 0
    """The number of edited files."""
    same_files: int = 0
    """The number of edited files that are identical to the results of the method used for the bulk merges."""
    without_conflict: int = 0
    """The number of projects without a conflict, whose tests can run."""
    green: int = 0
    """The number of projects whose tests pass."""
    failed: int = 0
    """The number of projects that the command could not update at all."""


class Sample:
    """Sample projects that are updated with the commands."""

    def __init__(self, folder: Path, copied_once: list[str], render: Path | None) -> None:
        """Create an environment for the tests of the project *render*. If *render* is None, no tests run."""
        self._folder = folder
        self._copied_once = copied_once
        self._environment = _environment(render, folder / "environment") if render else None
        self._results: dict[str, bool] = {}

    def update(self, step: Step, seed: int, count: int) -> dict[str, dict[str, int]]:
        """Update *count* projects with each command."""
        work = self._folder / f"sample-{step.tag}"
        workshop = Workshop(work, step.old, self._copied_once)
        tallies = {name: Tally() for name in COMMANDS}
        for number in range(count):
            random = Random(f"sample {seed} {step.tag} {number}")
            project = edited(step.files, random, EDITS, keeps_tests=True)
            tree = workshop.tree(project.files)
            expected = {
                TOOL: workshop.merged(tree, step.new, project.files).files,
                COPIER: workshop.patched(tree, project.files, step.new).files,
            }
            for name, tally in tallies.items():
                folder = self._committed(step, project, work / f"{number}-{name.replace(' ', '-')}")
                if self._update(folder, name, step.tag):
                    self._count(tally, folder, project, expected[name])
                else:
                    tally.failed += 1
                shutil.rmtree(folder)
        shutil.rmtree(work)
        return {name: asdict(tally) for name, tally in tallies.items()}

    def _committed(self, step: Step, project: Edited, folder: Path) -> Path:
        shutil.copytree(step.old, folder)
        for path, text in project.files.items():
            (folder / path).write_text(text, "utf-8")
        for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "Edited"]):
            _git(folder, *command)
        return folder

    def _count(self, tally: Tally, folder: Path, project: Edited, expected: dict[str, str]) -> None:
        tally.projects += 1
        tally.files += len(project.files)
        tally.same_files += sum(
            (folder / path).read_text("utf-8") == expected[path] for path in project.files
        )
        if _git(folder, "diff", "--name-only", "--diff-filter=U"):
            return
        tally.without_conflict += 1
        if self._environment:
            tally.green += self._is_green(folder, self._environment)

    def _update(self, folder: Path, name: str, tag: str) -> bool:
        """Run the command. Returns whether it updated the project, with or without conflicts."""
        # The tool runs ruff in the project's environment. This Python's environment also has ruff.
        uv = {"UV_PROJECT_ENVIRONMENT": str(self._environment or sys.prefix), "UV_NO_SYNC": "1"}
        own = {"PYTHONPATH": str(REPOSITORY / "src")}
        done = subprocess.run(
            [sys.executable, *COMMANDS[name], tag],
            cwd=folder,
            env=_clean() | uv | own,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        is_updated = f"_commit: {tag}" in (folder / ".copier-answers.yml").read_text("utf-8")
        if not is_updated:
            print(f"{name} failed:\n{done.stdout[-2000:]}", file=sys.stderr)
        return is_updated

    def _is_green(self, folder: Path, environment: Path) -> bool:
        """Whether the project's tests pass. The tests of identical projects run only once."""
        _git(folder, "add", "--all")
        tree = _git(folder, "write-tree").strip()
        if tree not in self._results:
            self._results[tree] = all(
                _succeeds(folder, environment, *command)
                # Both sides may have added columns, for which users create a migration after an update.
                for command in (
                    ["app.cli", "db", "upgrade"],
                    ["app.cli", "db", "revision", "--message", "Own columns"],
                    ["pytest", "-q"],
                )
            )
        return self._results[tree]


def _succeeds(folder: Path, environment: Path, module: str, *arguments: str) -> bool:
    done = subprocess.run(
        [environment / "bin" / "python", "-m", module, *arguments],
        cwd=folder,
        env=_clean() | {"DATABASE_URL": "sqlite+aiosqlite:///sample.db"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        print("\n".join(done.stdout.splitlines()[-15:]), file=sys.stderr)
    return done.returncode == 0


def _environment(render: Path, project: Path) -> Path:
    shutil.copytree(render, project)
    _git(project, "init", "--quiet")
    subprocess.run(["uv", "sync", "--quiet"], cwd=project, env=_clean(), check=True)
    return project / ".venv"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=_clean(), capture_output=True, text=True, check=True
    ).stdout


def _clean() -> dict[str, str]:
    """A command's environment, without variables that could affect a project's settings, git or pytest."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("HOME", "PATH", "TMPDIR") or _DOWNLOADS.match(name)
    }
    names = {
        f"GIT_{who}_{what}": "benchmark@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    return kept | names | {"GIT_CONFIG_GLOBAL": os.devnull, "UV_PYTHON_DOWNLOADS": "never"}

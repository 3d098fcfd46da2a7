"""Runs git and turns its errors into sentences."""

import os
import re
import subprocess  # nosec B404 - git is a command
from pathlib import Path

OLDEST = (2, 38)
"""The first version whose `merge-tree` merges without a working tree."""
_OF_A_HOOK = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE"}


class UpdateError(Exception):
    """The update cannot continue. The text says why and what to do. Nothing was changed."""


class Git:
    """Runs git in *folder*: `git("status", "--porcelain")` returns what it prints."""

    def __init__(self, folder: Path, **environment: str | Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
        self._environment = kept | {name: str(value) for name, value in environment.items()}

    def __call__(self, *arguments: str | Path, given: str = "") -> str:
        """Run a command that must succeed, with *given* on its standard input.

        Raises:
            UpdateError: git is missing or refuses.
        """
        done = self.run(*arguments, given=given)
        if done.returncode != 0:
            raise UpdateError(f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def run(self, *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command whose exit code the caller checks."""
        try:
            return subprocess.run(  # nosec B603 B607 # noqa: S603 - no shell, and git from the PATH is meant
                ["git", *(str(each) for each in arguments)],  # noqa: S607
                cwd=self.folder,
                env=self._environment,
                input=given,
                capture_output=True,
                encoding="utf-8",
                errors="surrogateescape",
                check=False,
            )
        except FileNotFoundError:
            raise UpdateError("git is missing. Install it: updates are merged with git.") from None

    def require_version(self) -> None:
        """Refuse a git that is too old.

        Raises:
            UpdateError: git is older than `OLDEST`.
        """
        name = self("version").strip()
        found = re.search(r"(\d+)\.(\d+)", name)
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            raise UpdateError(f"git {OLDEST[0]}.{OLDEST[1]} or newer is required, but this is {name}.")

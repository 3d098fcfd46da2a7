"""Git as a command, with its refusals as sentences."""

import os
import re
import subprocess  # nosec B404 - git is a command
from pathlib import Path

OLDEST = (2, 38)
"""The first version whose `merge-tree` merges without a working tree."""
_OF_A_HOOK = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE"}


class UpdateError(Exception):
    """The update cannot go on; the text says why and what to do. Nothing has been changed."""


class Git:
    """`git("status", "--porcelain")` in *folder*; what it prints, as text."""

    def __init__(self, folder: Path, **environment: str | Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}
        self._environment = kept | {name: str(value) for name, value in environment.items()}

    def __call__(self, *arguments: str | Path, given: str = "") -> str:
        """Run a command that has to succeed, with *given* on its standard input.

        Raises:
            UpdateError: git is missing or refuses.
        """
        done = self.run(*arguments, given=given)
        if done.returncode != 0:
            raise UpdateError(f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def run(self, *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command whose exit code says something."""
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
            raise UpdateError("git is missing: install it, updates are merged with it.") from None

    def require_version(self) -> None:
        """Refuse a git that is too old.

        Raises:
            UpdateError: it is.
        """
        name = self("version").strip()
        found = re.search(r"(\d+)\.(\d+)", name)
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            raise UpdateError(f"git {OLDEST[0]}.{OLDEST[1]} or newer is needed, and this is {name}.")

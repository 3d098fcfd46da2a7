"""Runs git and turns its errors into readable messages."""

import os
import re
import subprocess  # nosec B404 - git is a command
from pathlib import Path

OLDEST = (2, 38)
"""The first git version whose `merge-tree` can merge without a working tree."""
LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}
"""An environment variable that makes git take every path literally, even one with an asterisk."""
_OF_A_HOOK = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"}
ONLY_THE_REPOSITORY = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "0",
    "GIT_CONFIG_PARAMETERS": "",
}
"""Environment variables that make git ignore the user's and the machine's settings."""
_CURE_OF_OWNERSHIP = re.compile(r"git config --global --add safe\.directory .+")


class UpdateError(Exception):
    """The update cannot continue. The message explains why and what to do. Nothing was changed, unless the
    message says otherwise.
    """


def environment_outside_hooks() -> dict[str, str]:
    """This process's environment, without the variables that select a repository in a git hook or
    alias.
    """
    return {name: value for name, value in os.environ.items() if name not in _OF_A_HOOK}


class Git:
    """Runs git in *folder*: `git("status", "--porcelain")` returns what git prints."""

    def __init__(self, folder: Path, **environment: str | Path) -> None:
        self.folder = folder
        given = {name: str(value) for name, value in environment.items()}
        # Some of git's messages are parsed, so they must not be translated.
        self._environment = environment_outside_hooks() | {"LC_ALL": "C"} | given

    def __call__(self, *arguments: str | Path, given: str = "") -> str:
        """Run a command that must succeed, with *given* on its standard input.

        Raises:
            UpdateError: git is missing or fails.
        """
        done = self.run(*arguments, given=given)
        if done.returncode != 0:
            raise UpdateError(f"git {arguments[0]} failed: {reason(done)}")
        return done.stdout

    def run(self, *arguments: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command whose exit code the caller checks."""
        try:
            # Use bytes, because in text mode Python would replace Windows line endings.
            done = subprocess.run(  # nosec B603 B607 # noqa: S603 - no shell, and git is on the PATH
                ["git", *(str(each) for each in arguments)],  # noqa: S607
                cwd=self.folder,
                env=self._environment,
                input=given.encode("utf-8", "surrogateescape"),
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise UpdateError("git is missing. Install it, because git merges the updates.") from None
        said = (each.decode("utf-8", "surrogateescape") for each in (done.stdout, done.stderr))
        return subprocess.CompletedProcess(done.args, done.returncode, *said)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command, with pipes for its input and output."""
        return subprocess.Popen(  # nosec B603 B607 # noqa: S603 - as above
            ["git", *arguments],  # noqa: S607
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Use a new process group, so that Ctrl+C does not end git while the update is being written.
            process_group=0,
        )

    def require_version(self) -> None:
        """Reject a git version that is too old.

        Raises:
            UpdateError: git is older than `OLDEST`.
        """
        name = self("version").strip()
        found = re.search(r"(\d+)\.(\d+)", name)
        if found is None or (int(found[1]), int(found[2])) < OLDEST:
            raise UpdateError(f"git {OLDEST[0]}.{OLDEST[1]} or newer is required, but this is {name}.")


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """Git's own error message, without its hints."""
    if done.returncode < 0:
        return f"it was terminated by signal {-done.returncode}"
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    errors = [line for line in lines if line.startswith(("fatal: ", "error: "))]
    return (errors or lines or ["it did not say why"])[0]


def cure_of_ownership(said: str) -> str:
    """The command that git suggests if another user owns the repository; otherwise, an empty string."""
    found = _CURE_OF_OWNERSHIP.search(said)
    return found[0] if found else ""

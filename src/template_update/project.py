"""Runs the project's tools with uv, in the project's environment and never in this tool's."""

import os
import shlex
import shutil
import subprocess  # nosec B404 - the project's tools are commands
from pathlib import Path

from template_update.git import UpdateError

_STDERR = 2
"""The file descriptor of standard error. Other processes can write to it even if `sys.stderr` is replaced."""


class ProjectTools:
    """Runs modules, such as ruff and pytest, with the project's Python."""

    def __init__(self, project: Path, *, to_stderr: bool = False) -> None:
        """Find uv. With *to_stderr*, all of the tools' output goes to standard error.

        Raises:
            UpdateError: uv is missing.
        """
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv is None:
            raise UpdateError(
                "uv is missing. Install it (`pip install uv`), because it runs the project's tools."
            )
        self._project = project
        self._uv = uv
        self._python = [uv, "run", "python"]
        self._to_stderr = to_stderr
        self._stdout = _STDERR if to_stderr else None

    def in_copy(self, folder: Path) -> "ProjectTools":
        """The same tools for a copy of the project in *folder*, which uses the project's environment."""
        tools = ProjectTools(folder, to_stderr=self._to_stderr)
        # A sync would replace the installed project with the copy, which is deleted soon afterwards.
        tools._python = [self._uv, "run", "--no-sync", "python"]
        return tools

    def install_dependencies(self) -> None:
        """Install the dependencies in pyproject.toml, but not the project itself."""
        if "UV_NO_SYNC" not in os.environ:
            command = [self._uv, "sync", "--quiet", "--inexact", "--no-install-project"]
            subprocess.run(command, cwd=self._project, stdout=self._stdout, check=False)  # nosec B603 # noqa: S603

    def run(self, *command: str) -> bool:
        """Run a module with its arguments. Returns whether it succeeded.

        uv first installs new dependencies from pyproject.toml.
        """
        done = subprocess.run(  # nosec B603 # noqa: S603
            [*self._python, "-m", *command], cwd=self._project, stdout=self._stdout, check=False
        )
        return done.returncode == 0

    def output(self, *command: str) -> str:
        """Run a module that must succeed. Returns what it prints to standard output.

        Raises:
            UpdateError: the module fails.
        """
        return self._succeed(command, subprocess.PIPE)

    def said(self, *command: str) -> str:
        """Run a module. Returns what it prints to standard output, whether or not it succeeds."""
        done = subprocess.run(  # nosec B603 # noqa: S603
            [*self._python, "-m", *command],
            cwd=self._project,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        return done.stdout

    def pass_on(self, *command: str) -> None:
        """Run a module that must succeed and that prints to this process's standard output.

        Raises:
            UpdateError: the module fails.
        """
        self._succeed(command, None)

    def _succeed(self, command: tuple[str, ...], stdout: int | None) -> str:
        done = subprocess.run(  # nosec B603 # noqa: S603
            [*self._python, "-m", *command],
            cwd=self._project,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
        if done.returncode != 0:
            shown, said = shlex.join(command).replace("app.cli", "app"), done.stderr.strip()
            # A traceback ends with the error message.
            reason = said.splitlines()[-1] if "Traceback (most recent call last)" in said else said
            raise UpdateError(f"`uv run {shown}` failed: {reason}")
        return done.stdout

    def has(self, module: str) -> bool:
        """Whether the project's environment has *module*."""
        command = [*self._python, "-c", f"import {module}"]
        done = subprocess.run(command, cwd=self._project, capture_output=True, check=False)  # nosec B603 # noqa: S603
        return done.returncode == 0

"""Runs the project's tools with uv, in the project's environment and never in this tool's."""

import os
import shutil
import subprocess  # nosec B404 - the project's tools are commands
from pathlib import Path

from template_update.git import UpdateError


class ProjectTools:
    """The modules that the project's Python can run, such as ruff and pytest."""

    def __init__(self, project: Path) -> None:
        """Find uv.

        Raises:
            UpdateError: uv is missing.
        """
        uv = os.environ.get("UV") or shutil.which("uv")
        if uv is None:
            raise UpdateError("uv is missing. It runs the project's tools: `pip install uv`.")
        self._project = project
        self._python = [uv, "run", "python"]

    def run(self, *command: str) -> bool:
        """Run a module with its arguments, and return whether it succeeded.

        uv first installs new dependencies of pyproject.toml.
        """
        done = subprocess.run([*self._python, "-m", *command], cwd=self._project, check=False)  # nosec B603 # noqa: S603
        return done.returncode == 0

    def has(self, module: str) -> bool:
        """Whether the project's environment has *module*."""
        command = [*self._python, "-c", f"import {module}"]
        done = subprocess.run(command, cwd=self._project, capture_output=True, check=False)  # nosec B603 # noqa: S603
        return done.returncode == 0

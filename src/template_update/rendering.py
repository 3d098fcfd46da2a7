"""Renders versions of the template with Copier."""

import subprocess  # nosec B404 - copier is a command
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from template_update.git import ONLY_THE_REPOSITORY, UpdateError, environment_outside_hooks

ANSWERS_FILE = ".copier-answers.yml"
_COPIERS_GIT = ONLY_THE_REPOSITORY | {
    # An empty path, because git would read ~/.config/git/attributes even without the user's settings.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "core.attributesFile",
    "GIT_CONFIG_VALUE_0": "",
}
_COPIER = (sys.executable, "-P", "-m", "template_update.copier_command")


@dataclass(frozen=True)
class Copy:
    """A project to render: the template, its version, the answers and the target folder."""

    template: Path
    version: str
    answers: dict[str, Any]
    folder: Path


def render(copies: list[Copy]) -> None:
    """Render *copies* concurrently. Rendering takes most of an update's time, and each render uses one core.

    Raises:
        UpdateError: Copier rejects an answer or fails to render a version.
    """
    started = [(copy, _start(copy)) for copy in copies]
    try:
        for copy, process in started:
            said, _ = process.communicate()
            if process.returncode != 0:
                raise UpdateError(_why(copy, said))
    finally:
        # If one fails, the others must not keep writing to the temporary folder while that is being deleted.
        for _, process in started:
            process.kill()
            process.wait()


def _why(copy: Copy, said: str) -> str:
    """The error message in *said*, Copier's output after a failure, without the traceback."""
    answers, is_wrong, problem = said.strip().rpartition("ValueError: ")
    cannot = f"Version {copy.version} of the template cannot be used"
    lines = problem.strip().splitlines() or ["Copier did not say why"]
    if "Traceback" in answers and is_wrong:
        wrong = " ".join(line.strip() for line in lines)
        return f"{cannot} with the answers in {ANSWERS_FILE} or --answers: {wrong}"
    return f"{cannot}: {lines[-1]}"


def _start(copy: Copy) -> subprocess.Popen[str]:
    data = copy.folder.with_suffix(".yml")
    data.write_text(yaml.safe_dump(copy.answers, allow_unicode=True), "utf-8")
    # The user's Copier settings could answer questions that were never asked for this project.
    settings = copy.folder.with_name("settings.yml")
    settings.write_text("{}\n", "utf-8")
    options = ["--quiet", "--defaults", "--skip-tasks", "--vcs-ref", copy.version, "--data-file", str(data)]
    return subprocess.Popen(  # nosec B603 # noqa: S603 - no shell, paths and a version
        [*_COPIER, "copy", *options, str(copy.template), str(copy.folder)],
        env=environment_outside_hooks() | _COPIERS_GIT | {"COPIER_SETTINGS_PATH": str(settings)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )

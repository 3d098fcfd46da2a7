"""Runs `template-update` in copies of a project, and stops each run at a different moment.

    python tests/stopped_update.py SIGKILL FIRST_VERSION WHOLE COPY...

A moment is the start of one of the processes that an update runs, so it does not depend on the machine's
speed. The update in WHOLE is not stopped, and shows how many processes there are. FIRST_VERSION is the folder
that the fixture `first_version` in test_template_update.py returns.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from test_template_update import copied
from typer.testing import CliRunner

from template_update import rendering
from template_update.command import cli
from template_update.project import ProjectTools


def main() -> None:
    name, first_version, whole, *copies = sys.argv[1:]
    quicken(Path(first_version))
    count = started_by(Path(whole), signal.Signals[name], stop_at=0)
    for number, copy in enumerate(copies):
        started_by(Path(copy), signal.Signals[name], stop_at=1 + number * count // len(copies))


def quicken(first_version: Path) -> None:
    """Render in this process, and do not run any commands after the merge."""

    def render(copies: list[rendering.Copy]) -> None:
        for copy in copies:
            if copy.version == "1.0.0":
                shutil.copytree(first_version / "project", copy.folder)
            else:
                copied(copy.template, copy.folder, copy.version, **copy.answers)

    rendering.render = render
    for method, result in {"has": True, "run": True, "said": "{}"}.items():
        setattr(ProjectTools, method, lambda *_, result=result: result)


def started_by(project: Path, number: signal.Signals, *, stop_at: int) -> int:
    """Update *project* in a new process, which gets the signal when it starts its process number *stop_at*.

    Returns how many processes were started.
    """
    reading, writing = os.pipe()
    if child := os.fork():
        os.close(writing)
        with os.fdopen(reading) as pipe:
            count = len(pipe.read())
        os.waitpid(child, 0)
        return count
    start = subprocess.Popen.__init__
    counted = 0

    def counting(process: Any, *arguments: Any, **options: Any) -> None:
        nonlocal counted
        counted += 1
        os.write(writing, b".")
        if counted == stop_at:
            os.kill(os.getpid(), number)
        start(process, *arguments, **options)

    setattr(subprocess.Popen, "__init__", counting)  # noqa: B010 - pyright does not allow the assignment
    os.chdir(project)
    CliRunner().invoke(cli, [])
    os._exit(0)


if __name__ == "__main__":
    main()

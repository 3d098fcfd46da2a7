"""What one process of an application uses: memory, and the time from its start to its first response."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from peers import free_port, render, wait_for_response

STARTS = 3


def memory_of(pid: int) -> float:
    """Memory used by the process and its children, in megabytes. Shared memory counts once (PSS).

    The uv process that started these processes is left out: in production, nothing runs through uv.
    """
    process = psutil.Process(pid)
    family = [each for each in (process, *process.children(recursive=True)) if each.name() != "uv"]
    return sum(each.memory_full_info().pss for each in family) / 2**20


@contextmanager
def served(project: Path, environment: dict[str, str], workers: int = 1) -> Iterator[tuple[int, int, float]]:
    """Run `app serve`. Yields its port, its process id, and the seconds until its first response."""
    port = free_port()
    command = [project / ".venv" / "bin" / "app", "serve", "--port", str(port), "--workers", str(workers)]
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=project,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_response(port, "the project")
        yield port, process.pid, time.monotonic() - began
    finally:
        process.terminate()
        process.wait(40)


def seconds_to_first_response(project: Path, environment: dict[str, str]) -> float:
    """The seconds from the start of `app serve` to its first response, in the fastest of a few runs."""
    times: list[float] = []
    for _ in range(STARTS):
        with served(project, environment) as (_, _, seconds):
            times.append(seconds)
    return min(times)


def seconds_to_first_steps(folder: Path) -> float:
    """The seconds from `copier copy` to the first 200 response of `app dev`, with warm uv caches."""
    port = free_port()
    began = time.monotonic()
    project = render(folder / "first-steps")
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    process = subprocess.Popen(
        ["uv", "run", "--quiet", "app", "dev", "--port", str(port)],
        cwd=project,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_response(port, "the new project")
        return time.monotonic() - began
    finally:
        process.terminate()
        process.wait(40)

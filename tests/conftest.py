"""What the tests of the template share: a tagged snapshot of the working tree, renders of it, an environment.

Copier is driven by its command line, as people drive it, on a copy of the working tree in a temporary folder.
All generated projects run in one virtual environment, which is made once and kept in `.cache`.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from filelock import FileLock

REPOSITORY = Path(__file__).resolve().parent.parent
POSTGRESQL = "postgresql://root@127.0.0.1:5432/postgres"

type Render = Callable[..., Path]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that has to succeed; its output, or all of it in the failure."""
    done = subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=clean_environment() | (env or {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        pytest.fail(
            f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}", pytrace=False
        )
    return done.stdout


def clean_environment() -> dict[str, str]:
    """The environment without what could reach a generated project's settings or git."""
    kept = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Tests"), ("EMAIL", "tests@example.com"))
    }
    return kept | identity | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}


DROP_DATABASE = """
import asyncio, sys, asyncpg

async def drop(server, name):
    connection = await asyncpg.connect(server)
    await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    await connection.close()

asyncio.run(drop(*sys.argv[1:]))
"""


def drop_database(python: Path, server: str, name: str) -> None:
    run(python, "-c", DROP_DATABASE, server, name, cwd=REPOSITORY)


def commit(folder: Path, message: str, tag: str | None = None) -> None:
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--allow-empty", "--message", message, cwd=folder)
    if tag:
        run("git", "tag", tag, cwd=folder)


def copier(*arguments: str | Path, cwd: Path) -> str:
    return run(sys.executable, "-m", "copier", *arguments, cwd=cwd)


def snapshot(folder: Path) -> Path:
    """Copy the working tree, what git ignores left out, into a repository with the tag 1.0.0."""
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=REPOSITORY).split("\0")
    for name in filter(None, listed):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    commit(folder, "Snapshot", tag="1.0.0")
    return folder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository as it is now, tagged 1.0.0."""
    return snapshot(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def render(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """`render(database="postgresql")`: a new project with these answers, the others by default."""

    def make(**answers: str | bool) -> Path:
        project = tmp_path_factory.mktemp("project") / "project"
        data = [part for name, value in answers.items() for part in ("--data", f"{name}={value}")]
        copier("copy", "--quiet", "--defaults", *data, template, project, cwd=project.parent)
        return project

    return make


@pytest.fixture(scope="session")
def python(render: Render) -> Path:
    """The Python of an environment that holds what generated projects need."""
    pyproject = render() / "pyproject.toml"
    key = hashlib.sha256(pyproject.read_bytes() + sys.version.encode()).hexdigest()[:16]
    environment = REPOSITORY / ".cache" / f"project-{key}"
    environment.parent.mkdir(exist_ok=True)
    with FileLock(f"{environment}.lock"):
        if not (environment / "ready").exists():
            uv = [sys.executable, "-m", "uv"]
            run(*uv, "venv", "--clear", "--python", sys.executable, environment, cwd=REPOSITORY)
            install = [*uv, "pip", "install", "--python", environment / "bin" / "python"]
            run(*install, "-r", pyproject, "--group", f"{pyproject}:dev", cwd=REPOSITORY)
            (environment / "ready").touch()
    return environment / "bin" / "python"


def missing(reason: str) -> NoReturn:
    """Skip the test and say why; with REQUIRE_SERVICES=1, as in CI, fail it: nothing is skipped there."""
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql() -> str:
    """The URL of a PostgreSQL server."""
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex(("127.0.0.1", 5432)) == 0:
            return POSTGRESQL
    missing("no PostgreSQL answers on 127.0.0.1:5432 (user root, trust)")

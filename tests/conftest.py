"""Fixtures for the template's tests: a tagged snapshot of the working tree, renders of it, and an
environment.

Copier runs from its command line on a copy of the working tree in a temporary folder. All generated projects
run in one virtual environment, which is created once and kept in `.cache`.
"""

import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import httpx
import pytest
from filelock import FileLock
from planted_feature import plant
from uv import find_uv_bin
from xdist.scheduler import LoadScopeScheduling

REPOSITORY = Path(__file__).resolve().parent.parent
MACHINERY = REPOSITORY / "tests" / "machinery"
WITH_FEATURES = {
    "totp": True,
    "passkeys": True,
    "email_login": True,
    "observability": True,
    "mail_webhooks": True,
}
"""The answers for a project that has all protections and all code that the tests in `machinery` need."""
OPTIONAL = ["boto3>=1.40,<2"]
"""Packages that a project adds only if it needs them: boto3 for MAIL_BACKEND=ses."""
POSTGRESQL = "postgresql://root@127.0.0.1:5432/postgres"
REDIS = "redis://127.0.0.1:6379/0"
TOOLS = ["bandit==1.9.4", "detect-secrets==1.5.0", "pip-audit==2.10.1", "schemathesis==4.32.5"]
"""Pinned: a new version may find more problems, which should appear only after a deliberate update."""

QUICK_COPIER = [sys.executable, "-m", "template_update.copier_command"]
"""Copier's command line, in half the time. test_render.py compares its projects with those of `copier`."""

type Render = Callable[..., Path]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """Run a command that must succeed, and return its output. A failure shows all of the output."""
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


OF_THE_TESTS = {
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "UV",
    # Container images set this variable. Half of the test time would then be spent compiling the same
    # modules again.
    "PYTHONDONTWRITEBYTECODE",
}
TEMPLATE_UPDATE = [sys.executable, "-m", "template_update"]
"""Runs the update tool from the working tree. test_template_command.py runs it with uv, as users do."""


def clean_environment() -> dict[str, str]:
    """The environment without variables that could affect a generated project's settings, git or pytest."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_THE_TESTS}
    identity = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "Tests"), ("EMAIL", "tests@example.com"))
    }
    git = identity | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    # A suite runs in one process, because other tests run at the same time and each additional process has
    # its own startup cost.
    return kept | git | {"PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}


def uv_in(python: Path) -> dict[str, str]:
    """Variables that make `uv run` use this Python's environment unchanged in every project."""
    environment = str(python.parent.parent)
    return {"UV": find_uv_bin(), "UV_PROJECT_ENVIRONMENT": environment, "UV_NO_SYNC": "1"}


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
    """Copy the working tree, excluding ignored files, into a repository with the tag 1.0.0."""
    listed = run("git", "ls-files", "-z", "-co", "--exclude-standard", cwd=REPOSITORY).split("\0")
    for name in filter(None, listed):
        if (REPOSITORY / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, folder / name)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=folder)
    commit(folder, "Snapshot", tag="1.0.0")
    return folder


type Once = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """`once("template", fill)`: a folder filled by `fill(folder)`, in whichever process asks first. All tests
    in the run share the folder, so a test must copy it before changing anything.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, fill: Callable[[Path], object]) -> Path:
        folder, ready = shared / "once" / name, shared / "once" / f"{name}.ready"
        folder.parent.mkdir(exist_ok=True)
        with FileLock(shared / "once" / f"{name}.lock"):
            if not ready.exists():
                # A process that did not finish left this folder behind.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                ready.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def template(once: Once) -> Path:
    """A clone of the working tree, tagged 1.0.0."""
    return once("template", snapshot)


@pytest.fixture(scope="session")
def planted(once: Once) -> Path:
    """A clone of the working tree with the planted feature, tagged 1.0.0."""

    def fill(folder: Path) -> None:
        plant(snapshot(folder))
        commit(folder, "A planted feature")
        run("git", "tag", "--force", "1.0.0", cwd=folder)

    return once("planted", fill)


@pytest.fixture(scope="session")
def render(template: Path, once: Once, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """`render(database="postgresql")`: a new project with these answers, and defaults for the others.

    Copier runs once per set of answers, and each call returns a copy. The copies share the secret.
    """

    def make(**answers: str | bool) -> Path:
        rendered = once(
            f"project-{key_of(answers)}",
            lambda folder: project_of_template(template, folder / "project", **answers),
        )
        return copy_of(rendered / "project", tmp_path_factory)

    return make


@pytest.fixture(scope="session")
def compiled(render: Render, once: Once, python: Path, tmp_path_factory: pytest.TempPathFactory) -> Render:
    """Like `render`, with bytecode, for tests that run the project. Otherwise Python would compile everything
    in each test.
    """

    def make(**answers: str | bool) -> Path:
        made = once(
            f"compiled-{key_of(answers)}",
            lambda folder: compile_all(shutil.copytree(render(**answers), folder / "project"), python),
        )
        return copy_of(made / "project", tmp_path_factory)

    return make


def key_of(answers: dict[str, str | bool]) -> str:
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:16]


def copy_of(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    # File times are also copied, so the bytecode stays valid.
    return shutil.copytree(project, tmp_path_factory.mktemp("project") / "project")


def compile_all(project: Path, python: Path) -> None:
    """Write the bytecode of *project*, and of its tests as rewritten by pytest."""
    run(python, "-m", "compileall", "-q", "app", "migrations", cwd=project)
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", cwd=project)


def project_of_template(template: Path, project: Path, **answers: str | bool) -> Path:
    """Generate a project from *template* in the folder *project*, with these answers, and defaults for the
    others.
    """
    data = [part for name, value in answers.items() for part in ("--data", f"{name}={value}")]
    run(*QUICK_COPIER, "copy", "--quiet", "--defaults", *data, template, project, cwd=project.parent)
    return project


def add_machinery_tests(project: Path) -> Path:
    """Put the tests of `tests/machinery/` next to the project's own, and return *project*.

    They test code that owners do not edit, so a generated project does not contain them.
    """
    shutil.copytree(MACHINERY, project / "tests", dirs_exist_ok=True)
    return project


@pytest.fixture(scope="session")
def python(render: Render) -> Path:
    """The Python of an environment with the dependencies of a generated project with all features."""
    return python_of_project(render(**WITH_FEATURES))


def python_of_project(project: Path) -> Path:
    """The Python of an environment with the dependencies of *project*."""
    pyproject = project / "pyproject.toml"
    packages = ["-r", pyproject, "--group", f"{pyproject}:dev", *OPTIONAL]
    return environment_of("project", pyproject.read_bytes() + str(OPTIONAL).encode(), *packages)


@pytest.fixture(scope="session")
def tools_python() -> Path:
    """The Python of a separate environment for tools whose dependencies may conflict with the project's."""
    return environment_of("tools", " ".join(TOOLS).encode(), *TOOLS)


def environment_of(name: str, contents: bytes, *packages: str | Path) -> Path:
    """The Python of an environment with *packages*, created if there is none for *contents* yet."""
    key = hashlib.sha256(contents + sys.version.encode()).hexdigest()[:16]
    environment = REPOSITORY / ".cache" / f"{name}-{key}"
    environment.parent.mkdir(exist_ok=True)
    with FileLock(f"{environment}.lock"):
        if not (environment / "ready").exists():
            uv = [sys.executable, "-m", "uv"]
            run(*uv, "venv", "--clear", "--python", sys.executable, environment, cwd=REPOSITORY)
            run(*uv, "pip", "install", "--python", environment / "bin" / "python", *packages, cwd=REPOSITORY)
            (environment / "ready").touch()
    return environment / "bin" / "python"


def missing(reason: str) -> NoReturn:
    """Skip the test for this reason. With REQUIRE_SERVICES=1, as in CI, fail it instead, because nothing may
    be skipped there.
    """
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql() -> str:
    """The URL of a PostgreSQL server."""
    if not answers(5432):
        missing("no PostgreSQL server on 127.0.0.1:5432 (user root, trust)")
    return POSTGRESQL


@pytest.fixture(scope="session")
def redis() -> str:
    """The URL of a Redis server."""
    if not answers(6379):
        missing("no Redis server on 127.0.0.1:6379")
    return REDIS


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """For each server, the URL of a database that does not exist yet: `app db upgrade` must create it."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"
        return
    server = request.getfixturevalue("postgresql")
    name = f"app_{uuid4().hex[:8]}"
    yield f"{server.rpartition('/')[0]}/{name}"
    drop_database(request.getfixturevalue("python"), server, name)


@contextmanager
def process(
    *command: str | Path, cwd: Path, log: Path, env: dict[str, str], stop: int = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command during the block. The command must exit successfully on the signal *stop*."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            command,
            cwd=cwd,
            env=clean_environment() | env | {"PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=output,
        )
    running.log = log
    try:
        yield running
    finally:
        running.send_signal(stop)
        # `app serve` may need 33 s (docs/when-things-fail.md).
        code = running.wait(45)
    assert code == 0, log.read_text()


def wait_for_server(client: httpx.Client, server: subprocess.Popen[bytes]) -> None:
    def is_ready() -> bool:
        assert server.poll() is None, server.log.read_text()
        try:
            return client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    wait_until(is_ready, "the server")


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.1)


def free_port() -> int:
    """A port on which nothing listens. It is below the range for outgoing connections, so none of those
    can take it first.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Scheduling(LoadScopeScheduling):
    """The browser tests run in one process, so their project is rendered and served only once. The same
    applies to the proxy tests.

    The marker `xdist_group` of pytest-xdist 3.8 has no effect with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return {"tests/test_proxies.py": "proxies"}.get(file, "browser" if "/browser/" in file else nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("minutes") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the values that tests recorded with `record_property("measured", ...)`."""
    reports = [each for outcome in ("passed", "failed") for each in terminalreporter.stats.get(outcome, [])]
    for report in reports:
        for name, value in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(f"{report.nodeid}\n    {value}")

"""The command line: what each command does, and that what goes wrong is said in a sentence."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner, Result

from app import __version__
from app.cli import cli
from app.cli.common import fail
from app.settings import Settings

PROJECT = Path(__file__).parent.parent
PASSWORD = "correct horse battery"
CREATE_ADA = ("users", "create", "ada@example.com", "--password-stdin")

type Run = Callable[..., Result]


@pytest.fixture(scope="module")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database with every migration applied; tests use copies of it."""
    path = tmp_path_factory.mktemp("cli") / "migrated.db"
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, path)
        result = CliRunner().invoke(cli, ["db", "upgrade"])
    assert result.exit_code == 0, result.output
    return path


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the database of this test is; it is not there yet."""
    path = tmp_path / "data" / "app.db"
    set_environment(monkeypatch, path)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def migrated(database: Path, migrated_file: Path) -> Path:
    """The same, migrated."""
    database.parent.mkdir()
    shutil.copy(migrated_file, database)
    return database


@pytest.fixture
def run(database: Path) -> Run:
    """`run("users", "list", stdin="...")`: the command in this process."""

    def invoke(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, arguments, input=stdin)

    return invoke


def set_environment(patch: pytest.MonkeyPatch, database: Path) -> None:
    for field in Settings.model_fields:
        patch.delenv(field.upper(), raising=False)
    for name, value in {
        "ENVIRONMENT": "test",
        "SECRET_KEY": "0123456789abcdef" * 4,
        "DATABASE_URL": f"sqlite+aiosqlite:///{database}",
        "MAIL_BACKEND": "memory",
    }.items():
        patch.setenv(name, value)


def refusal(result: Result) -> str:
    """The sentence that a command ended with."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


# As a process


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Processes find what an earlier one has compiled, which is most of the time that they need to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


@contextmanager
def running(*arguments: str, cwd: Path = PROJECT) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone at the end of the block, whatever happens in it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this takes too long"
        time.sleep(0.05)


def answers(url: str, text: str) -> bool:
    try:
        return text in httpx.get(url, timeout=2).text
    except httpx.TransportError:
        return False


def drop_database(url: str) -> None:
    async def drop() -> None:
        server = make_url(url).set(drivername="postgresql+asyncpg", database="postgres")
        engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(f"DROP DATABASE IF EXISTS {make_url(url).database} WITH (FORCE)"))
        await engine.dispose()

    asyncio.run(drop())


# Help


@pytest.mark.parametrize(
    "command",
    [
        "",
        "dev",
        "serve",
        "worker",
        "settings",
        "openapi",
        "db",
        "db upgrade",
        "db downgrade",
        "db revision",
        "db check",
        "db current",
        "users",
        "users create",
        "users list",
        "users promote",
        "users disable",
        "users enable",
    ],
)
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_every_command_explains_itself(run: Run, command: str, option: str):
    result = run(*command.split(), option)

    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_help_and_version_need_no_settings(tmp_path: Path):
    environment = {name: value for name, value in os.environ.items() if name != "SECRET_KEY"}
    environment["PYTHONPATH"] = str(PROJECT)
    command = [sys.executable, "-m", "app.cli"]

    shown = {
        option: subprocess.run(
            [*command, option], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout
        for option in ("--help", "--version")
    }

    assert "Usage" in shown["--help"]
    assert shown["--version"].strip() == __version__


def test_the_command_line_does_not_load_the_application_to_explain_itself():
    heavy = {"alembic", "hawkapi", "pydantic", "sqlalchemy"}
    code = "import sys, app.cli; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert "app.cli" in done.stdout.split()
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["nonsense"], ["db", "downgrade"], ["serve", "--port", "0"]])
def test_a_wrong_use_is_explained_with_exit_code_2(run: Run, arguments: list[str]):
    assert run(*arguments).exit_code == 2


# Errors


@pytest.mark.parametrize(
    "arguments",
    [["serve"], ["worker"], ["settings"], ["openapi"], ["users", "list"], ["db", "upgrade"], ["db", "check"]],
    ids=" ".join,
)
def test_wrong_settings_are_named_by_every_command(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    monkeypatch.setenv("SECRET_KEY", "short")
    monkeypatch.setenv("SMTP_PORT", "none")

    sentence = refusal(run(*arguments))

    assert "SECRET_KEY: must be at least 32 characters" in sentence
    assert "SMTP_PORT: " in sentence


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["worker"],
        ["users", "list"],
        ["users", "promote", "a@example.com"],
        ["db", "check"],
        ["db", "current"],
        ["db", "downgrade", "base"],
        ["db", "revision", "-m", "x"],
    ],
    ids=" ".join,
)
def test_a_database_that_is_not_there_is_not_made_by_looking(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    monkeypatch.setattr("app.cli.server._refuse_a_taken_port", lambda *_: None)

    assert "uv run app db upgrade" in refusal(run(*arguments)).splitlines()[-1]
    assert not database.exists()


def test_tables_that_are_missing_are_named(run: Run, database: Path):
    database.parent.mkdir()
    database.touch()

    assert "uv run app db upgrade" in refusal(run("users", "list"))


@pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="needs a PostgreSQL server")
def test_a_database_that_a_server_lacks_is_made_and_migrated(run: Run, monkeypatch: pytest.MonkeyPatch):
    server = make_url(os.environ["TEST_DATABASE_URL"])
    url = server.set(database=f"test_{uuid4().hex[:12]}").render_as_string(hide_password=False)
    monkeypatch.setenv("DATABASE_URL", url)
    try:
        assert "uv run app db upgrade" in refusal(run("users", "list"))
        assert "Created the database" in run("db", "upgrade").stdout
        assert run("db", "downgrade", "base").exit_code == 0
        assert "uv run app db upgrade" in refusal(run("users", "list"))
    finally:
        drop_database(url)


@pytest.mark.parametrize("arguments", [["users", "list"], ["db", "upgrade"], ["db", "current"]], ids=" ".join)
def test_a_server_that_does_not_answer_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ada:hunter2@127.0.0.1:{free_port()}/app")

    sentence = refusal(run(*arguments))

    assert "The database cannot be used" in sentence
    assert "hunter2" not in sentence


def test_an_error_that_is_nobodys_fault_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch):
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.settings.describe", bug)

    assert isinstance(run("settings").exception, ZeroDivisionError)


def test_fail_ends_with_the_sentence(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(Exception) as caught:
        fail("It does not work.")

    assert getattr(caught.value, "exit_code", None) == 1
    assert "It does not work." in capsys.readouterr().err


# app db


def test_upgrade_makes_the_folder_and_the_tables(run: Run, database: Path):
    result = run("db", "upgrade")

    assert result.exit_code == 0
    assert database.exists()
    assert run("db", "check").exit_code == 0
    assert "No accounts yet." in run("users", "list").stderr


def test_down_and_up_again(run: Run, migrated: Path):
    assert run("db", "downgrade", "base").exit_code == 0
    assert "uv run app db upgrade" in refusal(run("users", "list"))
    assert run("db", "upgrade").exit_code == 0
    assert run("users", "list").exit_code == 0


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_a_revision_that_does_not_exist_is_named(run: Run, migrated: Path, direction: str):
    assert "nonsense" in refusal(run("db", direction, "nonsense"))


def test_models_and_migrations_that_differ_fail_the_check(run: Run, migrated: Path):
    from sqlalchemy import Column, Integer, Table

    from app.database import Base

    table = Table("cli_orders", Base.metadata, Column("id", Integer, primary_key=True))
    try:
        sentence = refusal(run("db", "check"))
    finally:
        Base.metadata.remove(table)

    assert "cli_orders" in sentence


def test_a_revision_without_changes_is_not_written(run: Run, migrated: Path):
    versions = PROJECT / "migrations" / "versions"
    before = set(versions.glob("*.py"))

    result = run("db", "revision", "-m", "nothing new")

    assert result.exit_code == 0
    assert "uv run app db upgrade" not in result.stdout
    assert set(versions.glob("*.py")) == before


def test_current_names_the_revisions(run: Run, migrated: Path):
    result = run("db", "current")

    assert result.exit_code == 0
    assert re.search(r"^users_\d+ ", result.stdout, re.MULTILINE)


# app users


def test_a_user_is_created_with_a_password_from_standard_input(run: Run, migrated: Path):
    result = run(*CREATE_ADA, stdin=f"{PASSWORD}\n")

    assert (result.exit_code, result.stdout) == (0, "Created ada@example.com.\n")
    assert "active, unverified" in run("users", "list").stdout


def test_a_user_is_created_with_a_password_that_is_typed_twice(run: Run, migrated: Path):
    typed = f"{PASSWORD}\nsomething else\n{PASSWORD}\n{PASSWORD}\n"

    result = run("users", "create", "Ada@Example.com", "--superuser", "--verified", stdin=typed)

    assert result.exit_code == 0
    assert "do not match" in result.output
    assert PASSWORD not in result.output
    assert "ada@example.com  active, verified, superuser" in run("users", "list").stdout


@pytest.mark.parametrize(
    ("email", "password", "sentence"),
    [
        ("ada@example.com", "short", "The password is too short: use at least 12 characters."),
        ("ada@example.com", "", "The password is too short: use at least 12 characters."),
        ("ada@example.com", "x" * 129, "The password is too long: use at most 128 characters."),
        ("nobody", PASSWORD, "must have an @-sign"),
    ],
)
def test_a_user_that_cannot_be_is_refused(run: Run, migrated: Path, email: str, password: str, sentence: str):
    result = run("users", "create", email, "--password-stdin", stdin=f"{password}\n")

    assert sentence in refusal(result)
    assert "No accounts yet." in run("users", "list").stderr


def test_an_address_is_taken_once(run: Run, migrated: Path):
    run(*CREATE_ADA, stdin=PASSWORD)

    assert "ada@example.com has an account already." in refusal(run(*CREATE_ADA, stdin=PASSWORD))


def test_a_password_is_no_argument(run: Run, migrated: Path):
    assert run("users", "create", "ada@example.com", PASSWORD).exit_code == 2
    assert run("users", "create", "ada@example.com", "--password", PASSWORD).exit_code == 2


def test_a_user_is_promoted_disabled_and_enabled_again(run: Run, migrated: Path):
    run(*CREATE_ADA, stdin=PASSWORD)

    assert run("users", "promote", "ADA@example.com").stdout == "ada@example.com is a superuser now.\n"
    assert run("users", "disable", "ada@example.com").stdout == "ada@example.com is disabled.\n"
    assert "disabled, unverified, superuser" in run("users", "list").stdout
    assert run("users", "enable", "ada@example.com").exit_code == 0
    assert "active, unverified, superuser" in run("users", "list").stdout


@pytest.mark.parametrize("command", ["promote", "disable", "enable"])
def test_an_account_that_nobody_has_is_named(run: Run, migrated: Path, command: str):
    assert "No account has the address eve@example.com." in refusal(run("users", command, "eve@example.com"))


def test_the_list_is_searched_and_limited(run: Run, migrated: Path):
    run(*CREATE_ADA, stdin=PASSWORD)
    run("users", "create", "bob_1@example.com", "--password-stdin", stdin=PASSWORD)

    found, limited, none = (
        run("users", "list", "--search", "B_1"),
        run("users", "list", "--limit", "1"),
        run("users", "list", "--search", "%"),
    )

    assert re.findall(r"\S+@\S+", found.stdout) == ["bob_1@example.com"]
    assert len(limited.stdout.splitlines()) == 1
    assert "--limit" in limited.stderr
    assert "No such account." in none.stderr


# app settings, app openapi


def test_settings_are_shown_with_their_source_and_without_secrets(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / ".env").write_text("SMTP_PASSWORD=hunter2\n")
    monkeypatch.setenv("DATABASE_URL", "postgresql://ada:hunter3@db.example.com/app")

    shown = run("settings").stdout

    assert [line.split()[0] for line in shown.splitlines()] == [
        each.upper() for each in Settings.model_fields
    ]
    assert re.search(r"^SMTP_PASSWORD +\.env +\*+$", shown, re.MULTILINE)
    assert re.search(r"^DATABASE_URL +environment .*@db\.example\.com/app$", shown, re.MULTILINE)
    assert re.search(r"^DEBUG +default +False$", shown, re.MULTILINE)
    assert not re.search(r"hunter|0123456789abcdef", shown)


def test_the_openapi_document_is_printed(run: Run):
    document = json.loads(run("openapi").stdout)

    assert document["openapi"].startswith("3.1")
    assert "/users/register" in document["paths"]


def test_the_openapi_document_is_written(run: Run, tmp_path: Path):
    result = run("openapi", "--output", str(tmp_path / "openapi.json"))

    assert result.exit_code == 0
    assert "/users/login" in json.loads((tmp_path / "openapi.json").read_text("utf-8"))["paths"]


def test_a_file_that_cannot_be_written_is_named(run: Run, tmp_path: Path):
    target = tmp_path / "nowhere" / "openapi.json"

    assert f"{target} cannot be written" in refusal(run("openapi", "--output", str(target)))


# app dev, app serve, app worker


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_a_port_that_is_taken_is_named(run: Run, migrated: Path, command: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        sentence = refusal(run(command, "--port", str(port)))

    assert f"port {port}" in sentence
    assert "--port" in sentence


def test_dev_is_not_for_production(run: Run, monkeypatch: pytest.MonkeyPatch):
    for name, value in {
        "ENVIRONMENT": "production",
        "BASE_URL": "https://app.example.com",
        "MAIL_BACKEND": "smtp",
        "MAIL_SENDER": "app@example.com",
        "SMTP_HOST": "smtp.example.com",
    }.items():
        monkeypatch.setenv(name, value)

    assert "uv run app serve" in refusal(run("dev", "--port", str(free_port())))


def test_serve_refuses_a_database_that_lacks_migrations(run: Run, migrated: Path):
    run("db", "downgrade", "app@base")

    sentence = refusal(run("serve", "--port", str(free_port())))

    assert "app_" in sentence
    assert "uv run app db upgrade" in sentence


@pytest.mark.usefixtures("bytecode")
def test_serve_warns_outside_production_answers_and_stops_when_asked(migrated: Path):
    port = free_port()
    with running("serve", "--port", str(port)) as server:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", '"ready"'))
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=30)

    assert server.returncode == 0
    assert "ENVIRONMENT is test" in output


@pytest.mark.usefixtures("bytecode")
def test_the_worker_says_that_it_runs_and_stops_when_asked(migrated: Path):
    with running("worker") as worker:
        assert worker.stdout is not None
        first_line = worker.stdout.readline()
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=30)

    assert "sending mail by memory" in first_line
    assert worker.returncode == 0
    assert "Traceback" not in rest


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as it comes from git: without `.env` and without a database."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("app", "migrations"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=ignored)
    for file in ("pyproject.toml", ".env.example"):
        shutil.copy(PROJECT / file, tmp_path)
    # Whichever database was chosen for development, this test is to leave none behind.
    monkeypatch.setenv("DATABASE_URL", "sqlite+aiosqlite:///data/app.db")
    return tmp_path


@pytest.mark.usefixtures("bytecode")
def test_dev_makes_what_is_missing_serves_and_loads_what_is_saved(clone: Path):
    port = free_port()
    document = f"http://127.0.0.1:{port}/openapi.json"
    main = clone / "app" / "main.py"
    with running("dev", "--port", str(port), cwd=clone) as server:
        wait_until(lambda: answers(document, "problem details (RFC 9457)"))
        good = main.read_text("utf-8")
        main.write_text(good.replace("problem details (RFC 9457)", "saved meanwhile"), "utf-8")
        wait_until(lambda: answers(document, "saved meanwhile"))
        server.send_signal(signal.SIGINT)
        output, _ = server.communicate(timeout=30)

    assert f"http://127.0.0.1:{port}/docs" in output
    assert "Mail         is printed here" in output
    assert (clone / "data" / "app.db").exists()
    assert re.search(r"^SECRET_KEY=[0-9a-f]{64}$", (clone / ".env").read_text("utf-8"), re.MULTILINE)
    assert (clone / ".env").stat().st_mode & 0o077 == 0

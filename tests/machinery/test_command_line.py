"""The command line in detail: processes, errors, features' commands and unusual input."""

import asyncio
import fcntl
import json
import os
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner, Result

from app import __version__
from app.cli import cli, server
from app.cli.common import application, fail
from app.cli.database import revision_files, what_is_missing
from app.cli.web_process import GRACE
from app.settings import Settings, load_settings
from app.settings_checks import features

PROJECT = Path(__file__).parent.parent

PASSWORD = "correct horse battery"

CREATE_ADA = ("users", "create", "ada@example.com", "--password-stdin")

type Run = Callable[..., Result]
type Query = Callable[[str], list[tuple[Any, ...]]]


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
    """The path of this test's database, which does not exist yet."""
    path = tmp_path / "data" / "app.db"
    set_environment(monkeypatch, path)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.fixture
def migrated(database: Path, migrated_file: Path) -> Path:
    """The same database, migrated."""
    database.parent.mkdir()
    shutil.copy(migrated_file, database)
    return database


@pytest.fixture
def run(database: Path) -> Run:
    """`run("users", "list", stdin="...")`: run the command in this process."""

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
    """The command's error message."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    return result.stderr


# As a process


@pytest.fixture(scope="module")
def bytecode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Processes reuse compiled bytecode, because compiling takes up most of their startup time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("bytecode")))
        yield


@contextmanager
def running(*arguments: str, cwd: Path = PROJECT) -> Iterator[subprocess.Popen[str]]:
    """A process that is always killed at the end of the block."""
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
        "routes",
        "shell",
        "features",
        "add",
        "remove",
        "db",
        "db upgrade",
        "db downgrade",
        "db revision",
        "db check",
        "db current",
        "db tables",
        "db export",
        "users",
        "users create",
        "users list",
        "users show",
        "users verify",
        "users set-password",
        "users promote",
        "users demote",
        "users disable",
        "users enable",
        "users delete",
        "users send-reset",
        "users require-reset",
        "users waive-reset",
        "users reset-factors",
        "users sessions",
        "users end-sessions",
        "users audit",
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


def test_help_does_not_load_the_application():
    heavy = {"alembic", "hawkapi", "pydantic", "sqlalchemy"}
    code = "import sys, app.cli; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )

    assert "app.cli" in done.stdout.split()
    assert not heavy & set(done.stdout.split())


@pytest.mark.parametrize("arguments", [["nonsense"], ["db", "downgrade"], ["serve", "--port", "0"]])
def test_incorrect_usage_is_explained_with_exit_code_2(run: Run, arguments: list[str]):
    assert run(*arguments).exit_code == 2


# Features' commands

BILLING = '''"""Send and print invoices.

Not in the list of commands.
"""

import typer

cli = typer.Typer()


@cli.command()
def send(number: int) -> None:
    """Send an invoice."""
    typer.echo(f"Sent {number}.")


@cli.command("print")
def print_() -> None:
    """Print the invoices."""
'''

type Feature = Callable[[str, str], None]


@pytest.fixture
def feature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feature]:
    """`feature("billing", BILLING)`: a package `app/billing` whose `commands.py` contains this text."""
    packages = tmp_path / "packages"
    monkeypatch.setattr("app.__path__", [str(PROJECT / "app"), str(packages)])

    def write(name: str, commands: str) -> None:
        (packages / name).mkdir(parents=True)
        (packages / name / "__init__.py").touch()
        (packages / name / "commands.py").write_text(commands, "utf-8")

    yield write
    for folder in packages.iterdir():
        sys.modules.pop(f"app.{folder.name}", None)
        sys.modules.pop(f"app.{folder.name}.commands", None)


def test_help_lists_a_feature_by_the_first_line_of_its_docstring_without_importing_it(
    run: Run, feature: Feature
):
    feature("online_billing", BILLING + 'raise RuntimeError("imported")\n')

    shown = run("--help").stdout

    assert re.search("online-billing +Send and print invoices.", shown)
    assert "Not in the list" not in shown
    assert "app.online_billing" not in sys.modules


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_commands_of_a_feature_explain_themselves(run: Run, feature: Feature, option: str):
    feature("online_billing", BILLING)

    shown = run("online-billing", option).stdout

    assert "online-billing [OPTIONS] COMMAND" in shown
    assert re.search("send +Send an invoice.", shown)
    assert "completion" not in shown


def test_a_feature_with_one_command_is_that_command(run: Run, feature: Feature):
    feature("billing", BILLING.partition('@cli.command("print")')[0])

    assert run("billing", "7").output == "Sent 7.\n"


def test_a_feature_does_not_replace_a_command(run: Run, feature: Feature):
    feature("db", BILLING)

    assert "Migrate, inspect, back up and copy the database." in run("db", "--help").stdout


@pytest.mark.parametrize("commands", ["cli = (", '"""', "cli = 1\n", ""])
def test_a_broken_feature_does_not_break_the_other_commands(run: Run, feature: Feature, commands: str):
    feature("billing", commands)

    result = run("--help")

    assert result.exit_code == 0
    assert "billing" in result.stdout
    assert run("billing").exit_code == 1


# Errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve"],
        ["worker"],
        ["settings"],
        ["openapi"],
        ["routes"],
        ["shell"],
        ["users", "list"],
        ["db", "upgrade"],
        ["db", "check"],
    ],
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
        ["shell"],
        ["users", "list"],
        ["users", "promote", "a@example.com"],
        ["db", "check"],
        ["db", "current"],
        ["db", "downgrade", "base"],
        ["db", "revision", "-m", "x"],
        ["db", "export", "users", "--output", "-"],
    ],
    ids=" ".join,
)
def test_read_only_commands_do_not_create_a_database(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    monkeypatch.setattr("app.cli.server._refuse_a_taken_port", lambda *_: None)

    assert "uv run app db upgrade" in refusal(run(*arguments)).splitlines()[-1]
    assert not database.exists()


def test_missing_tables_are_named(run: Run, database: Path):
    database.parent.mkdir()
    database.touch()

    assert "uv run app db upgrade" in refusal(run("users", "list"))


@pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="needs a PostgreSQL server")
def test_a_missing_database_is_created_and_migrated(run: Run, monkeypatch: pytest.MonkeyPatch):
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


@pytest.mark.parametrize(
    "arguments",
    [["users", "list"], ["db", "upgrade"], ["db", "current"], ["db", "export", "users", "--output", "-"]],
    ids=" ".join,
)
def test_an_unresponsive_server_is_named(run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]):
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ada:hunter2@127.0.0.1:{free_port()}/app")

    sentence = refusal(run(*arguments))

    assert "The database cannot be used" in sentence
    assert "hunter2" not in sentence


@pytest.mark.parametrize(
    "arguments",
    [["db", "upgrade"], ["db", "tables"], ["db", "export", "users", "--output", "-"]],
    ids=" ".join,
)
def test_a_command_waits_for_a_server_for_the_configured_time(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
):
    waited: set[object] = set()

    async def connect(*_: object, **options: object) -> None:
        waited.add(options.get("timeout"))
        raise TimeoutError

    monkeypatch.setattr("asyncpg.connect", connect)
    monkeypatch.setenv("DATABASE_URL", "postgresql://root@127.0.0.1/app")
    monkeypatch.setenv("DATABASE_TIMEOUT", "3.5")

    assert "The database cannot be used: TimeoutError" in refusal(run(*arguments))
    assert waited == {3.5}


def test_an_unexpected_error_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch):
    def bug(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.settings.describe", bug)

    assert isinstance(run("settings").exception, ZeroDivisionError)


METER = """
import asyncio, os, socket, urllib.error
import typer
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from app.cli.common import friendly_errors

cli = typer.Typer()

def sql(statement):
    return lambda connection: connection.execute(text(statement))

async def connected(url, work, seconds=None):
    engine = create_async_engine(url)
    try:
        async with asyncio.timeout(seconds), engine.begin() as connection:
            await connection.run_sync(work)
    finally:
        await engine.dispose()

@cli.command()
@friendly_errors
def fail() -> None:
    {}
"""
SQLITE = "sqlite+aiosqlite://"
POSTGRESQL = os.environ.get("TEST_DATABASE_URL", "").replace("postgresql:", "postgresql+asyncpg:")
NO_POSTGRESQL = "postgresql+asyncpg://ada:hunter2@127.0.0.1:1/app"
with_postgresql = pytest.mark.skipif(not POSTGRESQL, reason="needs a PostgreSQL server")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("open('no.csv')", "no.csv cannot be used: No such file or directory.\n"),
        ("os.rename('a', 'b')", "a -> b cannot be used: No such file or directory.\n"),
        (
            f"asyncio.run(connected({SQLITE!r}, lambda _: open('no.csv')))",
            "no.csv cannot be used: No such file or directory.\n",
        ),
        (
            "socket.create_connection(('127.0.0.1', 1))",
            "ConnectionRefusedError: [Errno 111] Connection refused (app.meter.commands, line 24)\n",
        ),
        (
            "raise urllib.error.HTTPError('http://a.test', 404, 'Not Found', {}, None)",
            "urllib.error.HTTPError: HTTP Error 404: Not Found (app.meter.commands, line 24)\n",
        ),
        ("raise TimeoutError", "TimeoutError (app.meter.commands, line 24)\n"),
    ],
)
def test_another_error_of_the_system_is_not_blamed_on_the_database(
    run: Run, feature: Feature, line: str, sentence: str
):
    feature("meter", METER.format(line))

    assert refusal(run("meter")) == sentence


@pytest.mark.parametrize(
    ("url", "work", "sentence"),
    [
        (SQLITE, "sql('SELEC 1')", 'near "SELEC": syntax error'),
        (SQLITE, "sql('INSERT INTO t VALUES (NULL)')", "NOT NULL constraint failed: t.id"),
        pytest.param(POSTGRESQL, "sql('SELECT 1/0')", "division by zero", marks=with_postgresql),
        pytest.param(POSTGRESQL, "sql('SELEC 1')", 'syntax error at or near "SELEC"', marks=with_postgresql),
    ],
)
def test_a_rejected_statement_is_not_blamed_on_the_connection(
    run: Run, feature: Feature, url: str, work: str, sentence: str
):
    create = "sql('CREATE TEMPORARY TABLE t (id INTEGER NOT NULL)')"
    feature("meter", METER.format(f"asyncio.run(connected({url!r}, lambda c: ({create}(c), {work}(c))))"))

    assert refusal(run("meter")) == f"The database rejected the statement: {sentence}\n"


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ((NO_POSTGRESQL, "sql('SELECT 1')"), "[Errno 111] Connect call failed ('127.0.0.1', 1)"),
        (
            (SQLITE, "lambda c: (sql('PRAGMA query_only = 1')(c), sql('CREATE TABLE t (id INT)')(c))"),
            "attempt to write a readonly database",
        ),
        pytest.param((POSTGRESQL, "sql('SELECT pg_sleep(9)')", 0.5), "TimeoutError", marks=with_postgresql),
    ],
)
def test_a_failed_connection_in_an_own_command_is_blamed_on_the_database(
    run: Run, feature: Feature, arguments: tuple[object, ...], cause: str
):
    url, *others = arguments
    feature("meter", METER.format(f"asyncio.run(connected({url!r}, {', '.join(map(str, others))}))"))

    assert refusal(run("meter")) == (
        f"The database cannot be used: {cause}. Check DATABASE_URL and that the server is up.\n"
    )


def test_an_argument_that_is_not_text_is_refused_in_a_sentence(run: Run, migrated: Path):
    assert "not valid text" in refusal(run("users", "show", "\udcff@example.com"))


def test_a_number_that_no_mail_can_have_is_refused(run: Run, migrated: Path):
    result = run("mail", "retry", str(2**63))

    assert result.exit_code == 2
    assert "Invalid value" in result.stderr


@pytest.mark.usefixtures("bytecode")
def test_a_closed_standard_input_is_empty(migrated: Path):
    command = f"{sys.executable} -m app.cli users create ada@example.com --password-stdin <&-"

    done = subprocess.run(command, shell=True, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "The password is too short" in done.stderr


def test_fail_prints_the_message_and_exits(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(Exception) as caught:
        fail("It does not work.")

    assert getattr(caught.value, "exit_code", None) == 1
    assert "It does not work." in capsys.readouterr().err


# app db


def test_downgrade_and_upgrade_restore_the_schema(run: Run, migrated: Path):
    assert run("db", "downgrade", "base").exit_code == 0
    assert "uv run app db upgrade" in refusal(run("users", "list"))
    assert run("db", "upgrade").exit_code == 0
    assert run("users", "list").exit_code == 0


@pytest.fixture(params=["sqlite", "postgresql"])
def before_languages(
    request: pytest.FixtureRequest, run: Run, migrated: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], object]]:
    """Runs SQL in a database without the migration that adds a user's language."""
    url = f"sqlite+aiosqlite:///{migrated}"
    if request.param == "postgresql":
        if "TEST_DATABASE_URL" not in os.environ:
            pytest.skip("needs a PostgreSQL server")
        server = make_url(os.environ["TEST_DATABASE_URL"]).set(database=f"test_{uuid4().hex[:12]}")
        url = server.render_as_string(hide_password=False)
        monkeypatch.setenv("DATABASE_URL", url)
        assert run("db", "upgrade").exit_code == 0
    assert run("db", "downgrade", "users_0004").exit_code == 0

    async def execute(sql: str) -> None:
        engine = create_async_engine(Settings().database_url.get_secret_value())
        async with engine.begin() as connection:
            await connection.execute(text(sql))
        await engine.dispose()

    yield lambda sql: asyncio.run(execute(sql))
    if request.param == "postgresql":
        drop_database(url)


def test_an_existing_column_is_named_with_the_migration(run: Run, before_languages: Callable[[str], object]):
    before_languages("ALTER TABLE users ADD COLUMN language VARCHAR(35)")

    sentence = refusal(run("db", "upgrade"))

    assert sentence.startswith(
        "app/users/migrations/users_0005_language.py adds something that the database already has: "
    )
    assert "column" in sentence
    assert "language" in sentence
    assert "docs/updating.md" in sentence
    assert "DATABASE_URL" not in sentence


def test_an_existing_table_is_named_with_the_migration(run: Run, database: Path):
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE users (id INTEGER)")

    sentence = refusal(run("db", "upgrade"))

    assert (
        "app/users/migrations/users_0001_initial.py adds something that the database already has: table"
        in sentence
    )


def test_a_failed_migration_is_named(run: Run, before_languages: Callable[[str], object]):
    before_languages("ALTER TABLE user_sessions RENAME TO gone")

    sentence = refusal(run("db", "upgrade"))

    assert "app/users/migrations/users_0006_lacks_factor.py failed, and its changes were undone: " in sentence
    assert "user_sessions" in sentence
    assert "run `uv run app db upgrade`" not in sentence


def test_a_failed_migration_leaves_nothing_behind(run: Run, migrated: Path):
    """On SQLite, too. The migration creates a table, and then an index whose name is taken."""
    assert run("db", "downgrade", "app@base").stdout == "Downgraded the database to app@base.\n"
    with closing(sqlite3.connect(migrated)) as connection:
        connection.execute("CREATE INDEX ix_notes_owner_id ON users (id)")

    sentence = refusal(run("db", "upgrade"))

    with closing(sqlite3.connect(migrated)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE '%notes'").fetchall()
    assert "app_0002_notes.py adds something that the database already has: index" in sentence
    assert tables == []


@pytest.mark.parametrize("direction", ["upgrade", "downgrade"])
def test_an_unknown_revision_is_reported(run: Run, migrated: Path, direction: str):
    sentence = refusal(run("db", direction, "nonsense"))

    assert "nonsense" in sentence
    assert "uv run app remove NAME --drop-data" in sentence


def test_a_database_that_a_newer_version_has_migrated_is_usable(
    migrated: Path, caplog: pytest.LogCaptureFixture
):
    """Otherwise an instance of the old version could not restart during a release or after it."""
    settings = load_settings()
    with closing(sqlite3.connect(migrated)) as connection, connection:
        connection.execute(
            "UPDATE alembic_version SET version_num = 'app_0999' WHERE version_num LIKE 'app%'"
        )

    missing = asyncio.run(what_is_missing(settings, revision_files(settings)))

    assert missing == ""
    assert "has been migrated by a newer version of the application" in caplog.text


def test_the_check_fails_if_models_and_migrations_differ(run: Run, migrated: Path):
    from sqlalchemy import Column, Integer, Table

    from app.database import Base

    table = Table("cli_orders", Base.metadata, Column("id", Integer, primary_key=True))
    try:
        sentence = refusal(run("db", "check"))
    finally:
        Base.metadata.remove(table)

    assert "cli_orders" in sentence


def test_the_rows_of_every_table_are_counted(run: Run, populated: Path):
    shown = run("db", "tables").stdout
    data = json.loads(run("db", "tables", "--json").stdout)

    assert re.search(r"^users +users +[1-9]\d*$", shown, re.MULTILINE)
    assert re.search(r"^mail_outbox +mail +\d+$", shown, re.MULTILINE)
    (users,) = (each for each in data if each["name"] == "users")
    assert users["feature"] == "users"
    assert users["rows"] > 0


def test_the_tables_of_a_missing_database_are_shown_as_missing(run: Run, database: Path):
    shown = run("db", "tables").stdout
    data = json.loads(run("db", "tables", "--json").stdout)

    assert re.search(r"^users +users +missing$", shown, re.MULTILINE)
    assert {each["rows"] for each in data} == {None}
    assert not database.exists()


def test_a_revision_without_changes_is_not_written(run: Run, migrated: Path):
    versions = PROJECT / "migrations" / "versions"
    before = set(versions.glob("*.py"))

    result = run("db", "revision", "-m", "nothing new")

    assert result.exit_code == 0
    assert "uv run app db upgrade" not in result.stdout
    assert set(versions.glob("*.py")) == before


# app users


def test_a_user_is_created_with_a_password_typed_twice(run: Run, migrated: Path):
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
def test_an_invalid_user_is_refused(run: Run, migrated: Path, email: str, password: str, sentence: str):
    result = run("users", "create", email, "--password-stdin", stdin=f"{password}\n")

    assert sentence in refusal(result)
    assert "No accounts yet." in run("users", "list").stderr


def test_a_user_can_be_created_while_redis_is_down(run: Run, migrated: Path, monkeypatch: pytest.MonkeyPatch):
    """Rate limits guard against strangers, so commands ignore them and do not need Redis."""
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")

    assert run(*CREATE_ADA, stdin=PASSWORD).exit_code == 0


def test_an_address_can_be_used_only_once(run: Run, migrated: Path):
    run(*CREATE_ADA, stdin=PASSWORD)

    assert "ada@example.com already has an account." in refusal(run(*CREATE_ADA, stdin=PASSWORD))


def test_a_password_cannot_be_an_argument(run: Run, migrated: Path):
    assert run("users", "create", "ada@example.com", PASSWORD).exit_code == 2
    assert run("users", "create", "ada@example.com", "--password", PASSWORD).exit_code == 2
    assert run("users", "set-password", "ada@example.com", PASSWORD).exit_code == 2


@pytest.mark.parametrize("email", ["\u212aira@example.com", "k\u0131ra@example.com", "kira\uff20example.com"])
def test_no_command_accepts_a_lookalike_address(run: Run, migrated: Path, query: Query, email: str):
    """Advisory 29: U+212A lowercases to k, U+0131 uppercases to I, and U+FF20 is a wide @."""
    run("users", "create", "kira@example.com", "--password-stdin", stdin=PASSWORD)
    before = query("SELECT * FROM users"), query("SELECT * FROM audit_events")
    commands = [
        "create --password-stdin",
        "invite",
        "show",
        "verify",
        "set-password --stdin",
        "promote",
        "demote",
        "disable",
        "enable",
        "delete --yes",
        "send-reset",
        "sessions",
        "end-sessions",
    ]

    for command in commands:
        refusal(run("users", *command.split(), email, stdin=PASSWORD))

        assert (query("SELECT * FROM users"), query("SELECT * FROM audit_events")) == before, command


@pytest.mark.parametrize(
    "command",
    [
        "show",
        "verify",
        "set-password",
        "promote",
        "demote",
        "disable",
        "enable",
        "delete --yes",
        "send-reset",
        "require-reset",
        "waive-reset",
        "reset-factors",
        "sessions",
        "end-sessions",
        "audit",
    ],
)
def test_an_unknown_account_is_named(run: Run, migrated: Path, command: str):
    sentence = refusal(run("users", *command.split(), "eve@example.com"))

    assert "No account has the address eve@example.com." in sentence
    assert "uv run app users list" in sentence


# app users, with existing accounts

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


@pytest.fixture(scope="module")
def populated_file(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path) -> Path:
    """The same database with an account, ada, and a superuser, root. Tests use copies of it."""
    path = tmp_path_factory.mktemp("cli") / "populated.db"
    shutil.copy(migrated_file, path)
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, path)
        for address, *options in (["root@example.com", "--superuser"], ["ada@example.com"]):
            CliRunner().invoke(
                cli, ["users", "create", address, "--password-stdin", *options], input=PASSWORD
            )
    # The connection is closed, so no journal is left beside the copied file.
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM audit_events")
        connection.execute("DELETE FROM mail_outbox")
    return path


@pytest.fixture
def populated(database: Path, populated_file: Path) -> Path:
    """This test's database, with the accounts ada and root."""
    database.parent.mkdir()
    shutil.copy(populated_file, database)
    return database


@pytest.fixture
def query(database: Path) -> Callable[[str], list[tuple[Any, ...]]]:
    """`query("SELECT …")`: rows from this test's database."""

    def rows(statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute(statement).fetchall()

    return rows


@pytest.fixture
def log_in(populated: Path) -> Callable[..., str]:
    """`log_in("ada@example.com", FIREFOX)`: start a session. Returns its client's token."""

    def begin(email: str, user_agent: str = FIREFOX) -> str:
        async def run() -> str:
            async with application() as app, app.state.db.session() as session:
                users = app.state.users
                issued = await users.sessions.issue(session, await users.get_by_email(session, email))
                issued.session.user_agent, issued.session.ip_address = user_agent, "203.0.113.9"
                return issued.token

        return asyncio.run(run())

    return begin


type LogIn = Callable[..., str]

LIVE = "SELECT count(*) FROM user_sessions WHERE revoked_at IS NULL"


@pytest.mark.parametrize("answer", ["y\n", "yes\n"])
def test_an_account_is_deleted_after_confirmation(run: Run, populated: Path, query: Query, answer: str):
    result = run("users", "delete", "ada@example.com", stdin=answer)

    assert result.exit_code == 0
    assert "Delete ada@example.com and everything that belongs to it?" in result.output
    assert query("SELECT email FROM users") == [("root@example.com",)]


@pytest.mark.parametrize("answer", ["n\n", "no\n", "\n", ""])
def test_an_account_is_kept_without_confirmation(run: Run, populated: Path, query: Query, answer: str):
    result = run("users", "delete", "ada@example.com", stdin=answer)

    assert result.exit_code == 1
    assert "Deleted" not in result.output
    assert len(query("SELECT email FROM users")) == 2
    assert query("SELECT event FROM audit_events") == []


def test_a_disabled_account_gets_no_reset(run: Run, populated: Path, query: Query):
    run("users", "disable", "ada@example.com")

    sentence = refusal(run("users", "send-reset", "ada@example.com"))

    assert "disabled" in sentence
    assert "uv run app users enable" in sentence
    assert query("SELECT count(*) FROM mail_outbox") == [(0,)]


def test_the_last_superuser_can_be_required_to_reset(run: Run, populated: Path, query: Query):
    """The link is e-mailed to that superuser, so no other one is needed."""
    assert run("users", "require-reset", "root@example.com").exit_code == 0
    assert query("SELECT is_superuser, is_active FROM users WHERE email = 'root@example.com'") == [(1, 1)]
    assert query("SELECT count(*) FROM mail_outbox") == [(1,)]


def test_a_logged_out_account_has_no_sessions(run: Run, populated: Path):
    result = run("users", "sessions", "ada@example.com")

    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "ada@example.com is not logged in anywhere.\n"


@pytest.mark.parametrize("arguments", [[], ["ada@example.com", "--everybody"]], ids=["neither", "both"])
def test_ending_sessions_requires_an_account_or_all(
    run: Run, log_in: LogIn, query: Query, arguments: list[str]
):
    log_in("ada@example.com")

    assert (
        refusal(run("users", "end-sessions", *arguments)) == "Give either an e-mail address or --everybody.\n"
    )
    assert query(LIVE) == [(1,)]


def test_a_new_password_is_typed_twice(run: Run, populated: Path):
    typed = "staple and another horse\nsomething else\n" + 2 * "staple and another horse\n"

    result = run("users", "set-password", "ada@example.com", stdin=typed)

    assert result.exit_code == 0
    assert "do not match" in result.output
    assert "staple" not in result.output


def test_a_new_password_unlocks_the_account(run: Run, populated: Path):
    with closing(sqlite3.connect(populated)) as connection, connection:
        connection.execute("UPDATE users SET failed_logins = 100 WHERE email = 'ada@example.com'")

    locked = run("users", "show", "ada@example.com").stdout
    run("users", "set-password", "ada@example.com", "--stdin", stdin="staple and another horse")

    assert "active, unverified, locked\n" in locked
    assert "active, unverified\n" in run("users", "show", "ada@example.com").stdout


def test_a_pending_address_and_deletion_are_shown(run: Run, populated: Path):
    with closing(sqlite3.connect(populated)) as connection, connection:
        connection.execute(
            "UPDATE users SET pending_email = 'new@example.com', delete_after = '2030-01-02 03:04:05.000000'"
        )

    shown = run("users", "show", "ada@example.com").stdout
    data = json.loads(run("users", "show", "ada@example.com", "--json").stdout)

    assert re.search(r"^New address +new@example.com, once its link is used$", shown, re.MULTILINE)
    assert re.search(r"^Deletion +2030-01-02 03:04 UTC, unless the owner", shown, re.MULTILINE)
    assert data["pending_email"] == "new@example.com"
    assert data["delete_after"] == "2030-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    "command",
    ["list", "show ada@example.com", "sessions ada@example.com", "audit", "audit ada@example.com"],
)
def test_read_only_commands_are_not_audited(run: Run, populated: Path, query: Query, command: str):
    assert run("users", *command.split()).exit_code == 0
    assert query("SELECT event FROM audit_events") == []


def test_an_empty_audit_log_says_so(run: Run, populated: Path):
    result = run("users", "audit")

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "Nothing has happened yet.\n")


@pytest.mark.usefixtures("bytecode")
def test_a_closed_pipe_is_not_an_error(run: Run, populated: Path):
    for command in ("disable", "enable"):
        run("users", command, "ada@example.com")
    shown = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "users", "audit"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert shown.stdout is not None
    assert shown.stderr is not None

    shown.stdout.close()

    assert shown.stderr.read() == ""
    shown.stderr.close()
    assert shown.wait() == 1


# app settings, app openapi


def test_the_openapi_document_is_written_to_a_file(run: Run, tmp_path: Path):
    result = run("openapi", "--output", str(tmp_path / "openapi.json"))

    assert result.exit_code == 0
    assert "/users/login" in json.loads((tmp_path / "openapi.json").read_text("utf-8"))["paths"]


def test_an_unwritable_file_is_named(run: Run, tmp_path: Path):
    target = tmp_path / "nowhere" / "openapi.json"

    assert f"{target} cannot be written" in refusal(run("openapi", "--output", str(target)))


async def test_a_command_closes_the_resources_of_the_application(
    migrated: Path, monkeypatch: pytest.MonkeyPatch
):
    closed: list[str] = []

    async def close() -> None:
        closed.append("limiter")

    async with application() as app:
        monkeypatch.setattr(app.state.limiter, "close", close)

    assert closed == ["limiter"]


# app dev, app serve, app worker


@pytest.mark.parametrize("command", [["dev", "--port", "0"], ["serve"], ["worker"]], ids=lambda each: each[0])
def test_a_setting_of_a_missing_feature_is_reported_without_a_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(features, "find_spec", lambda name: None)
    monkeypatch.setenv("MAILGUN_WEBHOOK_KEY", "a-key")
    arguments = [str(free_port()) if each == "0" else each for each in command]

    sentence = refusal(run(*arguments))

    assert sentence.startswith("MAILGUN_WEBHOOK_KEY: has no effect without the mail_webhooks feature.")


CLASH = (
    "GET/HEAD /readyz/ (app.users.routes.admin.list_users) and GET/HEAD /readyz (app.web.health.readyz)"
    " have the same path: change one of them."
)


@pytest.mark.parametrize("command", ["routes", "openapi"])
def test_routes_that_clash_are_named_by_a_command(
    run: Run, migrated: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    monkeypatch.setenv("USERS_PREFIX", "/readyz")

    assert refusal(run(command)).startswith(CLASH)


@pytest.mark.usefixtures("database", "bytecode")
def test_routes_that_clash_are_named_by_a_server(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USERS_PREFIX", "/readyz")

    command = [sys.executable, "-c", "import app.asgi"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith(CLASH)


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_a_port_in_use_is_named(run: Run, migrated: Path, command: str):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        sentence = refusal(run(command, "--port", str(port)))

    assert f"port {port}" in sentence
    assert "--port" in sentence


@pytest.fixture
def production(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that production accepts."""
    for name, value in {
        "ENVIRONMENT": "production",
        "BASE_URL": "https://app.example.com",
        "MAIL_BACKEND": "smtp",
        "MAIL_SENDER": "app@example.com",
        "SMTP_HOST": "smtp.example.com",
        "SMTP_SECURITY": "starttls",
        "SECRET_KEY": sha256(b"the secret of the tests").hexdigest(),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("production")
def test_dev_is_not_for_production(run: Run):
    assert "uv run app serve" in refusal(run("dev", "--port", str(free_port())))


@pytest.mark.usefixtures("production")
def test_several_processes_need_redis_in_production(run: Run):
    """Each process would count separately."""
    sentence = refusal(run("serve", "--workers", "4"))

    assert "4 times as much" in sentence
    assert "Set REDIS_URL" in sentence


@pytest.mark.usefixtures("production")
@pytest.mark.parametrize(("workers", "url"), [("4", "redis://127.0.0.1:6379/0"), ("1", "")])
def test_one_process_or_redis_is_accepted_in_production(
    run: Run, monkeypatch: pytest.MonkeyPatch, workers: str, url: str
):
    """The command gets as far as connecting to the database, which does not exist."""
    monkeypatch.setenv("REDIS_URL", url)

    sentence = refusal(run("serve", "--workers", workers, "--port", str(free_port())))

    assert "There is no database yet" in sentence


def test_several_processes_without_redis_cause_a_warning_elsewhere(run: Run):
    sentence = refusal(run("serve", "--workers", "2", "--port", str(free_port())))

    assert "Without REDIS_URL, 2 processes count separately" in sentence
    assert "There is no database yet" in sentence


def test_one_process_without_redis_causes_no_warning(run: Run):
    assert "REDIS_URL" not in refusal(run("serve", "--port", str(free_port())))


@pytest.mark.usefixtures("bytecode")
@pytest.mark.parametrize("delay", [0.0, 0.2, 0.4])
def test_serve_stops_on_a_signal_while_its_process_starts(migrated: Path, delay: float):
    """The process loses the signal, so the signal must be repeated."""
    with running("serve", "--port", str(free_port())) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "Spawning worker" in line:
                break
        time.sleep(delay)
        server.send_signal(signal.SIGTERM)
        # Shorter than the time after which the process is killed.
        output, _ = server.communicate(timeout=GRACE - 3)

    assert server.returncode == 0
    assert "Killing worker" not in output


@pytest.mark.usefixtures("bytecode")
def test_serve_warns_outside_production_and_stops_on_a_signal(migrated: Path):
    port = free_port()
    with running("serve", "--port", str(port)) as server:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", '"ready"'))
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=30)

    assert server.returncode == 0
    assert "ENVIRONMENT is test" in output


@pytest.mark.parametrize(
    ("base_url", "links"), [("", "http://127.0.0.1:{}"), ("http://a.test", "http://a.test")]
)
@pytest.mark.parametrize("command", ["dev", "serve"])
def test_links_use_the_port_unless_base_url_is_set(
    run: Run, migrated: Path, monkeypatch: pytest.MonkeyPatch, command: str, base_url: str, links: str
):
    served: list[Settings] = []
    monkeypatch.setenv("BASE_URL", base_url)
    monkeypatch.setenv("PYTHONBREAKPOINT", "")
    monkeypatch.setattr("app.cli.server._granian", lambda settings, *_, **__: served.append(settings))
    port = free_port()

    run(command, "--port", str(port))

    assert [each.verify_url for each in served] == [links.format(port) + "/users/verify/{token}"]


@pytest.mark.usefixtures("bytecode")
def test_serve_logs_in_one_format_and_each_request_once(migrated: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LOG_FORMAT", "json")
    port = free_port()
    with running("serve", "--port", str(port)) as server:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", '"ready"'))
        httpx.get(f"http://127.0.0.1:{port}/nowhere?token=secret")
        server.send_signal(signal.SIGTERM)
        output, _ = server.communicate(timeout=30)

    # The text before the first log line is the command's own message.
    records = [json.loads(line) for line in output[output.index("{") :].splitlines() if line]
    assert {"_granian", "app.access"} <= {each["logger"] for each in records}
    [request] = [each for each in records if each.get("path") == "/nowhere"]
    assert (request["status"], request["client"]) == (404, "127.0.0.1")
    assert len(request["request_id"]) == 32
    assert "secret" not in output


@pytest.mark.usefixtures("bytecode")
def test_serve_times_out_a_request_without_its_body(migrated: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BODY_TIMEOUT", "0.2")
    port = free_port()
    head = (
        b"POST /users/login HTTP/1.1",
        b"Host: a",
        b"Content-Type: application/json",
        b"Content-Length: 9",
    )
    with running("serve", "--port", str(port)):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", '"ready"'))
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(b"\r\n".join(head) + b"\r\n\r\n{")
            answer = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"\r\nconnection: close\r\n" in answer


HTTP_2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""The HTTP/2 connection preface (RFC 9113, section 3.4)."""


def received_until_closed(port: int, sent: bytes) -> bytes:
    """The bytes that the server sends to a client that sends only these bytes. Raises an error if the
    connection stays open.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        # A server that closes before it has read everything may reset the connection.
        with suppress(ConnectionResetError):
            return b"".join(iter(lambda: connection.recv(65_536), b""))
    return b""


@pytest.mark.usefixtures("bytecode")
def test_serve_closes_silent_connections(migrated: Path, monkeypatch: pytest.MonkeyPatch):
    """Checklist 40; CWE-400: otherwise a few hundred connections would use up all file descriptors."""
    monkeypatch.setenv("HEADER_TIMEOUT", "0.5")
    port = free_port()
    with running("serve", "--port", str(port)):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", '"ready"'))
        received = [
            received_until_closed(port, sent)
            for sent in (b"", b"G", b"GET / HTTP/1.1\r\n", HTTP_2, HTTP_2[:9])
        ]

    assert received == [b""] * 5


@pytest.mark.usefixtures("bytecode")
def test_serve_supports_http_2(migrated: Path, monkeypatch: pytest.MonkeyPatch):
    """The connection of a client that vanished silently is closed."""
    monkeypatch.setenv("HEADER_TIMEOUT", "0.5")
    monkeypatch.setenv("HTTP2_ENABLED", "true")
    port = free_port()
    with running("serve", "--port", str(port)):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", '"ready"'))
        received = received_until_closed(port, HTTP_2)

    settings_frame = 4
    assert received[3] == settings_frame


@pytest.mark.usefixtures("bytecode")
def test_serve_accepts_only_its_own_host_names(migrated: Path, monkeypatch: pytest.MonkeyPatch):
    """Checklist 40; RFC 9112, section 3.2.2: the request target may name the host."""
    monkeypatch.setenv("ALLOWED_HOSTS", "app.example.org")
    ours, others = b"Host: app.example.org\r\n", b"Host: evil.example\r\n"
    end = b"Connection: close\r\n\r\n"
    port = free_port()
    with running("serve", "--port", str(port)):
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz", '"ready"'))
        served = [
            received_until_closed(port, request + end)
            for request in (
                b"GET /nowhere HTTP/1.1\r\n" + ours,
                b"GET http://app.example.org/nowhere HTTP/1.1\r\n" + ours,
                b"GET http://app.example.org/nowhere HTTP/1.1\r\n",
            )
        ]
        refused = [
            received_until_closed(port, request + end)
            for request in (
                b"GET /nowhere HTTP/1.1\r\n",
                b"GET /nowhere HTTP/1.1\r\n" + others,
                b"GET /nowhere HTTP/1.1\r\n" + ours + others,
                b"GET http://app.example.org/nowhere HTTP/1.1\r\n" + others,
                b"GET http://evil.example/nowhere HTTP/1.1\r\n" + others,
                b"GET http://evil.example/nowhere HTTP/1.1\r\n",
                b"GET http://app.example.org@evil.example/nowhere HTTP/1.1\r\n",
            )
        ]

    assert {each[:12] for each in served} == {b"HTTP/1.1 404"}
    assert {each[:12] for each in refused} == {b"HTTP/1.1 400"}


@pytest.mark.usefixtures("bytecode")
def test_the_worker_announces_itself_and_stops_on_a_signal(migrated: Path):
    with running("worker") as worker:
        assert worker.stdout is not None
        first_line = worker.stdout.readline()
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=30)

    assert "sending e-mail by memory" in first_line
    assert worker.returncode == 0
    assert "Traceback" not in rest


REFUSED = "unexpected connection_lost() call"
"""asyncpg leaves a future behind when the server refuses a connection, and asyncio may report it later."""


def line_with(process: subprocess.Popen[str], text: str, *, loggers: str = "") -> str:
    """The next line that contains *text*. All lines before it come from *loggers*."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return line
        if REFUSED in line:
            continue
        assert loggers in line, line
    raise AssertionError(f"the output ended without {text!r}")


@pytest.fixture
def missing_on_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Settings with a database that does not exist on the PostgreSQL server yet."""
    name = f"worker_{uuid4().hex[:8]}"
    server = make_url(os.environ["TEST_DATABASE_URL"]).set(database=name)
    monkeypatch.setenv("DATABASE_URL", server.render_as_string(hide_password=False))
    yield
    drop_database(os.environ["DATABASE_URL"])


@pytest.mark.usefixtures("bytecode")
def test_a_worker_waits_for_a_missing_file_without_creating_it(run: Run, database: Path):
    with running("worker") as worker:
        said = line_with(worker, "WARNING")
        existed = database.exists()
        run("db", "upgrade")
        line_with(worker, "sending e-mail by memory", loggers="app.worker")
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=30)

    assert f"There is no database yet ({database} is missing): run `uv run app db upgrade`." in said
    assert not existed
    assert (worker.returncode, rest) == (0, "")


@pytest.mark.skipif("TEST_DATABASE_URL" not in os.environ, reason="needs a PostgreSQL server")
def test_a_worker_waits_for_a_database_that_the_server_lacks(
    run: Run, bytecode: None, missing_on_server: None
):
    with running("worker") as worker:
        said = line_with(worker, "WARNING")
        run("db", "upgrade")
        line_with(worker, "sending e-mail by memory", loggers="app.worker")
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=30)

    assert "The database is missing or its tables are out of date: run `uv run app db upgrade`." in said
    assert worker.returncode == 0
    assert [line for line in rest.splitlines() if REFUSED not in line] == []


@pytest.mark.usefixtures("bytecode", "migrated")
def test_a_worker_says_once_which_migrations_are_missing(run: Run):
    run("db", "downgrade", "mail@-1")

    with running("worker") as worker:
        said = line_with(worker, "WARNING")
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=30)

    assert "lacks migrations (" in said
    assert "uv run app db upgrade" in said
    assert (worker.returncode, rest) == (0, "")


async def test_a_waiting_worker_looks_again_quietly(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, caplog: pytest.LogCaptureFixture
):
    answers = ["No file."] * 5 + ["No tables."] * 5 + [""]

    async def look(*_: object) -> str:
        return answers.pop(0)

    monkeypatch.setattr(server, "what_is_missing", look)
    monkeypatch.setattr(server, "LOOK_AGAIN", 0.001)

    await server.wait_for_database(settings)

    said = [record.getMessage() for record in caplog.records if record.name == "app.worker"]
    assert said == [
        "No file. The worker waits until the database is ready.",
        "No tables. The worker waits until the database is ready.",
    ]
    assert answers == []


@pytest.mark.usefixtures("bytecode")
def test_a_silent_server_does_not_keep_a_worker_from_stopping(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql+asyncpg://root@127.0.0.1:{port}/app")

        with running("worker") as worker:
            silent.accept()
            worker.send_signal(signal.SIGTERM)
            worker.communicate(timeout=30)

    assert worker.returncode == 0


IMPORT_SLOWLY = """
import sys, time
class Slow:
    def find_spec(self, name, *_):
        if name == {module!r}:
            print("importing", flush=True)
            time.sleep(600)
sys.meta_path.insert(0, Slow())
"""


@pytest.mark.usefixtures("bytecode", "migrated")
@pytest.mark.parametrize("module", ["typer", "app.cli.server", "app.settings"])
def test_a_worker_that_is_stopped_while_it_starts_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
):
    (tmp_path / "sitecustomize.py").write_text(IMPORT_SLOWLY.format(module=module))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with running("worker") as worker:
        line_with(worker, "importing")
        worker.send_signal(signal.SIGTERM)
        rest, _ = worker.communicate(timeout=30)

    assert (worker.returncode, rest) == (0, "")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project as cloned from git, without `.env` and without a database."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("app", "migrations"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, ignore=ignored)
    for file in ("pyproject.toml", ".env.example"):
        shutil.copy(PROJECT / file, tmp_path)
    # Whatever kind of database the project develops with, this test must not leave one behind.
    monkeypatch.setenv("DATABASE_URL", "sqlite+aiosqlite:///data/app.db")
    return tmp_path


@pytest.mark.usefixtures("bytecode")
def test_dev_creates_missing_files_serves_and_reloads(clone: Path):
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


@pytest.fixture
def hang_up_counts() -> Iterator[None]:
    """Processes started by the test must not ignore SIGHUP, as they would if pytest ran under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("bytecode", "hang_up_counts")
def test_dev_stops_when_its_terminal_closes(clone: Path):
    """The signal is SIGHUP, which Granian treats as a request to reload."""
    port = free_port()
    with running("dev", "--port", str(port), cwd=clone) as server:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/livez", "alive"))
        server.send_signal(signal.SIGHUP)
        server.communicate(timeout=30)

    assert server.returncode == 0
    assert not answers(f"http://127.0.0.1:{port}/livez", "alive")


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def at_a_terminal(*arguments: str, cwd: Path) -> Iterator[int]:
    """Run a process at a terminal. Yields the file descriptor for reading its output and for typing."""
    terminal, inside = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=cwd,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(inside)
    try:
        yield terminal
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(terminal)


def read_until(terminal: int, text: str) -> str:
    shown = ""
    while text not in shown:
        assert select.select([terminal], [], [], 30)[0], shown
        shown += os.read(terminal, 65_536).decode()
    return shown


@pytest.mark.usefixtures("bytecode")
def test_a_breakpoint_opens_the_debugger_at_the_terminal(clone: Path):
    health = clone / "app" / "web" / "health.py"
    code = health.read_text("utf-8")
    health.write_text(
        code.replace('return Health("alive")', 'breakpoint()\n    return Health("alive")'), "utf-8"
    )
    port = free_port()
    with at_a_terminal("dev", "--port", str(port), cwd=clone) as terminal:
        read_until(terminal, "Started worker-1")
        wait_until(lambda: is_listening(port))
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            read_until(terminal, "(Pdb)")
            os.write(terminal, b"p 6 * 7\n")
            shown = read_until(terminal, "(Pdb)")
            os.write(terminal, b"c\n")
            answer = connection.recv(65_536)

    assert "\n42" in shown
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_breakpoint_without_a_terminal_is_skipped(monkeypatch: pytest.MonkeyPatch, capsys, tmp_path: Path):
    monkeypatch.setattr("app.cli.debugger._TERMINAL", tmp_path / "none")
    monkeypatch.setenv("PYTHONBREAKPOINT", "app.cli.debugger.set_trace")

    breakpoint()

    assert "no terminal" in capsys.readouterr().err

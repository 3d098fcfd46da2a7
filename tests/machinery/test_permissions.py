"""Every command makes `.env` and the SQLite database inaccessible to other users (CWE-732)."""

import errno
import os
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli
from app.cli.permissions import keep_private
from app.settings import Settings, load_settings

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")

COMMANDS = pytest.mark.parametrize("command", ["dev", "serve", "worker", "db upgrade"])
KEY = "0123456789abcdef" * 4

type Run = Callable[[str], Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("serve")`: run the command with a `.env` as created by Copier, without starting the server."""

    async def nothing(*_: object) -> None:
        return None

    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("SECRET_KEY", KEY)
    monkeypatch.setenv("DATABASE_URL", "sqlite+aiosqlite:///data/app.db")
    monkeypatch.setattr("app.cli.server._granian", lambda *_, **__: None)
    monkeypatch.setattr("app.cli.server._refuse_a_taken_port", lambda *_: None)
    monkeypatch.setattr("app.mail.build_worker", lambda *_: SimpleNamespace(run=nothing))
    monkeypatch.setattr("app.tasks.run", nothing)
    # Otherwise the log would go to this test's output, which is closed by the time the next test runs.
    monkeypatch.setattr("app.logs.configure", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("ENVIRONMENT=test\n")
    Path(".env").chmod(0o644)
    return lambda command: CliRunner().invoke(cli, command.split())


@pytest.fixture
def database(run: Run) -> Path:
    """A migrated, world-readable database created by another program."""
    file = Path("data/app.db")
    assert run("db upgrade").exit_code == 0
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    for path in (Path(".env"), file):
        path.chmod(0o644)
    return file


def mode_of(path: Path | str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


@COMMANDS
def test_a_command_restricts_both_files_and_says_so_once(run: Run, database: Path, command: str):
    first, second = run(command), run(command)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert (mode_of(".env"), mode_of(database)) == (0o600, 0o600)
    said = "Changed the permissions of .env, data/app.db: other users of this machine could read them.\n"
    assert first.stderr.count(said) == 1
    assert "Changed the permissions" not in second.stderr


def test_the_journal_files_are_restricted_too(run: Run, database: Path):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE open_to_all (id INTEGER)")
        beside = [Path(f"{database}-wal"), Path(f"{database}-shm")]
        before = [mode_of(path) for path in beside]

        keep_private(load_settings())

        assert before == [0o644, 0o644]
        assert [mode_of(path) for path in beside] == [0o600, 0o600]


def test_a_new_database_is_restricted_before_it_has_content(run: Run, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[int, int]] = []
    connect = sqlite3.connect

    def look(file: str, *arguments: object, **options: object) -> sqlite3.Connection:
        seen.append((mode_of(file), Path(file).stat().st_size))
        return connect(file, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr("sqlite3.connect", look)

    assert run("db upgrade").exit_code == 0
    assert seen[0] == (0o600, 0)


def test_sqlite_gives_its_journal_files_the_mode_of_the_database(run: Run):
    run("db upgrade")

    with closing(sqlite3.connect("data/app.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE closed_to_all (id INTEGER)")

        assert (mode_of("data/app.db-wal"), mode_of("data/app.db-shm")) == (0o600, 0o600)


@COMMANDS
@pytest.mark.parametrize("reason", [errno.EPERM, errno.EROFS], ids=["another owner", "read-only mount"])
def test_an_unchangeable_mode_causes_a_warning(
    run: Run, database: Path, monkeypatch: pytest.MonkeyPatch, command: str, reason: int
):
    def refuse(*_: object) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(Path, "chmod", refuse)

    result = run(command)

    assert result.exit_code == 0
    assert f"cannot be changed ({os.strerror(reason)}): have its owner run `chmod 600 .env`." in result.stderr


def test_a_file_system_without_modes_causes_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Path, "chmod", lambda *_: None)

    assert "its file system does not support permissions" in run("db upgrade").stderr


@pytest.mark.parametrize(
    ("group", "before", "after"),
    [
        ("own", 0o644, 0o600),
        ("own", 0o660, 0o600),
        ("own", 0o400, 0o400),
        ("another", 0o640, 0o640),
        ("another", 0o666, 0o660),
    ],
)
def test_owner_permissions_and_a_chosen_group_are_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch, group: str, before: int, after: int
):
    """A service may read an administrator's files through its group."""
    groups = {"own": Path(".env").stat().st_gid, "another": Path(".env").stat().st_gid + 1}
    monkeypatch.setattr(os, "getegid", lambda: groups[group])
    Path(".env").chmod(before)

    assert run("db upgrade").exit_code == 0
    assert mode_of(".env") == after


def test_modes_are_not_changed_on_windows(run: Run, monkeypatch: pytest.MonkeyPatch):
    settings = load_settings()
    monkeypatch.setattr("app.cli.permissions.os", SimpleNamespace(name="nt"))

    keep_private(settings)

    assert mode_of(".env") == 0o644


def test_the_env_file_created_by_dev_is_restricted(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    Path(".env").unlink()
    Path(".env.example").write_text("SECRET_KEY=\nENVIRONMENT=test\n")
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.setattr("app.cli.server.PROJECT", tmp_path)

    result = run("dev")

    assert result.exit_code == 0
    assert mode_of(".env") == 0o600
    assert "Changed the permissions" not in result.output

"""`app db backup` and `app db restore`: complete and consistent, without disturbing a running application."""

import os
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import cli, sqlite_backup
from app.cli.database import upgrade_to_heads
from app.settings import Settings
from tests.conftest import make_settings

PASSWORD = "s3cret of the database"

type Db = Callable[..., Result]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database. Its table `numbers` contains 1."""
    file = tmp_path_factory.mktemp("template") / "app.db"
    upgrade_to_heads(make_settings(database_url=f"sqlite+aiosqlite:///{file}"))
    execute(file, "CREATE TABLE numbers (number INTEGER)", "INSERT INTO numbers VALUES (1)")
    return file


@pytest.fixture
def database(template: Path, tmp_path: Path) -> Path:
    """The application's database. Its table `numbers` contains 1."""
    folder = tmp_path / "data"
    folder.mkdir()
    file = folder / "app.db"
    file.touch(0o600)
    file.write_bytes(template.read_bytes())
    return file


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The path for a backup."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return folder / "copy.db"


@pytest.fixture
def db(database: Path, monkeypatch: pytest.MonkeyPatch) -> Db:
    """`db("backup", path)`: run the command in this process."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("SECRET_KEY", "0123456789abcdef" * 4)
    monkeypatch.setenv("MAIL_BACKEND", "memory")

    def run(*arguments: str | Path, url: str = f"sqlite+aiosqlite:///{database}", **options: str) -> Result:
        monkeypatch.setenv("DATABASE_URL", url)
        return CliRunner().invoke(cli, ["db", *(str(each) for each in arguments)], **options)  # type: ignore[arg-type]

    return run


@pytest.fixture
def running(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection like the application's."""
    with closing(sqlite3.connect(database, isolation_level=None, timeout=1)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO numbers VALUES (2)")
        yield connection


def execute(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def numbers(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def refusal(result: Result) -> str:
    """The command's error message."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    return result.stderr


# Backup


def test_a_backup_is_complete_and_readable_only_by_its_owner(db: Db, copy: Path):
    result = db("backup", copy)

    assert result.exit_code == 0, result.output
    assert "Backed up" in result.stdout
    assert numbers(copy) == [1]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert names(copy.parent) == ["copy.db"]


def test_a_backup_includes_the_write_ahead_log(
    db: Db, database: Path, running: sqlite3.Connection, copy: Path
):
    """Copying only the file `app.db` would lose that data."""
    assert database.with_name("app.db-wal").stat().st_size > 0

    db("backup", copy)

    assert numbers(copy) == [1, 2]
    assert names(copy.parent) == ["copy.db"], "the backup is one file"
    assert copy.read_bytes()[18] == 1, "it uses no write-ahead log, so it can be opened on a read-only disk"


def test_writers_continue_and_do_not_restart_the_copy(
    db: Db, database: Path, running: sqlite3.Connection, copy: Path, monkeypatch: pytest.MonkeyPatch
):
    """Another connection writes after each step of the copy. The copy contains the data as of its start."""
    steps: list[int] = []

    class Watched(sqlite3.Connection):
        def backup(self, target: sqlite3.Connection, **options: object) -> None:
            def write(*_: object) -> None:
                steps.append(len(steps))
                assert len(steps) < 100, "the copy starts over each time"
                running.execute("INSERT INTO numbers VALUES (3)")

            super().backup(target, pages=5, progress=write)

    monkeypatch.setattr(
        sqlite_backup, "_opened", lambda file: sqlite3.connect(file, factory=Watched, isolation_level=None)
    )

    result = db("backup", copy)

    assert result.exit_code == 0, result.output
    assert len(steps) > 5
    assert numbers(copy) == [1, 2]
    assert numbers(database) == [1, 2] + [3] * len(steps)


def test_nothing_is_overwritten_without_force(db: Db, database: Path, copy: Path):
    copy.write_text("mine")

    assert "copy.db already exists. Choose another file, or replace it with --force." in refusal(
        db("backup", copy)
    )
    assert copy.read_text() == "mine"

    assert db("backup", copy, "--force").exit_code == 0
    assert numbers(copy) == [1]


def test_the_database_is_not_replaced_by_its_backup(db: Db, database: Path):
    assert "is the database itself" in refusal(db("backup", database, "--force"))
    assert numbers(database) == [1]


def test_a_damaged_database_leaves_no_backup(db: Db, database: Path, copy: Path):
    content = bytearray(database.read_bytes())
    page = int.from_bytes(content[16:18])
    content[3 * page : 9 * page] = b"\xff" * (6 * page)
    database.write_bytes(content)

    sentence = refusal(db("backup", copy))

    assert "is damaged" in sentence or "cannot be copied" in sentence
    assert names(copy.parent) == []


def test_a_missing_folder_is_named(db: Db, copy: Path):
    assert "No such file or directory" in refusal(db("backup", copy.parent / "nowhere" / "copy.db"))


# Restore


def test_a_backup_is_restored_and_the_database_kept(db: Db, database: Path, copy: Path):
    db("backup", copy)
    execute(database, "INSERT INTO numbers VALUES (5)")

    result = db("restore", copy, "--yes")

    assert result.exit_code == 0, result.output
    assert numbers(database) == [1]
    [kept] = [each for each in database.parent.iterdir() if each != database]
    assert numbers(kept) == [1, 5]
    assert str(kept) in result.stdout
    assert names(copy.parent) == ["copy.db"]


def test_the_confirmation_can_be_declined(db: Db, database: Path, copy: Path):
    db("backup", copy)
    execute(database, "INSERT INTO numbers VALUES (5)")

    result = db("restore", copy, input="n\n")

    assert result.exit_code == 1
    assert f"Replace {database} with {copy}?" in result.stdout
    assert numbers(database) == [1, 5]


def test_a_restore_is_refused_while_the_application_runs(
    db: Db, database: Path, running: sqlite3.Connection, copy: Path
):
    db("backup", copy)

    sentence = refusal(db("restore", copy, "--yes"))

    assert f"Another process is using {database}. Stop the application and its worker first." in sentence
    assert numbers(database) == [1, 2]


def test_a_missing_database_is_restored(db: Db, database: Path, copy: Path):
    db("backup", copy)
    database.unlink()
    database.parent.rmdir()

    assert db("restore", copy, "--yes").exit_code == 0
    assert numbers(database) == [1]
    assert stat.S_IMODE(database.stat().st_mode) == 0o600


def test_a_restore_follows_a_symbolic_link(db: Db, database: Path, copy: Path):
    """The data stays on the volume that the link points to."""
    db("backup", copy)
    volume = copy.parent / "volume"
    volume.mkdir()
    database.rename(volume / "app.db")
    database.symlink_to(volume / "app.db")
    execute(database, "INSERT INTO numbers VALUES (5)")

    assert db("restore", copy, "--yes").exit_code == 0

    assert database.is_symlink()
    assert numbers(volume / "app.db") == [1]
    assert len(names(volume)) == 2


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_command_that_is_stopped_leaves_no_copy(
    db: Db, database: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, command: str
):
    """A timer stops a backup that takes too long."""
    db("backup", copy)
    before = names(copy.parent), names(database.parent)

    def stopped(source: Path, part: Path) -> None:
        Path(f"{part}-journal").touch()
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(sqlite_backup, "_copy", stopped)

    result = db(command, copy, "--force" if command == "backup" else "--yes")

    assert result.exit_code == 143
    assert (names(copy.parent), names(database.parent)) == before


def test_a_damaged_database_is_replaced_together_with_its_log(
    db: Db, database: Path, running: sqlite3.Connection, copy: Path
):
    """A leftover write-ahead log would be applied to the restored database."""
    log = database.with_name("app.db-wal")
    content = log.read_bytes()
    running.close()
    execute(database, "DELETE FROM numbers")
    db("backup", copy)
    database.write_bytes(b"not a database " * 1000)
    log.write_bytes(content)

    result = db("restore", copy, "--yes")

    assert result.exit_code == 0, result.output
    assert numbers(database) == []


def test_the_mode_of_the_database_is_kept(db: Db, database: Path, copy: Path):
    """A group that shares the database can still read it afterwards. Other users cannot."""
    db("backup", copy)
    database.chmod(0o664)

    db("restore", copy, "--yes")

    assert stat.S_IMODE(database.stat().st_mode) == 0o660


def test_older_backups_need_migrations(db: Db, database: Path, copy: Path):
    db("backup", copy)
    execute(copy, "DELETE FROM alembic_version WHERE version_num LIKE 'users_%'")

    result = db("restore", copy, "--yes")

    assert "The database lacks migrations (users_" in result.stdout
    assert "`uv run app db upgrade`" in result.stdout


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE alembic_version SET version_num = 'users_9' WHERE version_num LIKE 'users_%'", "users_9"),
        ("DROP TABLE alembic_version", "no such table: alembic_version"),
        ("DELETE FROM alembic_version", "it has no migrations"),
    ],
    ids=["newer", "another application", "empty"],
)
def test_other_databases_are_refused(db: Db, database: Path, copy: Path, statement: str, reason: str):
    db("backup", copy)
    execute(copy, statement)

    assert reason in refusal(db("restore", copy, "--yes"))
    assert names(database.parent) == ["app.db"]


@pytest.mark.parametrize("content", [b"", b"notes, not a database" * 500], ids=["empty", "text"])
def test_other_files_are_refused(db: Db, database: Path, copy: Path, content: bytes):
    copy.write_bytes(content)

    assert "is not one of this application's databases" in refusal(db("restore", copy, "--yes"))
    assert numbers(database) == [1]


def test_a_missing_file_is_named(db: Db, database: Path, copy: Path):
    assert "copy.db does not exist" in refusal(db("restore", copy, "--yes"))
    assert names(copy.parent) == []


def test_a_damaged_backup_is_not_restored(db: Db, database: Path, copy: Path):
    db("backup", copy)
    content = bytearray(copy.read_bytes())
    content[-40_000:-4_000] = b"\xff" * 36_000
    copy.write_bytes(content)

    sentence = refusal(db("restore", copy, "--yes"))

    assert "damaged" in sentence or "cannot be copied" in sentence
    assert names(database.parent) == ["app.db"]


# PostgreSQL and memory


@pytest.mark.parametrize(
    ("command", "tool"), [("backup", "pg_dump"), ("restore", "pg_restore")], ids=["backup", "restore"]
)
def test_postgresql_has_its_own_tools(db: Db, copy: Path, command: str, tool: str):
    url = "postgresql+asyncpg://ada:s3cret%20of%20the%20database@db.example.org:5433/shop?ssl=require"

    sentence = refusal(db(command, copy, url=url))

    assert f"  {tool} --host=db.example.org --port=5433 --username=ada --dbname=shop " in sentence
    assert PASSWORD not in sentence.replace("%20", " ")


def test_a_database_in_memory_has_no_file(db: Db, copy: Path):
    assert "in memory" in refusal(db("backup", copy, url="sqlite+aiosqlite:///:memory:"))

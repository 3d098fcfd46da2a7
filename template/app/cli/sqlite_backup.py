"""`app db backup` and `app db restore`: back up and restore a SQLite database. Template-owned.

For PostgreSQL, both commands print how to run PostgreSQL's own tools instead.
"""

import os
import shlex
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import INVOCATION_DIR, fail, friendly_errors, require_database, sqlite_file
from app.cli.database import revision_files, what_is_missing
from app.cli.permissions import OWNER_AND_GROUP
from app.cli.whole_file import whole_file

if TYPE_CHECKING:
    from app.settings import Settings

_PAGES = 1024
"""The number of pages copied in one step (4 MiB)."""
_BESIDE = ("-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite creates beside the database file."""


@friendly_errors
def backup(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Where to write the copy.")],
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
) -> None:
    """Copy the SQLite database to a file, even while the application is running.

    The copy is a verified snapshot that only you can read. It contains all data, so protect it like the
    database.
    """
    from app.settings import load_settings

    settings = load_settings()
    database = _sqlite_file_of(settings, "Back it up", "pg_dump", "--format=custom", "--no-owner", "--file")
    require_database(settings)
    target = INVOCATION_DIR / file
    if target.exists():
        if target.samefile(database):
            fail(f"{target} is the database itself. Choose another file.")
        if not force:
            fail(f"{target} already exists. Choose another file, or replace it with --force.")
    with whole_file(target, replace=force) as part:
        _copy(database, part)
    typer.echo(f"Backed up {database} to {target} ({target.stat().st_size:,} bytes).")


@friendly_errors
def restore(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file that `app db backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Replace the SQLite database with a backup. Stop the application first.

    The old database is kept in the same folder under another name.
    """
    import asyncio

    from app.settings import load_settings

    settings = load_settings()
    database = _sqlite_file_of(settings, "Restore it", "pg_restore", "--clean", "--if-exists", "--no-owner")
    # If the path is a symbolic link, replace the file that it points to.
    database = database.resolve()
    source = INVOCATION_DIR / file
    revisions = revision_files(settings)
    _require_ours(source, {each.revision for each in revisions.walk_revisions()})
    if database.exists() and database.samefile(source):
        fail(f"{source} is the database itself.")
    _require_stopped(database)
    if not yes:
        typer.confirm(f"Replace {database} with {source}?", abort=True)
    database.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(database, replace=True) as part:
        _copy(source, part)
        _take_over_permissions(database, part)
        kept = _set_aside(database)
    typer.echo(
        f"Restored {database} from {source}." + (f" The old database was kept as {kept}." if kept else "")
    )
    if sentence := asyncio.run(what_is_missing(settings, revisions)):
        typer.echo(sentence)


def _sqlite_file_of(settings: "Settings", what: str, *command: str) -> Path:
    """The database file. If there is none, print how to run *command* for PostgreSQL, and exit."""
    from sqlalchemy import make_url

    from app.settings_checks.postgresql import hosts_of

    if (file := sqlite_file(settings)) is not None:
        return file
    url = make_url(settings.database_url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        fail("The database is in memory, so there is no file. Check DATABASE_URL.")
    # The password is left out: these tools prompt for it or read it from ~/.pgpass.
    named = {"host": hosts_of(url)[0], "port": url.port, "username": url.username, "dbname": url.database}
    options = [f"--{name}={value}" for name, value in named.items() if value]
    fail(
        f"The database is on a PostgreSQL server. {what} with PostgreSQL's own tool:\n"
        f"  {shlex.join([command[0], *options, *command[1:]])} FILE"
    )


def _copy(source: Path, target: Path) -> None:
    """Copy the current state of a database into the empty file *target*, and check the copy."""
    try:
        with closing(_opened(source)) as old, closing(sqlite3.connect(target)) as new:
            # In a read transaction, so that concurrent writes neither change nor restart the copy.
            old.execute("BEGIN")
            old.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            old.backup(new, pages=_PAGES)
            # Without WAL, the copy is a single file. The application turns WAL back on when it uses the copy.
            new.execute("PRAGMA journal_mode = DELETE")
            [(result,)] = new.execute("PRAGMA integrity_check(1)").fetchall()
    except sqlite3.Error as error:
        fail(f"{source} cannot be copied: {error}.")
    if result != "ok":
        fail(f"{source} is damaged: {result}. Restore an earlier backup.")


def _opened(file: Path) -> sqlite3.Connection:
    """Connect to *file*, without creating it if it does not exist."""
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=10, isolation_level=None)


def _require_ours(source: Path, known: set[str]) -> None:
    """Exit with an error if *source* belongs to another application or to a newer version of this one."""
    if not source.is_file():
        fail(f"{source} does not exist, or is not a file.")
    try:
        with closing(_opened(source)) as connection:
            applied = {each for (each,) in connection.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.Error as error:
        fail(f"{source} is not one of this application's databases, or is damaged: {error}.")
    if not applied:
        fail(f"{source} is not one of this application's databases: it has no migrations.")
    if unknown := sorted(applied - known):
        fail(
            f"{source} has migrations that this application's files do not define ({', '.join(unknown)}). It"
            " belongs to a newer version or to another application."
        )


def _require_stopped(database: Path) -> None:
    """Exit with an error if another process has *database* open.

    Otherwise, write all changes to the file itself, so that none are left in the files beside it.
    """
    if not database.exists():
        return
    with suppress(sqlite3.DatabaseError), closing(_opened(database)) as connection:
        connection.execute("PRAGMA busy_timeout = 1000")
        try:
            # This fails if another connection is open, because only the last one can leave WAL mode.
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                fail(f"Another process is using {database}. Stop the application and its worker first.")
            raise
    # Errors caused by a damaged file are ignored, because the backup will replace the file.


def _take_over_permissions(database: Path, part: Path) -> None:
    """Give *part* the owner and mode of *database*, because another user's service may need access."""
    if not database.exists() or os.name == "nt":
        return
    status = database.stat()
    with suppress(OSError):
        os.chown(part, status.st_uid, status.st_gid)
    part.chmod(status.st_mode & OWNER_AND_GROUP)


def _set_aside(database: Path) -> Path | None:
    """Rename the database and the files beside it, and return the new name.

    A journal that is left behind would be applied to the new database.
    """
    if not database.exists():
        return None
    kept = database.with_name(f"{database.name}.{datetime.now(UTC):%Y%m%d-%H%M%S}")
    for suffix in _BESIDE:
        with suppress(FileNotFoundError):
            Path(f"{database}{suffix}").rename(f"{kept}{suffix}")
    try:
        # A hard link ensures that a file with the database's name always exists.
        kept.hardlink_to(database)
    except OSError:
        database.rename(kept)
    return kept

"""Code shared by all commands: readable errors, database checks, and the application without a server."""

import functools
import re
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

    from app.settings import Settings
    from app.web import App

PROJECT = Path(__file__).parent.parent.parent
"""The directory that contains pyproject.toml."""
INVOCATION_DIR = Path.cwd()
"""The directory against which the user's relative paths are resolved."""


UNKNOWN_REVISION = (
    "Can't locate revision {!r}: no file in migrations/versions or app/*/migrations contains it. If the"
    " database was migrated on another branch, switch to that branch, undo its migrations there (for example"
    " with `uv run app db downgrade app@-1`) and switch back; or delete the development database and run `uv"
    " run app db upgrade`. If a feature was removed, revert that commit and run `uv run app remove NAME"
    " --drop-data` instead."
)
ALREADY_THERE = (
    "{} adds something that the database already has: {}. One of your own migrations may have added it before"
    ' the template did. See "A column or table that you already have" in the template\'s docs/updating.md.'
)

FAILED_MIGRATION = "{} failed, and its changes were undone: {}"
UNUSABLE = "The database cannot be used: {}. Check DATABASE_URL and that the server is up."


def fail(sentence: str) -> NoReturn:
    """Print *sentence* to standard error and exit with code 1."""
    typer.secho(sentence, fg=typer.colors.RED, err=True)
    raise typer.Exit(1)


def friendly_errors[**P, R](command: Callable[P, R]) -> Callable[P, R]:
    """Print a message instead of a traceback for errors that the user can fix. Other errors are bugs."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except BrokenPipeError:
            # The reader closed the pipe (`| head`). Click exits quietly.
            raise
        except Exception as error:
            sentence = sentence_about(error)
            if sentence is None:
                raise
            fail(sentence)

    return run


def sentence_about(error: Exception) -> str | None:
    """A message that explains *error* to the user, or None if *error* is a bug."""
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError, OperationalError

    from app.main import FeatureError
    from app.scheduler import ScheduleError
    from app.settings import SettingsError
    from app.users import InvalidEmail, InvalidPassword, LastSuperuser, UserAlreadyExists
    from app.users.exceptions import AccountInUse, NoSecondFactor, NoSuchInvitation, NoSuchUser
    from app.web.framework.handler_checks import RouteError

    match error:
        case (
            SettingsError()
            | FeatureError()
            | RouteError()
            | ScheduleError()
            | InvalidEmail()
            | InvalidPassword()
            | UserAlreadyExists()
            | LastSuperuser()
            | AccountInUse()
            | NoSecondFactor()
            | NoSuchInvitation()
            | NoSuchUser()
        ):
            return str(error)
        case CommandError() if unknown := re.search(
            r"Can't locate revision identified by '(.+)'", str(error)
        ):
            return UNKNOWN_REVISION.format(unknown[1])
        case CommandError():
            return f"{str(error).rstrip('.')}."
        case DBAPIError() if _is_already_there(error) and (migration := _migration_of(error)):
            # asyncpg's adapter puts the class name before the message.
            return ALREADY_THERE.format(migration, str(error.orig).rpartition("'>: ")[2])
        case DBAPIError() if migration := _migration_of(error):
            return FAILED_MIGRATION.format(migration, str(error.orig).rpartition("'>: ")[2])
        case DBAPIError() if _is_not_migrated(error):
            return "The database is missing or its tables are out of date: run `uv run app db upgrade`."
        case DBAPIError() if _is_rejected(error):
            return f"The database rejected the statement: {error.orig}"
        case OperationalError():
            return UNUSABLE.format(error.orig)
        case OSError() if _comes_from_database(error):
            # A TimeoutError has no message.
            return UNUSABLE.format(str(error) or type(error).__name__)
        case UnicodeEncodeError():
            return "An argument contains characters that are not valid text."
        case DBAPIError():
            return f"The database cannot be used: {error.orig}"
        case OSError(filename=file, filename2=other, strerror=str(reason)) if file is not None:
            files = file if other is None else f"{file} -> {other}"
            return f"{files} cannot be used: {reason}."
        case OSError():
            return f"{traceback.format_exception_only(error)[0].strip()} ({_place_of(error)})"
        case _:
            return None


_NO_SUCH_DATABASE = "3D000"
"""The error code for invalid_catalog_name (appendix A of PostgreSQL's documentation)."""


def _is_already_there(error: "DBAPIError") -> bool:
    from app.web.database_errors import is_already_there

    return is_already_there(error)


def _migration_of(error: Exception) -> str:
    """The file of the migration that raised *error*; if no migration did, an empty string."""
    files = [Path(frame.filename) for frame in traceback.extract_tb(error.__traceback__)]
    places = (PROJECT / "app", PROJECT / "migrations" / "versions")
    migrations = [file for file in files if file.parent.name in ("migrations", "versions")]
    return next(
        (str(file.relative_to(PROJECT)) for file in migrations if any(map(file.is_relative_to, places))), ""
    )


def _is_not_migrated(error: "DBAPIError") -> bool:
    from app.web.database_errors import lacks_migration

    return getattr(error.orig, "sqlstate", None) == _NO_SUCH_DATABASE or lacks_migration(error)


def _is_rejected(error: "DBAPIError") -> bool:
    """Whether the database works but does not accept the statement or its values."""
    from sqlalchemy.exc import IntegrityError, ProgrammingError

    # asyncpg's data exceptions (class 22) and SQLite's syntax errors have no exception class of their own.
    is_data = str(getattr(error.orig, "sqlstate", "")).startswith("22")
    is_syntax = getattr(error.orig, "sqlite_errorname", "") == "SQLITE_ERROR"
    return isinstance(error, IntegrityError | ProgrammingError) or is_data or is_syntax


def _comes_from_database(error: OSError) -> bool:
    """Whether a database library raised *error*, as asyncpg does when the server does not respond."""
    from app.web.database_errors import waited_for_database

    if isinstance(error, TimeoutError) and waited_for_database(error):
        return True
    packages = [module.partition(".")[0] for module, _ in reversed(_frames_of(error))]
    # The innermost package counts: SQLAlchemy may have called the application, for example in `run_sync`.
    known = {"app", "sqlalchemy", "asyncpg", "aiosqlite"}
    return next((each for each in packages if each in known), "app") != "app"


def _place_of(error: Exception) -> str:
    """The innermost line of the application's code that *error* passed through."""
    places = [f"{module}, line {line}" for module, line in _frames_of(error) if module.startswith("app.")]
    return places[-1] if places else "a library"


def _frames_of(error: Exception) -> list[tuple[str, int]]:
    """The module and line of each frame that *error* passed through, outermost first."""
    frames = traceback.walk_tb(error.__traceback__)
    return [(str(frame.f_globals.get("__name__", "")), line) for frame, line in frames]


def sqlite_file(settings: "Settings") -> Path | None:
    """The database file, or None if the database is on a server or in memory."""
    from sqlalchemy import make_url

    url = make_url(settings.database_url.get_secret_value())
    is_file = url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
    return Path(url.database or "") if is_file else None


def missing_file(settings: "Settings") -> str:
    """A message if the SQLite file is missing; otherwise, an empty string.

    Call this before you open the file, because opening a missing file would create it.
    """
    file = sqlite_file(settings)
    if file is None or file.exists():
        return ""
    return f"There is no database yet ({file} is missing): run `uv run app db upgrade`."


def require_database(settings: "Settings") -> None:
    """Exit with an error if the SQLite file is missing."""
    if sentence := missing_file(settings):
        fail(sentence)


@asynccontextmanager
async def application() -> AsyncGenerator["App"]:
    """The application and its services. The application is not started: it runs no inline worker and serves
    no requests."""
    from app.main import create_app
    from app.settings import load_settings

    settings = load_settings()
    require_database(settings)
    app = create_app(settings)
    try:
        yield app
    finally:
        app.state.users.hasher.close()
        await app.state.limiter.close()
        await app.state.users.policy.close()
        await app.state.db.dispose()

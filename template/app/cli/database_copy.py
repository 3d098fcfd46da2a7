"""`app db copy-to`: copies all data to another database, SQLite or PostgreSQL. Template-owned.

`copying.py` does the work. It is imported only when the command runs.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import fail, friendly_errors, require_database, sentence_about
from app.cli.database import create_database, revision_files, upgrade_to_heads, what_is_missing

if TYPE_CHECKING:
    from app.settings import Settings


@friendly_errors
def copy_to(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            envvar="TARGET_DATABASE_URL",
            help="The future DATABASE_URL: a database without data, which is created if it does not exist.",
        ),
    ],
) -> None:
    """Copy all data to another database, from SQLite to PostgreSQL or vice versa, and compare every row.

    Stop the application first: changes made during the copy are not copied. If anything fails, the new
    database stays empty.

    To keep the password out of your shell history, set TARGET_DATABASE_URL instead of passing URL.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import SQLAlchemyError

    from app.cli.copying import CopyFailed, copy_all, first_with_rows
    from app.settings import load_settings

    settings = load_settings()
    require_database(settings)
    if sentence := asyncio.run(what_is_missing(settings, revision_files(settings))):
        fail(sentence)
    target = _settings_for(url)
    parts = make_url(target.database_url.get_secret_value())
    shown = parts.set(query={}).render_as_string(hide_password=True)
    try:
        create_database(target)
        if table := asyncio.run(first_with_rows(target)):
            fail(f"{shown} has data in the table {table}. Choose a database without data.")
        upgrade_to_heads(target)
        with typer.progressbar(label="Copying", length=1, file=sys.stderr) as progress:

            def tell(done: int, rows: int) -> None:
                progress.length = rows
                progress.update(done)

            with _exit_on_interrupt():
                tallies = asyncio.run(copy_all(settings, target, tell))
    except CopyFailed as error:
        fail(f"Nothing was copied to {shown}. {error}")
    except (SQLAlchemyError, OSError) as error:
        fail(f"Nothing was copied to {shown}. {sentence_about(error) or error}")
    width = max(len(name) for name in tallies)
    for name, tally in tallies.items():
        typer.echo(f"{name:{width}}  {tally.rows:>10,}  {tally.checksum}")
    rows = sum(each.rows for each in tallies.values())
    typer.echo(f"Copied {rows:,} rows to {shown}. The row count and checksum of every table match.")


@contextmanager
def _exit_on_interrupt() -> Generator[None]:
    """End the process immediately on Ctrl+C. The copy is one transaction, so the target stays empty.

    asyncpg may never return from a cancelled `executemany`.
    """
    if (before := signal.getsignal(signal.SIGINT)) is not signal.default_int_handler:
        # Keep the handler. For example, the shell may have made the process ignore Ctrl+C.
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _settings_for(url: str) -> "Settings":
    """The settings with DATABASE_URL set to *url*, which is validated like any other value."""
    from app.settings import SettingsError, load_settings

    with _environment("DATABASE_URL", url):
        try:
            return load_settings()
        except SettingsError as error:
            fail(f"The target cannot be used as DATABASE_URL:\n{error}")


@contextmanager
def _environment(name: str, value: str) -> Generator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

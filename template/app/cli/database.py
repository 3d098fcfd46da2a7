"""`app db …`: migrations with Alembic, across all branches."""

import asyncio
import json
import logging
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.common import (
    PROJECT,
    friendly_errors,
    missing_file,
    require_database,
    sentence_about,
    sqlite_file,
)
from app.cli.permissions import OWNER_ONLY, keep_private

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from sqlalchemy import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

    from app.settings import Settings

logger = logging.getLogger("app.database")

cli = typer.Typer(no_args_is_help=True, help="Migrate, inspect, back up and copy the database.")


def alembic_config(settings: "Settings") -> "Config":
    """Alembic's configuration from pyproject.toml, for the database in *settings*."""
    from alembic.config import Config

    config = Config(toml_file=PROJECT / "pyproject.toml", stdout=sys.stdout)
    config.attributes["database_url"] = settings.database_url.get_secret_value()
    return config


def upgrade_to_heads(settings: "Settings") -> None:
    """Create the database if it is missing, and apply every migration."""
    from alembic import command

    create_database(settings)
    command.upgrade(alembic_config(settings), "heads")


def create_database(settings: "Settings") -> None:
    """Create the SQLite file, or the database on the PostgreSQL server, if it is missing."""
    from sqlalchemy import make_url

    url = make_url(settings.database_url.get_secret_value())
    if url.get_backend_name() != "sqlite":
        asyncio.run(_create_on_server(settings, url))
        return
    file = sqlite_file(settings)
    if file is not None and not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # SQLite would make the file readable by everyone. SQLite's journal files inherit this file's mode.
        file.touch(OWNER_ONLY)


def open_engine(settings: "Settings", url: "URL | None" = None, **options: str) -> "AsyncEngine":
    """An engine for *url* or, by default, for the database in *settings*.

    The engine waits at most DATABASE_TIMEOUT for a connection or for a lock on a SQLite file. On PostgreSQL,
    its statements have no time limit.
    """
    from sqlalchemy.ext.asyncio import create_async_engine

    waits = {"timeout": settings.database_timeout}
    return create_async_engine(url or settings.database_url.get_secret_value(), connect_args=waits, **options)


async def _create_on_server(settings: "Settings", url: "URL") -> None:
    from sqlalchemy import text

    maintenance = open_engine(settings, url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    try:
        if await _exists(settings):
            return
        async with maintenance.connect() as connection:
            quoted = connection.dialect.identifier_preparer.quote_identifier(url.database or "")
            await connection.execute(text(f"CREATE DATABASE {quoted}"))
        typer.echo(f"Created the database {url.database}.")
    finally:
        await maintenance.dispose()


async def _exists(settings: "Settings") -> bool:
    from sqlalchemy.exc import DBAPIError

    engine = open_engine(settings)
    try:
        async with engine.connect():
            return True
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == "3D000":  # invalid_catalog_name
            return False
        raise
    finally:
        await engine.dispose()


def revision_files(settings: "Settings") -> "ScriptDirectory":
    """The revisions defined in the project's files."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory.from_config(alembic_config(settings))


async def what_is_missing(settings: "Settings", revisions: "ScriptDirectory") -> str:
    """A message with the reason and remedy if the database cannot be used yet; otherwise, an empty string.

    A database is usable even if no file defines its revision. In that case, a newer version of the
    application has migrated it. Instances of this version may still be running, may restart, or may replace
    the newer version in a rollback.
    """
    from alembic.util import CommandError
    from sqlalchemy.exc import DBAPIError

    if sentence := missing_file(settings):
        return sentence
    try:
        pending = await _pending(settings, revisions)
    except (DBAPIError, OSError) as error:
        return sentence_about(error) or str(error)
    except CommandError:
        logger.warning("the database has been migrated by a newer version of the application")
        return ""
    if pending:
        return f"The database lacks migrations ({', '.join(sorted(pending))}): run `uv run app db upgrade`."
    return ""


async def _pending(settings: "Settings", revisions: "ScriptDirectory") -> set[str]:
    """The revisions that have not been applied to the database."""
    from alembic.migration import MigrationContext
    from sqlalchemy import Connection

    from app.database.revisions import pending

    def current(connection: Connection) -> set[str]:
        return set(MigrationContext.configure(connection).get_current_heads())

    engine = open_engine(settings)
    try:
        async with engine.connect() as connection:
            heads = await connection.run_sync(current)
    finally:
        await engine.dispose()
    return pending(revisions, heads)


def _config() -> "Config":
    from app.settings import load_settings

    settings = load_settings()
    require_database(settings)
    return alembic_config(settings)


@cli.command()
@friendly_errors
def upgrade(
    revision: Annotated[
        str, typer.Argument(help="The revision to upgrade to. heads applies every migration.")
    ] = "heads",
) -> None:
    """Create the database if it is missing, and migrate it."""
    from alembic import command

    from app.settings import load_settings

    settings = load_settings()
    create_database(settings)
    keep_private(settings)
    command.upgrade(alembic_config(settings), revision)
    typer.echo(f"The database is at {revision}.")


@cli.command()
@friendly_errors
def downgrade(
    revision: Annotated[
        str,
        typer.Argument(help="Downgrade to this revision, such as app@-1 (one back on your branch) or base."),
    ],
) -> None:
    """Undo migrations. Data in dropped tables and columns is lost."""
    from alembic import command

    command.downgrade(_config(), revision)
    typer.echo(f"Downgraded the database to {revision}.")


@cli.command()
@friendly_errors
def revision(
    message: Annotated[str, typer.Option("--message", "-m", help="A short description.")],
    empty: Annotated[
        bool, typer.Option("--empty", help="Create an empty migration to write by hand.")
    ] = False,
) -> None:
    """Generate a migration in migrations/versions from the changes to your models."""
    from alembic import command

    if command.revision(_config(), message=message, autogenerate=not empty):
        typer.echo("Review the migration, then run `uv run app db upgrade`.")


@cli.command()
@friendly_errors
def check() -> None:
    """Fail if the models and the migrations differ."""
    from alembic import command

    command.check(_config())


@cli.command()
@friendly_errors
def current() -> None:
    """Show the database's current revisions."""
    from alembic import command

    command.current(_config(), verbose=False)


@cli.command()
@friendly_errors
def tables(
    as_json: Annotated[bool, typer.Option("--json", help="Print the tables as JSON.")] = False,
) -> None:
    """List the tables with their features and row counts."""
    from app.database import Base
    from app.main import load_features
    from app.settings import load_settings

    load_features()
    features = {
        table.name: mapper.class_.__module__.split(".")[1]
        for mapper in Base.registry.mappers
        for table in mapper.tables
    }
    counted = asyncio.run(_count_rows(load_settings()))
    rows = [(name, features.get(name, ""), counted.get(name)) for name in sorted(Base.metadata.tables)]
    if as_json:
        typer.echo(json.dumps([dict(zip(("name", "feature", "rows"), row, strict=True)) for row in rows]))
        return
    name_width = max(len(name) for name, _, _ in rows)
    feature_width = max(len(feature) for _, feature, _ in rows)
    for name, feature, count in rows:
        typer.echo(f"{name:{name_width}}  {feature:{feature_width}}  {'missing' if count is None else count}")


async def _count_rows(settings: "Settings") -> dict[str, int]:
    """The number of rows in each of the database's tables. The database does not have to exist."""
    from sqlalchemy import func, inspect, select

    from app.database import Base

    file = sqlite_file(settings)
    # Connecting to a missing SQLite file would create it.
    if not (await _exists(settings) if file is None else file.exists()):
        return {}
    engine = open_engine(settings)
    try:
        async with engine.connect() as connection:
            there = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
            tables = [table for name, table in Base.metadata.tables.items() if name in there]
            count = select(func.count())
            return {table.name: await connection.scalar(count.select_from(table)) or 0 for table in tables}
    finally:
        await engine.dispose()

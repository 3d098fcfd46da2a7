"""Import the accounts from a hawkapi-users database.

The import is one transaction, even on SQLite: a failure leaves the database unchanged. Template-owned.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, func, inspect, make_url, select
from sqlalchemy.exc import DBAPIError

from app.cli.common import fail, friendly_errors
from app.cli.database import alembic_config
from app.import_hawkapi_users import library_table, revisions
from app.import_hawkapi_users.library_table import TABLE, Inspection
from app.main import load_features
from app.settings import Settings, load_settings
from app.users import User

FIRST = "users_0001"
"""This revision creates the library's table, so the import only records it as applied."""

cli = typer.Typer()


@cli.command()
@friendly_errors
def import_hawkapi_users(
    table: Annotated[str, typer.Option(help="The name of the library's table.")] = TABLE,
    applied: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REVISION",
            help="A migration in migrations/versions whose tables and columns are already in the database."
            " It is recorded as applied and does not run. Repeat the option for more than one.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only inspect the database. Exit code 1 means that it cannot be imported."
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Import the accounts that hawkapi-users created in this database."""
    settings = load_settings()
    _require_database(settings)
    load_features()
    plan = asyncio.run(_inspect(settings, table, applied or []))
    _show(plan)
    if check:
        return
    if not yes:
        typer.confirm("Only a backup can restore the old database. Continue?", abort=True)
    try:
        asyncio.run(_import(settings, table, applied or []))
    except DBAPIError as error:
        fail(f"Nothing was changed. {_reason(error)}")
    typer.echo("Imported. Users log in with their existing passwords. Next: `uv run app db check`.")


def _require_database(settings: Settings) -> None:
    """Exit with an error if the SQLite file is missing.

    The message does not suggest creating a database, because the import needs the old one.
    """
    url = make_url(settings.database_url.get_secret_value())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        fail(f"There is no database {url.database}. Set DATABASE_URL to the old application's database.")


@dataclass(frozen=True)
class _Plan:
    inspection: Inspection
    unknown: list[str]
    """Revisions of the old application that this project does not have."""
    recorded: list[str]
    """Revisions that are only recorded as applied, not run."""
    run: list[str]
    """Revisions that will run."""


async def _inspect(settings: Settings, table: str, applied: list[str]) -> _Plan:
    async with revisions.transaction(settings) as connection:
        return await connection.run_sync(_make_plan, settings, table, applied)


async def _import(settings: Settings, table: str, applied: list[str]) -> None:
    async with revisions.transaction(settings) as connection:
        await connection.run_sync(_run_plan, settings, table, applied)


def _make_plan(connection: Connection, settings: Settings, table: str, applied: list[str]) -> _Plan:
    """Decide what the import of *table* will do. Exits with an error if the table cannot be imported."""
    scripts = ScriptDirectory.from_config(alembic_config(settings))
    known, unknown = revisions.current_heads(connection, scripts)
    if known and unknown:
        fail(
            f"The database is at {', '.join(known)}, which this project has, and at {', '.join(unknown)},"
            " which it does not have. Add the missing migration file and run this again."
        )
    missing = revisions.missing_after(scripts, known)
    if FIRST not in missing:
        _end_second_import(connection)
    _require_table(connection, table)
    inspection = library_table.inspect_table(connection, table)
    if inspection.differences:
        fail(
            f"The table {table} differs from the one that hawkapi-users 0.1 and 0.2 create. Nothing was"
            " changed:\n"
            + "".join(f"- {each}\n" for each in inspection.differences)
            + "Correct the table in the old application or with SQL, then run this command again."
        )
    recorded = [FIRST, *(_own_revision(scripts.get_revision(each)) for each in applied)]
    return _Plan(inspection, unknown, recorded, run=[each for each in missing if each not in recorded])


def _own_revision(script: Script) -> str:
    if "app" not in script.branch_labels:
        fail(
            f"{script.revision} is one of the template's migrations."
            " --applied accepts only migrations in migrations/versions."
        )
    return script.revision


def _end_second_import(connection: Connection) -> NoReturn:
    """Exit with code 0 if nothing is left to import. Otherwise, exit with an error."""
    others = [each for each in library_table.library_tables(connection) if each != TABLE]
    if not others:
        typer.echo("This database already belongs to the application. `uv run app db upgrade` updates it.")
        raise typer.Exit
    accounts = connection.scalar(select(func.count()).select_from(User))
    fail(
        f"The database already has this application's table {TABLE} (accounts in it: {accounts}), so"
        f" {', '.join(others)} cannot become {TABLE}. If the application's tables are empty,"
        " `uv run app db downgrade base` removes them all. Then run this again."
    )


def _require_table(connection: Connection, table: str) -> None:
    tables = inspect(connection).get_table_names()
    if not tables:
        fail("The database is empty, so there is nothing to import. Run `uv run app db upgrade`.")
    if table not in tables:
        found = library_table.library_tables(connection)
        commands = " or ".join(f"`uv run app import-hawkapi-users --table {each}`" for each in found)
        fail(
            f"There is no table {table}. These tables have the library's columns: {', '.join(found)}."
            f" Run {commands}."
            if found
            else f"There is no table {table}, and no other table has the library's columns."
            " Check DATABASE_URL."
        )
    if table != TABLE and TABLE in tables:
        fail(f"{table} cannot become {TABLE}, because another table has that name. Rename that one first.")


def _run_plan(connection: Connection, settings: Settings, table: str, applied: list[str]) -> None:
    revisions.lock(connection, table)
    # The old application may have written to the table since the first inspection.
    plan = _make_plan(connection, settings, table, applied)
    library_table.import_table(connection, plan.inspection)
    revisions.forget(connection, plan.unknown)
    config = alembic_config(settings)
    scripts = ScriptDirectory.from_config(config)
    revisions.upgrade(connection, scripts, config, applied=plan.recorded)


def _show(plan: _Plan) -> None:
    inspection = plan.inspection
    typer.echo(f"{inspection.table} is a hawkapi-users table. Accounts in it: {inspection.accounts}.")
    typer.echo("The import does the following in one transaction:")
    steps = inspection.changes()
    if plan.unknown:
        steps.append(
            f"alembic_version no longer lists {', '.join(plan.unknown)}, which came from the old application."
        )
    steps.append(f"Migrations recorded as applied: {', '.join(plan.recorded)}. Run: {', '.join(plan.run)}.")
    for each in steps:
        typer.echo(f"- {each}")
    if inspection.notes:
        typer.echo("Note:")
    for each in inspection.notes:
        typer.echo(f"- {each}")


def _reason(error: DBAPIError) -> str:
    text = str(error.orig).rstrip(".")
    if "is locked" in text or getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
        return f"Another program is using the database. Stop the old application and run this again. ({text})"
    return (
        f"A migration failed: {text}. If it is your own migration and the database already contains what it"
        " creates, pass its revision with --applied. If the old application and the template use the same"
        " name, rename the old application's table or index."
    )

"""`app adopt`: the accounts of an application that used the library hawkapi-users become this one's.

All in one transaction, on SQLite as well: a failure leaves the database as it was. Template-owned.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from app.cli.common import fail
from app.cli.database import alembic_config

if TYPE_CHECKING:
    from alembic.script import Script
    from sqlalchemy import Connection
    from sqlalchemy.exc import DBAPIError

    from app.settings import Settings
    from app.users.adoption import Examination

FIRST = "users_0001"
"""The revision that the library's table is as after."""


def adopt(
    table: Annotated[str, typer.Option(help="What the library's table is called.")] = "users",
    has: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REVISION",
            help="A migration of yours that makes what the database has already: it is noted as done and"
            " not run. May be given several times.",
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only look; exit code 1 if it is refused.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take over the accounts that hawkapi-users has made in this database."""
    from sqlalchemy.exc import DBAPIError

    from app.main import load_features
    from app.settings import load_settings

    settings = load_settings()
    _require_database(settings)
    load_features()
    plan = asyncio.run(_look(settings, table, has or []))
    _show(plan)
    if check:
        return
    if not yes:
        typer.confirm("Only a backup brings the old database back. Go on?", abort=True)
    try:
        asyncio.run(_carry_out(settings, table, has or []))
    except DBAPIError as error:
        fail(f"Nothing was changed. {_reason(error)}")
    typer.echo("Adopted: the accounts log in with their passwords. Next: `uv run app db check`.")


def _require_database(settings: "Settings") -> None:
    """Does not say, as other commands do, how to make a database: a new one would be the wrong one."""
    from sqlalchemy import make_url

    url = make_url(settings.database_url.get_secret_value())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        fail(f"There is no database {url.database}: DATABASE_URL has to name the old application's.")


@dataclass(frozen=True)
class _Plan:
    found: "Examination"
    unknown: list[str]
    """Revisions of the old application, which this project does not know."""
    noted: list[str]
    """Revisions that are written down as applied, since the database has what they make."""
    applied: list[str]


async def _look(settings: "Settings", table: str, has: list[str]) -> _Plan:
    from app.cli.revisions import transaction

    async with transaction(settings) as connection:
        return await connection.run_sync(_make_plan, settings, table, has)


async def _carry_out(settings: "Settings", table: str, has: list[str]) -> None:
    from app.cli.revisions import transaction

    async with transaction(settings) as connection:
        await connection.run_sync(_adopt, settings, table, has)


def _make_plan(connection: "Connection", settings: "Settings", table: str, has: list[str]) -> _Plan:
    """What adopting *table* will do; ends the command with a sentence where it cannot be done."""
    from alembic.script import ScriptDirectory

    from app.cli.revisions import heads_of, missing_after
    from app.users.adoption import examine

    scripts = ScriptDirectory.from_config(alembic_config(settings))
    current, unknown = heads_of(connection, scripts)
    if current and unknown:
        fail(
            f"The database is at {', '.join(current)}, which this project knows, and at {', '.join(unknown)},"
            " which it does not: get the missing file of the migration, and run this again."
        )
    missing = missing_after(scripts, current)
    if FIRST not in missing:
        _refuse_second_time(connection)
    _require_table(connection, table)
    found = examine(connection, table)
    if found.differences:
        fail(
            f"The table {table} is not as hawkapi-users 0.1 and 0.2 make it, and was left as it is:\n"
            + "".join(f"- {each}\n" for each in found.differences)
            + "Change that in the old application or by SQL, and run this again."
        )
    noted = [FIRST, *(_revision_of_yours(scripts.get_revision(each)) for each in has)]
    return _Plan(found, unknown, noted, applied=[each for each in missing if each not in noted])


def _revision_of_yours(script: "Script") -> str:
    if "app" not in script.branch_labels:
        fail(f"{script.revision} is a migration of the template: --has is for those in migrations/versions.")
    return script.revision


def _refuse_second_time(connection: "Connection") -> NoReturn:
    """Ends the command, and well if there is nothing left to adopt."""
    from sqlalchemy import func, select

    from app.users import User
    from app.users.adoption import TABLE, candidates

    others = [each for each in candidates(connection) if each != TABLE]
    if not others:
        typer.echo("The database is the application's already. `uv run app db upgrade` keeps it up to date.")
        raise typer.Exit
    accounts = connection.scalar(select(func.count()).select_from(User))
    fail(
        f"The database has this application's own table {TABLE} already (accounts in it: {accounts}), and"
        f" only one table can become it: {', '.join(others)} cannot. If the own tables were made by mistake"
        " and hold nothing, `uv run app db downgrade base` removes them all; then run this again."
    )


def _require_table(connection: "Connection", table: str) -> None:
    from sqlalchemy import inspect

    from app.users.adoption import TABLE, candidates

    tables = inspect(connection).get_table_names()
    if not tables:
        fail("The database is empty, there is nothing to adopt: run `uv run app db upgrade`.")
    if table not in tables:
        found = candidates(connection)
        commands = " or ".join(f"`uv run app adopt --table {each}`" for each in found)
        fail(
            f"There is no table {table}. Like the library's: {', '.join(found)}. Run {commands}."
            if found
            else f"There is no table {table}, and no other has the library's columns: check DATABASE_URL."
        )
    if table != TABLE and TABLE in tables:
        fail(f"{table} is to become {TABLE}, and there is another table {TABLE}: rename that one first.")


def _adopt(connection: "Connection", settings: "Settings", table: str, has: list[str]) -> None:
    from alembic.script import ScriptDirectory

    from app.cli.revisions import forget, lock, upgrade
    from app.users.adoption import take_over

    lock(connection, table)
    # Once more: after the first look, and until now, the old application may have written.
    plan = _make_plan(connection, settings, table, has)
    take_over(connection, plan.found)
    forget(connection, plan.unknown)
    config = alembic_config(settings)
    upgrade(connection, ScriptDirectory.from_config(config), config, noted=plan.noted)


def _show(plan: _Plan) -> None:
    typer.echo(f"{plan.found.table} is as hawkapi-users makes it. Accounts in it: {plan.found.accounts}.")
    typer.echo("This will be done, in one transaction:")
    steps = plan.found.changes()
    if plan.unknown:
        steps.append(
            f"alembic_version forgets {', '.join(plan.unknown)}, of the old application: there is no such"
            " migration here."
        )
    steps.append(f"Migrations noted as done: {', '.join(plan.noted)}. Applied: {', '.join(plan.applied)}.")
    for each in steps:
        typer.echo(f"- {each}")
    if plan.found.notes:
        typer.echo("Note:")
    for each in plan.found.notes:
        typer.echo(f"- {each}")


def _reason(error: "DBAPIError") -> str:
    text = str(error.orig).rstrip(".")
    if "is locked" in text or getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
        return f"Another program uses the database: stop the old application, and run this again. ({text})"
    return (
        f"The database refused a migration: {text}. If that migration is one of yours and makes what the"
        " database has already, name it with --has. If something of the old application has the name of"
        " something of the template, give it another."
    )

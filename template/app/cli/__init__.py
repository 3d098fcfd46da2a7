"""The project's command line: `uv run app …`. Template-owned; add your own commands at the seam.

`discovery.py` finds the features' commands.

Importing this module requires no settings, so `app --help` always works.
"""

# Imported first, because the other imports are slow.
from app.cli import early_stop

# isort: split

import os
import sys
from io import StringIO
from typing import Annotated

import typer

from app import __version__
from app.cli import database, server, template, users
from app.cli.common import PROJECT, friendly_errors
from app.cli.database_copy import copy_to
from app.cli.discovery import CommandsOfFeatures
from app.cli.resealing import reseal
from app.cli.routes import routes
from app.cli.sample_data import seed
from app.cli.shell import shell
from app.cli.show import openapi, settings
from app.cli.sqlite_backup import backup, restore
from app.cli.table_export import export
from app.cli.tasks import cli as tasks

# Your own imports go below; template updates never touch them.
# isort: split

_ = early_stop
cli = typer.Typer(
    cls=CommandsOfFeatures,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Run and manage this application.",
)
cli.command()(friendly_errors(server.dev))
cli.command()(friendly_errors(server.serve))
cli.command()(friendly_errors(server.worker))
database.cli.command()(export)
database.cli.command()(reseal)
database.cli.command()(backup)
database.cli.command()(restore)
database.cli.command()(copy_to)
database.cli.command()(seed)
cli.add_typer(database.cli, name="db")
cli.add_typer(users.cli, name="users")
cli.add_typer(tasks, name="tasks")
cli.command()(friendly_errors(settings))
cli.command()(friendly_errors(openapi))
cli.command()(friendly_errors(routes))
cli.command()(friendly_errors(shell))
for command in (template.template_update, template.features, template.add, template.remove):
    # A newer version of the update tool may accept options that are unknown here.
    cli.command(
        cls=template.CommandOfTheTool,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(command)
# Your own commands go below; template updates never touch them.


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@cli.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Run and manage this application."""


def main() -> None:
    """The entry point declared in pyproject.toml."""
    if sys.stdin is None:
        # The shell has closed standard input (`<&-`).
        sys.stdin = StringIO()
    if (PROJECT / "pyproject.toml").exists():
        # Resolve `.env` and a relative path in DATABASE_URL against the project's folder, not the current
        # directory.
        os.chdir(PROJECT)
    cli()

"""The command `template-update`: merge a new version of the template and report what needs attention.

It requires a clean working tree, lists the changes and merges them. Unless there are conflicts, it then
migrates the database and runs the checks and the tests.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NoReturn

import typer

from template_update.git import UpdateError
from template_update.project import ProjectTools
from template_update.update import Update

SOMETHING_TO_PULL = 2
"""The exit code of `--check` when there is a newer version."""

cli = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point that pyproject.toml names."""
    cli(prog_name="template-update")


@cli.command()
def template_update(
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="List changes and conflicts, and apply nothing. Exit code 2: a new version exists.",
        ),
    ] = False,
    to: Annotated[
        str, typer.Option(metavar="VERSION", help="Update to this version instead of the newest.")
    ] = "",
    answers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Change an answer, such as docker=false, and keep the version."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Migrate the database without asking.")] = False,
    skip_tests: Annotated[bool, typer.Option("--skip-tests", help="Do not run the tests.")] = False,
) -> None:
    """Merge a new version of the template into the project in this folder.

    The git tree must be clean. Exit code 1 means that something needs your attention; the output says what.
    """
    project = Path.cwd()
    try:
        tools = ProjectTools(project)
        with TemporaryDirectory(prefix="template-update-") as folder:
            update = Update(project, Path(folder), say=typer.echo)
            if not check:
                update.merger.require_clean_tree()
            update.choose(to, answers or [])
            if not update.is_needed:
                typer.echo(f"Nothing to pull: this project is at {update.old}, and {update.why_not}.")
                return
            _show_news(update)
            update.merge()
            if not check:
                update.apply()
            needs_person = _show_findings(update, applied=not check)
            if check:
                raise typer.Exit(SOMETHING_TO_PULL)
            must_be_resolved, has_migrations = bool(update.result.conflicts), update.has_migrations
    except UpdateError as error:
        typer.secho(str(error), fg=typer.colors.RED, err=True)
        raise typer.Exit(1) from None
    if must_be_resolved:
        _end("Resolve the conflicts, then: uv run app db upgrade && uv run app db check && uv run pytest")
    migrate = yes or _may_migrate()
    problems = _follow_up(tools, migrate=migrate, has_migrations=has_migrations, skip_tests=skip_tests)
    for problem in problems:
        _alarm(problem)
    if problems or needs_person:
        _end("Review the messages above and `git diff --cached`, then commit.")
    typer.echo("Updated. Review `git diff --cached`, then commit.")


def _show_news(update: Update) -> None:
    if update.old == update.new:
        typer.echo(f"The version stays {update.old}.")
        return
    typer.secho(f"From {update.old} to {update.new}", bold=True)
    news = update.news()
    for each in news:
        if each.security:
            _alarm(f"\n{each.version}: security\n{each.security}")
    for each in news:
        if each.rest:
            typer.echo(f"\n{each.version}\n{each.rest}")
    if not news:
        typer.echo("The template's changelog has no entry for this change.")
    typer.echo("")


def _show_findings(update: Update, *, applied: bool) -> bool:
    """Print the result of the merge and return whether something needs attention."""
    typer.echo(f"{len(update.result.changed)} files {'are' if applied else 'would be'} changed.")
    if difference := update.seeds_difference:
        typer.echo("\nUpdates never change these files. The template's versions have changed:\n")
        typer.echo(difference)
    findings = list(update.findings())
    for each in findings:
        _alarm(each.sentence) if each.needs_person else typer.echo(each.sentence)
    if not applied:
        typer.echo("It would conflict." if update.result.conflicts else "It would merge without a conflict.")
    return any(each.needs_person for each in findings)


def _may_migrate() -> bool:
    return sys.stdin.isatty() and typer.confirm("Migrate the database in DATABASE_URL?", default=True)


def _follow_up(tools: ProjectTools, *, migrate: bool, has_migrations: bool, skip_tests: bool) -> list[str]:
    """Migrate, check and test the updated project. Return a sentence for each problem."""
    problems: list[str] = []
    if migrate:
        for command in ("upgrade", "check"):
            if not problems and not _runs(tools, "app.cli", "db", command):
                problems.append(f"`uv run app db {command}` failed, see above.")
    elif has_migrations:
        problems.append("The database lacks new migrations: run `uv run app db upgrade`.")
    if tools.has("ruff") and not _runs(tools, "ruff", "check", "--quiet"):
        problems.append("`uv run ruff check` reports problems, see above.")
    if skip_tests:
        typer.echo("The tests were not run.")
    elif not _runs(tools, "pytest", "-q", *(["-n", "2"] if tools.has("xdist") else [])):
        problems.append("Tests fail, see above: `uv run pytest`.")
    return problems


def _runs(tools: ProjectTools, *command: str) -> bool:
    """Print and run a module of the project, and return whether it succeeded."""
    typer.secho(f"\n$ {' '.join(command).replace('app.cli', 'app')}", bold=True)
    return tools.run(*command)


def _alarm(sentence: str) -> None:
    typer.secho(sentence, fg=typer.colors.RED)


def _end(sentence: str) -> NoReturn:
    typer.echo(sentence)
    raise typer.Exit(1)

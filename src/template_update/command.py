"""The command `template-update`: pull what the template has become, and say what needs a person.

In order: a clean tree, what is new, the merge, and unless something has to be resolved first, the
database, the checks and the tests.
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
        typer.Option("--check", help="Only tell what is new, and whether it would conflict; exit code 2."),
    ] = False,
    to: Annotated[
        str, typer.Option(metavar="VERSION", help="Go to this version instead of the newest.")
    ] = "",
    answers: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Change an answer, such as docker=false; the version stays."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Migrate the database without asking.")] = False,
    skip_tests: Annotated[bool, typer.Option("--skip-tests", help="Do not run the tests.")] = False,
) -> None:
    """Merge what is new in the template into the project in this folder, beside what you changed.

    The git tree has to be clean. Exit code 1: something needs a person, and a sentence says what.
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
        _end("Look at what is said above, and at `git diff --cached`, then commit.")
    typer.echo("Updated. Look at `git diff --cached`, then commit.")


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
        typer.echo("The changelog of the template says nothing of it.")
    typer.echo("")


def _show_findings(update: Update, *, applied: bool) -> bool:
    """Print what came of the merge; whether a person has to do something."""
    typer.echo(f"{len(update.result.changed)} files {'are' if applied else 'would be'} changed.")
    if difference := update.seeds_difference:
        typer.echo("\nThese are yours alone and stay as they are. In the template they have changed:\n")
        typer.echo(difference)
    findings = list(update.findings())
    for each in findings:
        _alarm(each.sentence) if each.needs_person else typer.echo(each.sentence)
    if not applied:
        typer.echo("It would conflict." if update.result.conflicts else "It would merge without a conflict.")
    return any(each.needs_person for each in findings)


def _may_migrate() -> bool:
    return sys.stdin.isatty() and typer.confirm("Migrate the database that DATABASE_URL names?", default=True)


def _follow_up(tools: ProjectTools, *, migrate: bool, has_migrations: bool, skip_tests: bool) -> list[str]:
    """Migrate, check and test with the code as it is now; a sentence for everything that went wrong."""
    problems: list[str] = []
    if migrate:
        for command in ("upgrade", "check"):
            if not problems and not _runs(tools, "app.cli", "db", command):
                problems.append(f"`uv run app db {command}` failed, see above.")
    elif has_migrations:
        problems.append("There are new migrations, which the database lacks: `uv run app db upgrade`.")
    if tools.has("ruff") and not _runs(tools, "ruff", "check", "--quiet"):
        problems.append("`uv run ruff check` finds something, see above.")
    if skip_tests:
        typer.echo("The tests were not run.")
    elif not _runs(tools, "pytest", "-q", *(["-n", "2"] if tools.has("xdist") else [])):
        problems.append("Tests fail, see above: `uv run pytest`.")
    return problems


def _runs(tools: ProjectTools, *command: str) -> bool:
    """Run a module of the project, after saying so, and return whether it succeeded."""
    typer.secho(f"\n$ {' '.join(command).replace('app.cli', 'app')}", bold=True)
    return tools.run(*command)


def _alarm(sentence: str) -> None:
    typer.secho(sentence, fg=typer.colors.RED)


def _end(sentence: str) -> NoReturn:
    typer.echo(sentence)
    raise typer.Exit(1)

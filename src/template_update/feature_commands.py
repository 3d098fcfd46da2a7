"""The `template-features` command: list, add and remove the template's features in a project."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from template_update.features import Feature
from template_update.git import UpdateError
from template_update.options import NEEDS_ATTENTION, AsJson, Diff, DryRun, Options, SkipTests, Yes
from template_update.report import Report
from template_update.run import run
from template_update.update import Update

Names = Annotated[
    list[str], typer.Argument(metavar="NAME", help="The names of the features, as listed by `app features`.")
]

cli = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="List, add and remove features of the template.",
)


def main() -> None:
    """The entry point named in pyproject.toml."""
    cli(prog_name="template-features")


@cli.command("list")
def list_features(as_json: AsJson = False) -> None:
    """List the features: which are installed, which can be added, and which others they require."""
    report = Report(Options(as_json=as_json))
    try:
        with TemporaryDirectory(prefix="template-update-") as folder:
            update = Update(Path.cwd(), Path(folder), say=lambda _: None)
            update.fetch()
            features = update.features().all
    except UpdateError as error:
        report.fail(str(error))
        report.end()
        raise typer.Exit(NEEDS_ATTENTION) from None
    report.data |= {"version": update.old, "features": [asdict(each) for each in features]}
    if not as_json:
        _print_table(features)
    report.end()


@cli.command()
def add(
    names: Names,
    dry_run: DryRun = False,
    diff: Diff = "",
    as_json: AsJson = False,
    yes: Yes = False,
    skip_tests: SkipTests = False,
) -> None:
    """Add features to the project in this folder.

    The template version stays the same. The git tree must be clean. Exit code 1 means that something needs
    your attention; see the output.
    """

    def choose(update: Update) -> None:
        update.to_answers(update.features().adding(names))

    options = Options(dry_run=dry_run, diff=diff, as_json=as_json, yes=yes, skip_tests=skip_tests)
    run(options, choose)


@cli.command()
def remove(
    names: Names,
    drop_data: Annotated[
        bool, typer.Option("--drop-data", help="Create a migration that drops the feature's tables.")
    ] = False,
    export: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Write the rows of the feature's tables to FILE (- for standard output), then do the same as"
            " --drop-data. The rows can contain secrets.",
        ),
    ] = "",
    dry_run: DryRun = False,
    diff: Diff = "",
    as_json: AsJson = False,
    yes: Yes = False,
    skip_tests: SkipTests = False,
) -> None:
    """Remove features from the project in this folder. Files that you changed are kept.

    The template version stays the same. The git tree must be clean. Exit code 1 means that something needs
    your attention; see the output.
    """

    def choose(update: Update) -> None:
        update.to_answers(update.features().removing(names))

    options = Options(
        dry_run=dry_run,
        diff=diff,
        as_json=as_json,
        yes=yes,
        skip_tests=skip_tests,
        drop_data=drop_data,
        export=export,
    )
    run(options, choose)


def _print_table(features: list[Feature]) -> None:
    rows = [(each.name, each.state, ", ".join(each.needs) or "-", each.does) for each in features]
    table = [("FEATURE", "STATE", "NEEDS", "WHAT IT DOES"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    for row in table:
        padded = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*padded, row[-1]]))

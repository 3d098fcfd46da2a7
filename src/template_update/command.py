"""The `template-update` command: merge a new version of the template and report what needs attention."""

from typing import Annotated

import typer

from template_update.git import UpdateError
from template_update.options import (
    AsJson,
    Diff,
    DossierFolder,
    DryRun,
    Options,
    Show,
    SkipTests,
    Summary,
    Yes,
)
from template_update.resume import resume
from template_update.run import run
from template_update.update import Update

cli = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point named in pyproject.toml."""
    cli(prog_name="template-update")


@cli.command()
def template_update(
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="List changes and conflicts without applying anything. Exit code 2 means that a new version"
            " exists.",
        ),
    ] = False,
    to: Annotated[
        str, typer.Option(metavar="VERSION", help="Update to this version instead of the newest.")
    ] = "",
    answers: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Change an answer, such as docker=false, but not the template version.",
        ),
    ] = None,
    dry_run: DryRun = False,
    diff: Diff = "",
    show: Show = "",
    dossier: DossierFolder = "",
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="List the unresolved conflicts from the last update. If there are none, check and test the"
            " project.",
        ),
    ] = False,
    summary: Summary = "",
    as_json: AsJson = False,
    yes: Yes = False,
    skip_tests: SkipTests = False,
) -> None:
    """Merge a new version of the template into the project in this folder.

    The git tree must be clean. Exit code 1 means that something needs your attention; see the output.
    """

    def choose(update: Update) -> None:
        if answers and to:
            raise UpdateError(
                "Use either --to or --answers, not both: --answers does not change the template version."
            )
        if answers:
            update.to_changed_answers(answers)
        else:
            update.to_version(to)

    options = Options(
        check=check,
        dry_run=dry_run,
        diff=diff,
        show=show,
        dossier=dossier,
        summary=summary,
        as_json=as_json,
        yes=yes,
        skip_tests=skip_tests,
    )
    if go_on:
        resume(options, is_alone=not (check or to or answers))
    run(options, choose)

"""The options shared by several commands."""

from dataclasses import dataclass
from typing import Annotated

import typer

NEEDS_ATTENTION = 1
INTERRUPTED = 130
SOMETHING_TO_PULL = 2
"""The exit code of `--check` if there is a newer version. This code has no other meaning."""
# By default, an invalid option also causes exit code 2, so a scheduled job could not tell an error from a new
# version.
_, _UsageError, *_ = typer.BadParameter.__mro__
setattr(_UsageError, "exit_code", NEEDS_ATTENTION)  # noqa: B010 - pyright does not know this class

STDOUT = "-"
"""The file name that means standard output."""


def _given(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    """Reject an empty value, for example from a shell variable that is not set. Otherwise, the command would
    behave as if the option had not been given.
    """
    source = context.get_parameter_source(parameter.name or "")
    if not value and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("it must not be empty.")
    return value


DryRun = Annotated[bool, typer.Option("--dry-run", help="Report what would happen, and change nothing.")]
Diff = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        callback=_given,
        help="Write the patch to FILE (- for standard output), and change nothing else.",
    ),
]
Show = Annotated[
    str,
    typer.Option(
        metavar="PATH",
        callback=_given,
        help="Print what would change in the project file PATH, and change nothing.",
    ),
]
DossierFolder = Annotated[
    str,
    typer.Option(
        "--dossier",
        metavar="FOLDER",
        callback=_given,
        help="Write a page for each conflict to FOLDER. If the update is applied, the default is"
        " .template-update.",
    ),
]
Summary = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        callback=_given,
        help="Write the result to FILE as Markdown, for a pull or merge request.",
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON to standard output, and messages to standard error.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Migrate the database without asking.")]
SkipTests = Annotated[bool, typer.Option("--skip-tests", help="Run neither pyright nor the tests.")]


@dataclass(frozen=True)
class Options:
    """The options that the user chose."""

    check: bool = False
    dry_run: bool = False
    diff: str = ""
    show: str = ""
    dossier: str = ""
    summary: str = ""
    as_json: bool = False
    yes: bool = False
    skip_tests: bool = False
    drop_data: bool = False
    export: str = ""

    @property
    def applies(self) -> bool:
        """Whether the working tree may change."""
        return not (self.check or self.dry_run or self.diff or self.show)

    @property
    def drops_tables(self) -> bool:
        """Whether to create a migration that drops the removed features' tables."""
        return self.drop_data or bool(self.export)

    @property
    def on_stdout(self) -> list[str]:
        """The chosen options that write data to standard output. Messages then go to standard error."""
        given = {
            "--json": self.as_json,
            "--diff -": self.diff == STDOUT,
            "--show": bool(self.show),
            "--export -": self.export == STDOUT,
        }
        return [option for option, is_given in given.items() if is_given]

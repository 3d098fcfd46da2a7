"""The options that several commands have."""

from dataclasses import dataclass
from typing import Annotated

import typer

STDOUT = "-"
"""As a file name: standard output."""

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say how it would go, and change nothing.")]
Diff = Annotated[
    str,
    typer.Option(
        metavar="FILE", help="Write the patch to FILE (- for standard output), and change nothing else."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print data to standard output, and sentences to standard error.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Migrate the database without asking.")]
SkipTests = Annotated[bool, typer.Option("--skip-tests", help="Do not run the tests.")]


@dataclass(frozen=True)
class Options:
    """What the user has chosen."""

    check: bool = False
    dry_run: bool = False
    diff: str = ""
    as_json: bool = False
    yes: bool = False
    skip_tests: bool = False
    drop_data: bool = False

    @property
    def applies(self) -> bool:
        """Whether the working tree may change."""
        return not (self.check or self.dry_run or self.diff)

    @property
    def writes_to_stdout(self) -> bool:
        """Whether standard output is for programs."""
        return self.as_json or self.diff == STDOUT

"""Exports a feature's tables before they are dropped."""

import os
from collections.abc import Sequence
from pathlib import Path

from template_update.git import Git, UpdateError
from template_update.options import STDOUT
from template_update.project import ProjectTools

_NOT_IGNORED = 1
"""The exit code of `git check-ignore` for a file that is not ignored. Outside a repository, the code is
different.
"""


def require_place(file: str) -> None:
    """Reject an export path that would overwrite something or could be committed to git.

    Raises:
        UpdateError: *file* exists, cannot be written, or is in a repository that does not ignore it.
    """
    if file == STDOUT:
        return
    path = Path(file)
    if os.path.lexists(path):
        raise UpdateError(
            f"{file} already exists, and an export does not overwrite files. Choose another file for"
            " --export."
        )
    if not (os.path.isdir(path.parent) and os.access(path.parent, os.W_OK | os.X_OK)):
        raise UpdateError(f"{path.parent} is not a folder that you can write to. Choose another one.")
    if Git(path.parent).run("check-ignore", "--quiet", "--", path.name).returncode == _NOT_IGNORED:
        raise UpdateError(
            f"Git would commit {file}, which can contain secrets. Choose a folder outside the repository for"
            " --export, or one that git ignores."
        )


def write(tools: ProjectTools, tables: Sequence[str], file: str) -> str:
    """Export *tables* to *file*. Returns a message for the user.

    Raises:
        UpdateError: the project's export command failed.
    """
    if not tables:
        return "There are no tables to export."
    run = tools.pass_on if file == STDOUT else tools.output
    try:
        run("app.cli", "db", "export", *tables, "--output", file)
    except UpdateError as error:
        raise UpdateError(f"The export failed, so nothing was removed.\n{error}{_advice(error)}") from None
    return f"Exported {', '.join(tables)} to {named(file)}. It can contain secrets: keep it out of git."


def named(file: str) -> str:
    """The name of *file* in messages."""
    return "standard output" if file == STDOUT else file


def _advice(error: UpdateError) -> str:
    if "No such command" in str(error):
        return "\nThe project is too old for --export. Update it first: `uv run app template-update`."
    return ""

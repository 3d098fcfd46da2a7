"""`app template-update`, `features`, `add` and `remove`: run the template's update tool. Template-owned.

The tool is not part of this project. uv runs it from the template's repository, at the target version. Each
version is therefore merged by its own tool, and bugs in older tools do no harm.
"""

import os
import re
import shutil
import signal
import subprocess  # nosec B404 - git and uv are commands
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand

from app.cli.common import INVOCATION_DIR, PROJECT, fail

ANSWERS_FILE = ".copier-answers.yml"
_AS_URL = {
    r"^git\+": "",
    r"^gh:/*": "https://github.com/",
    r"^gl:/*": "https://gitlab.com/",
    r"^([\w.-]+@[\w.-]+):/*": r"ssh://\1/",
}
"""URL notations that Copier and git understand but uv does not."""


Names = Annotated[
    list[str], typer.Argument(metavar="NAME", help="The features, as `app features` lists them.")
]
Diff = Annotated[
    str,
    typer.Option(
        metavar="FILE", help="Write the patch to FILE (- for standard output), and change nothing else."
    ),
]
Export = Annotated[
    str,
    typer.Option(
        metavar="FILE",
        help="Write the rows of the feature's tables to FILE (- for standard output), then do the same as"
        " --drop-data. The rows can contain secrets.",
    ),
]


_WRONG_USAGE = 2
"""Typer's exit code for wrong usage and uv's for errors. With `--check`, the tool uses it to report a new
version."""


class CommandOfTheTool(TyperCommand):
    """A command that exits with code 1 instead of 2 if an option is invalid."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments as Typer does, but exit with 1 if any are wrong or empty. An empty value may
        come from a shell variable that is not set.
        """
        try:
            if any(re.fullmatch(r"(--[\w-]+=)?", each) for each in args):
                raise typer.BadParameter("An option or argument is empty.")
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "exit_code", 0) == _WRONG_USAGE:
                error.exit_code = 1  # pyright: ignore[reportAttributeAccessIssue]
            raise


def template_update(
    context: typer.Context,
    to: Annotated[
        str, typer.Option(metavar="VERSION", help="Update to this version instead of the newest.")
    ] = "",
    diff: Diff = "",
    dossier: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Write a page for each conflict to FOLDER. The default is .template-update, if the update is"
            " applied.",
        ),
    ] = "",
    summary: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="Write the result to FILE as Markdown, for a pull or merge request."
        ),
    ] = "",
) -> None:
    """Merge a new version of the template into this project, alongside your changes.

    The git tree must be clean. Exit code 1 means that something needs your attention; see the output.

    More options, which the template's update tool accepts:
    --check only reports what is new and whether it would conflict (exit code 2 means a new version);
    --dry-run reports what the update would do, exits with the update's exit code, and changes nothing;
    --show PATH prints what would change in one file of the project, and changes nothing;
    --continue lists the remaining conflicts, and checks and tests the project if there are none;
    --json prints data to standard output, and messages to standard error;
    --answers NAME=VALUE changes an answer, such as docker=false, but not the template version;
    --yes migrates the database without asking;
    --skip-tests runs neither pyright nor the tests.
    """
    versions = ["--to", to] if to else []
    files = [
        *_file_option("--diff", diff),
        *_file_option("--dossier", dossier),
        *_file_option("--summary", summary),
    ]
    _run("template-update", *versions, *context.args, *files, version=to)


def features(context: typer.Context) -> None:
    """List the template's features: which are installed, which could be added, and what they need.

    The template's update tool also accepts --json, which prints the list as JSON.
    """
    _run("template-features", "list", *context.args)


def add(context: typer.Context, names: Names, diff: Diff = "") -> None:
    """Add template features to this project, alongside your changes.

    The template version stays the same. The git tree must be clean. Exit code 1 means that something needs
    your attention; see the output.

    More options, which the template's update tool accepts:
    --dry-run reports what would happen, and changes nothing;
    --json prints data to standard output, and messages to standard error;
    --yes migrates the database without asking;
    --skip-tests runs neither pyright nor the tests.
    """
    _run("template-features", "add", *names, *context.args, *_file_option("--diff", diff))


def remove(context: typer.Context, names: Names, export: Export = "", diff: Diff = "") -> None:
    """Remove template features from this project. Files that you changed are kept.

    The template version stays the same. The git tree must be clean. Exit code 1 means that something needs
    your attention; see the output.

    More options, which the template's update tool accepts:
    --drop-data creates a migration that drops the feature's tables (so does --export);
    --dry-run reports what would happen, and changes nothing;
    --json prints data to standard output, and messages to standard error;
    --yes migrates the database without asking;
    --skip-tests runs neither pyright nor the tests.
    """
    files = [*_file_option("--export", export), *_file_option("--diff", diff)]
    _run("template-features", "remove", *names, *context.args, *files)


def _file_option(name: str, file: str) -> list[str]:
    """The option *name* with an absolute path, which does not depend on the current directory."""
    return [name, file if file == "-" else str(INVOCATION_DIR / file)] if file else []


def _run(*command: str, version: str = "") -> NoReturn:
    """Run a command of the update tool at *version*, or at the newest version, and exit with the command's
    exit code."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None or shutil.which("git") is None:
        fail("This command needs git and uv. If uv is missing, run `pip install uv`.")
    repository = _repository()
    found = _version(repository, version)
    source = f"git+{repository}@{found}" if found else f"git+{repository}"
    run = [uv, "tool", "run", "--from", source]
    # The tool also receives Ctrl+C and decides what to interrupt. This process waits for the tool.
    signal.signal(signal.SIGINT, _go_on)
    done = subprocess.run(  # nosec B603 # noqa: S603 - no shell
        [*run, *command], cwd=PROJECT, check=False
    )
    if done.returncode == _WRONG_USAGE and not _can_run([*run, command[0], "--help"]):
        # This exit code comes from uv, which could not install the tool.
        raise typer.Exit(1)
    # If a signal terminated the process, the return code is the negative signal number. A shell reports 128
    # plus the number.
    raise typer.Exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)


def _can_run(command: list[str]) -> bool:
    done = subprocess.run(  # nosec B603 # noqa: S603 - no shell
        command, capture_output=True, check=False
    )
    return done.returncode == 0


def _go_on(number: int, frame: object) -> None:
    """Handle a signal by doing nothing."""


def _repository() -> str:
    """The URL of the template's repository."""
    try:
        import yaml
    except ImportError:
        fail("PyYAML is missing. It is one of the development tools: `uv sync` installs them.")
    try:
        url = str(yaml.safe_load((PROJECT / ANSWERS_FILE).read_text("utf-8"))["_src_path"])
        for written, meant in _AS_URL.items():
            url = re.sub(written, meant, url)
        return url if "://" in url else Path(url).expanduser().as_uri()
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        fail(
            f"{ANSWERS_FILE} does not say where the template is. Restore the file from git, or add the"
            " template's URL or absolute path as _src_path, and commit."
        )


def _without_credentials(text: str) -> str:
    """*text* without the user names and passwords in its URLs, because CI logs can be public."""
    return re.sub(r"(https?://)[^/\s\"']+@", r"\1", text)


def _version(repository: str, to: str) -> str:
    """The tag or commit that *to* names, or the newest release if *to* is empty. Returns an empty string for
    the newest commit."""
    command = ["git", "ls-remote", "--tags", "--refs", "--", repository]
    done = subprocess.run(  # nosec B603 # noqa: S603 - no shell
        command, capture_output=True, encoding="utf-8", check=False
    )
    shown = _without_credentials(repository)
    if cure := re.search(r"git config --global --add safe\.directory .+", done.stderr):
        fail(
            f"The template in {shown} belongs to another user, so git refuses to read it. If you trust"
            f" it, run `{cure[0]}`."
        )
    if done.returncode != 0:
        fail(
            f"The template cannot be fetched from {shown}: {_without_credentials(done.stderr.strip())}\n"
            f"If it has moved, write its new URL or path into {ANSWERS_FILE} as _src_path, and commit."
        )
    tags = re.findall(r"refs/tags/(.+)$", done.stdout, re.MULTILINE)
    if to:
        commits = re.findall(r"^[0-9a-f]{7,40}$", to)
        named = [tag for tag in tags if tag.removeprefix("v") == to.removeprefix("v")]
        return next(iter(named + commits), "")
    releases = [tag for tag in tags if re.fullmatch(r"v?\d+(\.\d+)*", tag)]
    return max(releases, key=lambda tag: [int(part) for part in re.findall(r"\d+", tag)], default="")

"""The dossier: a folder with one page for each conflict in an update, to work through in order.

Each page contains what a person or a coding agent needs: the three versions, what the template's changelog
says, and the tests that must pass afterwards. `README.md` is the index. The dossier's content comes from
commits in the project and the template, so it contains no secrets that are not already in git.
"""

import json
import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from shlex import join, quote
from typing import Any

from template_update import revisions
from template_update.conflicts import Conflict, Place, places
from template_update.git import UpdateError

FOLDER = ".template-update"
"""The dossier's folder, unless `--dossier` specifies a different one."""
CONTINUE = "app template-update --continue"
_STATE = "state.json"
_INDEX = "README.md"
_IGNORES_ALL = "*\n"


@dataclass
class Dossier:
    """The content of a dossier, apart from its conflict pages."""

    old: str
    new: str
    """The template's versions."""
    conflicts: list[Conflict] = field(default_factory=list[Conflict])
    review: list[str] = field(default_factory=list[str])
    """Messages about everything else that needs a person's attention."""
    answers: dict[str, Any] = field(default_factory=dict[str, Any])
    """The answers that the update changes."""
    dropped: list[str] = field(default_factory=list[str])
    """The migration folders whose tables will be dropped once the conflicts are resolved."""

    @classmethod
    def read(cls, folder: Path) -> "Dossier | None":
        """The dossier in *folder*, or None if there is none."""
        try:
            state = json.loads((folder / _STATE).read_text("utf-8"))
            conflicts = [Conflict(**each) for each in state.pop("conflicts")]
            return cls(**state, conflicts=conflicts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            # The file was edited, or a different version of this tool wrote it in a different format.
            raise UpdateError(
                f"{folder.name}/{_STATE} cannot be read. Delete the folder {folder.name} and repeat the"
                " command, which also works without it."
            ) from None

    def write(self, folder: Path, sides: Sequence[Sequence[bytes | None]]) -> None:
        """Write the folder from scratch. *sides* contains the versions of each conflicting file: yours, the
        template's old one and its new one.

        Raises:
            UpdateError: the folder cannot be written, or contains files that do not belong to a dossier.
        """
        require_place(folder)
        try:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            # This file hides the folder from git, wherever the folder is.
            (folder / ".gitignore").write_text(_IGNORES_ALL, "utf-8")
            # Write this before the pages. If writing is interrupted, the next update recognizes the folder
            # and replaces it.
            (folder / _STATE).write_text(json.dumps(asdict(self), indent=2), "utf-8")
            for number, (conflict, versions) in enumerate(zip(self.conflicts, sides, strict=True), 1):
                self._write_page(folder, number, conflict, versions)
            self.write_index(folder, [each.path for each in self.conflicts])
        except OSError as error:
            raise UpdateError(f"The dossier cannot be written to {folder}: {error.strerror}.") from None

    def write_index(self, folder: Path, open_paths: Collection[str]) -> None:
        """Write the index. *open_paths* are the files whose conflicts are not resolved yet."""
        left = sum(each.path in open_paths for each in self.conflicts)
        lines = [
            f"# {self._title}",
            "",
            f"{left} of {len(self.conflicts)} {_conflicts(len(self.conflicts))} left."
            " Work through them one by one. Each page ends with the commands to run.",
            "",
        ]
        for number, conflict in enumerate(self.conflicts, 1):
            mark = " " if conflict.path in open_paths else "x"
            lines.append(f"- [{mark}] [{conflict.path}]({_page(number, conflict)}): {conflict.reason}.")
        if self.review:
            lines += ["", "## Review", "", "These changes merged, but they need human review:", ""]
            lines += [f"- {sentence}" for sentence in self.review]
        lines += [
            "",
            "## Commands",
            "",
            "This command lists what is left, updates this page, and runs the checks and tests once nothing"
            " is left:",
            "",
            *_fenced(f"uv run {CONTINUE}", "sh"),
            "",
            *self._migration,
            "If a conflict keeps the command from starting, `git diff --check` lists the conflict markers"
            " that are left.",
            "",
            "The update is done when this command exits with 0. The command then deletes this folder, and you"
            " can commit. To undo the whole update instead: `git reset --hard`.",
        ]
        (folder / _INDEX).write_text("\n".join(lines) + "\n", "utf-8", errors="replace")

    @property
    def _migration(self) -> list[str]:
        if not self.dropped:
            return []
        message = revisions.drop_message(self.dropped)
        return [f'Once nothing is left, it also creates the migration "{message}".', ""]

    @property
    def _title(self) -> str:
        if self.old == self.new:
            return f"Changed answers, template {self.new}"
        return f"Template update from {self.old} to {self.new}"

    def _write_page(
        self, folder: Path, number: int, conflict: Conflict, versions: Sequence[bytes | None]
    ) -> None:
        names = ("Yours", f"Template {self.old}", f"Template {self.new}")
        if self.old == self.new:
            names = ("Yours", "Template, with the old answers", "Template, with the new answers")
        files: list[Path | None] = []
        for name, content in zip(("yours", "old", "new"), versions, strict=True):
            file = folder / str(number) / f"{name}{PurePosixPath(conflict.path).suffix}"
            if content is not None:
                file.parent.mkdir(exist_ok=True)
                file.write_bytes(content)
            files.append(file if content is not None else None)
        lines = [
            f"# {number}. {conflict.path}",
            "",
            f"{conflict.reason[:1].upper()}{conflict.reason[1:]}.",
            "",
        ]
        for name, file in zip(names, files, strict=True):
            there = f"[`{number}/{file.name}`]({number}/{file.name})" if file else "there is no such file"
            lines.append(f"- {name}: {there}")
        lines += ["", "## What the changelog says", ""]
        if self.old == self.new:
            lines.append("The version stays the same, so there is no entry.")
        else:
            lines += conflict.changelog or ["The template's changelog does not mention this file."]
        found = places(files)
        for position, place in enumerate(found, 1):
            lines += ["", f"## Place {position} of {len(found)}", ""]
            lines += _sides(names, place)
        done = "The file has no conflict markers (`<<<<<<<`), and these commands succeed:"
        lines += ["", "## Done when", "", done, ""]
        lines += _fenced(f"git add {quote(conflict.path)}\n{running(conflict.tests)}", "sh")
        page = folder / _page(number, conflict)
        page.write_text("\n".join(lines) + "\n", "utf-8", errors="replace")


def require_place(folder: Path) -> None:
    """Reject a folder with files that do not belong to a dossier, because a new dossier replaces the folder.

    Raises:
        UpdateError: the folder contains such files.
    """
    if folder.is_dir() and any(folder.iterdir()) and not _is_dossier(folder):
        raise UpdateError(
            f"{folder} is not empty and does not contain a dossier. Choose another folder for --dossier."
        )


def remove(folder: Path) -> None:
    """Remove the dossier in *folder*, if there is one."""
    if _is_dossier(folder):
        shutil.rmtree(folder, ignore_errors=True)


def _is_dossier(folder: Path) -> bool:
    """Whether this tool created *folder*. Other folders can also contain a `state.json`."""
    try:
        return (folder / _STATE).is_file() and (folder / ".gitignore").read_text("utf-8") == _IGNORES_ALL
    except (OSError, UnicodeDecodeError):
        return False


def running(tests: Iterable[str]) -> str:
    """The command that runs *tests*."""
    chosen = list(tests)
    return "uv run pytest" if chosen == ["tests"] else f"uv run {join(['pytest', *chosen])}"


def _conflicts(number: int) -> str:
    return "conflict is" if number == 1 else "conflicts are"


def _page(number: int, conflict: Conflict) -> str:
    """The file name for a conflict's page. The name starts with *number*."""
    safe = "".join(each if each.isalnum() or each in "._-" else "-" for each in conflict.path)
    return f"{number}-{safe}.md"


def _sides(names: Sequence[str], place: Place) -> Iterable[str]:
    for name, text in zip(names, (place.yours, place.old, place.new), strict=True):
        yield f"{name}:"
        yield ""
        yield from _fenced(text or "(nothing)")
        yield ""


def _fenced(text: str, kind: str = "") -> list[str]:
    """*text* as a Markdown code block, whatever characters it contains."""
    fence = "```"
    while fence in text:
        fence += "`"
    return [f"{fence}{kind}", text.replace("\r\n", "\n").rstrip("\n"), fence]

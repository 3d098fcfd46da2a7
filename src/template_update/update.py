"""One update: what to merge, the merge, and what to report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from template_update.changelog import News, news_between
from template_update.formatting import format_alike
from template_update.git import UpdateError
from template_update.merge import Merge, Merger
from template_update.template import Answers, Template

RUNS = ("app/", "migrations/")
"""Folders that the application runs. A change that is missing there may be a fix."""
EXAMPLE = "example"


@dataclass(frozen=True)
class Finding:
    """A message about a file."""

    sentence: str
    needs_person: bool = True


class Update:
    """Call `choose`, `merge` and `apply`, in this order. Only `apply` changes the working tree."""

    result: Merge
    seeds_difference: str
    """What the template changed in files that no update touches, as a patch."""

    def __init__(self, project: Path, folder: Path, say: Callable[[str], None]) -> None:
        """Read *project*. *folder* is for temporary files, and *say* gets a line about each long step.

        Raises:
            UpdateError: the project cannot be updated.
        """
        self._project = project
        self._answers = Answers(project)
        self.merger = Merger(project)
        self._folder = folder
        self._say = say
        self.old = self.new = self._answers.version
        self.data = dict(self._answers.data)

    def choose(self, to: str, changes: list[str]) -> None:
        """Fetch the template and choose the version (*to*, or the newest) or the answers to update to.

        Raises:
            UpdateError: the version or the answer does not exist.
        """
        if to and changes:
            raise UpdateError("Give either --to or --answers: changing an answer keeps the version.")
        self._say(f"Fetching the template from {self._answers.source} ...")
        self._template = Template(self._answers, self._folder)
        self.old = self.new = self._template.find(self.old)
        self.why_not = "there is no newer version"
        if changes:
            self._change(changes)
            self.is_needed = self.data != self._answers.data
            self.why_not = "it already has these answers"
            return
        self.new = self._template.find(to) if to else self._template.newest()
        self.is_needed = not self._template.contains(self.old, self.new)
        if to and not self.is_needed and not self._template.contains(self.new, self.old):
            raise UpdateError(f"This project is at {self.old}, which is newer than {to}. Use git to go back.")

    def news(self) -> list[News]:
        """The changelog from the old version to the new one, newest first."""
        return news_between(self._template.text(self.new, "CHANGELOG.md"), self.old, self.new)

    def merge(self) -> None:
        """Render both versions and merge their difference, only in git's object database."""
        self._say(f"Rendering {self.old} and {self.new} ..." if self.old != self.new else "Rendering ...")
        old, new = self._template.render((self.old, self._answers.data), (self.new, self.data))
        known, current = (self._template.copied_once(each) for each in (self.old, self.new))
        brought = [path for path in current if path not in known and not (old / path).exists()]
        self._say("Merging ...")
        format_alike(self._project, old, new)
        yours = sorted({*known, *current})
        self.result = self.merger.merge(old, new, yours=yours, brought=brought)
        self.seeds_difference = self.merger.difference(
            old, new, [path for path in yours if path not in brought]
        )

    def apply(self) -> None:
        """Change the working tree. `git commit` keeps the change and `git reset --hard` undoes it."""
        self.merger.apply(self.result)

    @property
    def has_migrations(self) -> bool:
        """Whether the merge adds migrations."""
        return any("migrations/" in path for path in self.result.changed)

    def findings(self) -> Iterator[Finding]:
        """A message for each file that needs attention."""
        shown = f"git diff {self.result.old[:12]} {self.result.new[:12]} --"
        for path, message in self.result.conflicts.items():
            yield Finding(f"{path}: {message}. Resolve it, then: git add {path}")
        for source, target in self.result.moved.items():
            yield Finding(
                f"{source}: the template changed this file and you moved it to {target}. The change was"
                f" merged there. Review it: `git diff --cached -- {target}`."
            )
        for path in self.result.missed:
            runs = self.merger.inside(path).startswith(RUNS)
            advice = "Your code may need the same change" if runs else "To see the change"
            yield Finding(
                f"{path}: the template changed this file and you deleted or moved it. {advice}:"
                f" `{shown} {path}`.",
                runs,
            )
        for path in self.result.kept:
            yield Finding(f"{path}: the template removed this file and you changed it. Delete it or keep it.")

    def _change(self, changes: list[str]) -> None:
        questions = self._template.questions(self.old)
        for change in changes:
            name, equals, value = change.partition("=")
            if not equals or name not in questions:
                raise UpdateError(
                    f"{change}: is not an answer. Write NAME=VALUE. The names are {', '.join(questions)}."
                )
            if name == EXAMPLE:
                raise UpdateError(
                    "The example is copied only once and belongs to you. Delete it if you like."
                )
            self.data[name] = value if questions[name].get("type") == "str" else _flag(name, value)


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise UpdateError(f"{name} must be true or false, not {value}.")
    return value == "true"

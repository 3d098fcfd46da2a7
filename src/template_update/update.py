"""One update: what is to be merged, the merge, and what has to be said of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from template_update.changelog import News, news_between
from template_update.formatting import format_alike
from template_update.git import UpdateError
from template_update.merge import Merge, Merger
from template_update.template import Answers, Template

RUNS = ("app/", "migrations/")
"""Where the code is that the application runs: a fix that does not arrive there is nothing to pass over."""
EXAMPLE = "example"


@dataclass(frozen=True)
class Finding:
    """Something to say of a file."""

    sentence: str
    needs_person: bool = True


class Update:
    """From `choose` over `merge` to `apply`, in this order; the tree is not touched before the last."""

    result: Merge
    seeds_difference: str
    """What the template changed in files that no update touches, as a patch."""

    def __init__(self, project: Path, folder: Path, say: Callable[[str], None]) -> None:
        """Look at *project*; *folder* is for temporary files, *say* gets a line about each long step.

        Raises:
            UpdateError: it cannot be updated.
        """
        self._project = project
        self._answers = Answers(project)
        self.merger = Merger(project)
        self._folder = folder
        self._say = say
        self.old = self.new = self._answers.version
        self.data = dict(self._answers.data)

    def choose(self, to: str, changes: list[str]) -> None:
        """Fetch the template and settle the version (*to*, or the newest) or the answers to go to.

        Raises:
            UpdateError: there is no such version, or no such answer.
        """
        if to and changes:
            raise UpdateError(
                "Give either --to or --answers: changing an answer leaves the version as it is."
            )
        self._say(f"Fetching the template from {self._answers.source} ...")
        self._template = Template(self._answers, self._folder)
        self.old = self.new = self._template.find(self.old)
        self.why_not = "there is no newer version"
        if changes:
            self._change(changes)
            self.is_needed = self.data != self._answers.data
            self.why_not = "its answers are these already"
            return
        self.new = self._template.find(to) if to else self._template.newest()
        self.is_needed = not self._template.contains(self.old, self.new)
        if to and not self.is_needed and not self._template.contains(self.new, self.old):
            raise UpdateError(
                f"This project is at {self.old}, which is newer than {to}. Going back is for git."
            )

    def news(self) -> list[News]:
        """What the changelog says of the way from the old version to the new one, newest first."""
        return news_between(self._template.text(self.new, "CHANGELOG.md"), self.old, self.new)

    def merge(self) -> None:
        """Render both versions and merge what lies between them, in git's storage alone."""
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
        """Change the working tree, for `git commit` to keep or `git reset --hard` to undo."""
        self.merger.apply(self.result)

    @property
    def has_migrations(self) -> bool:
        """Whether the merge brings any."""
        return any("migrations/" in path for path in self.result.changed)

    def findings(self) -> Iterator[Finding]:
        """A sentence for every file with which not all is as a person would expect."""
        shown = f"git diff {self.result.old[:12]} {self.result.new[:12]} --"
        for path, message in self.result.conflicts.items():
            yield Finding(f"{path}: {message}. Resolve it, then: git add {path}")
        for source, target in self.result.moved.items():
            yield Finding(
                f"{source}: the template has changed it, and you moved it to {target}. The change was merged"
                f" there; see whether it is right: `git diff --cached -- {target}`."
            )
        for path in self.result.missed:
            runs = self.merger.inside(path).startswith(RUNS)
            advice = "See whether your code needs the same" if runs else "The change, if you want to know"
            yield Finding(
                f"{path}: the template has changed it, and you deleted or moved it. {advice}:"
                f" `{shown} {path}`.",
                runs,
            )
        for path in self.result.kept:
            yield Finding(f"{path}: the template has it no more, and you changed it. Delete it, or keep it.")

    def _change(self, changes: list[str]) -> None:
        questions = self._template.questions(self.old)
        for change in changes:
            name, equals, value = change.partition("=")
            if not equals or name not in questions:
                raise UpdateError(
                    f"{change}: is no answer. Write NAME=VALUE; there are {', '.join(questions)}."
                )
            if name == EXAMPLE:
                raise UpdateError(
                    "The example is copied once: what there is of it is yours, delete it if you like."
                )
            self.data[name] = value if questions[name].get("type") == "str" else _flag(name, value)


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise UpdateError(f"{name} is true or false, not {value}.")
    return value == "true"

"""One update: what to merge, the merge, and what to report."""

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

from template_update.changelog import News, news_between, version_of
from template_update.conflicts import Conflict, entries_about, first_marker
from template_update.features import FEATURES_FILE, Features
from template_update.findings import Finding
from template_update.formatting import format_alike
from template_update.git import UpdateError
from template_update.line_endings import end_lines_alike
from template_update.losses import losses
from template_update.merge import Merge, Merger
from template_update.misplaced import misplaced
from template_update.related_tests import related_tests
from template_update.rendering import ANSWERS_FILE
from template_update.repository import Repository
from template_update.returned import returned
from template_update.review import unnoticed
from template_update.template import Answers, Template

RUNS = ("app/", "migrations/")
"""Folders with the code that the application runs. A template change that is missing there may be a fix."""
EXAMPLE = "example"


@dataclass(frozen=True)
class _LastUpdate:
    """The commit that brought the project to its current version."""

    commit: str
    parent: str
    old: str
    """The version before the update."""
    before: dict[str, Any]
    after: dict[str, Any]
    """The answers before and after the update."""


class Update:
    """Call `fetch`, one of the `to_…` methods, `render`, `merge` and `apply`, in that order.

    Only `apply` changes the working tree.
    """

    result: Merge
    seeds_difference: str
    """The template's changes to files that no update touches, as a patch."""
    lost_migrations: list[str]
    """Migration folders that are removed with a feature, such as app/totp/migrations."""
    gained_migrations: list[str]
    """Migration folders that come with an added feature."""
    repaired: list[str]
    """Files in which `copier update` lost a change that is now merged."""
    lost: list[str]
    """Files in which `copier update` lost a change that the user must merge."""

    def __init__(self, project: Path, folder: Path, say: Callable[[str], None]) -> None:
        """Read *project*. *folder* is for temporary files, and *say* is called with a message about each long
        step.

        Raises:
            UpdateError: the project has no valid answers file, or git cannot use its repository.
        """
        self._project = project
        self._answers = Answers.read(project)
        self.repository = Repository(project)
        self.merger = Merger(self.repository, folder)
        self._folder = folder
        self._say = say
        self.old = self.new = self._answers.version
        self.data = dict(self._answers.data)
        self.is_needed = False
        self.why_not = "there is no newer version"
        self.repaired: list[str] = []
        self.lost: list[str] = []
        self._onto = ""
        self._last: _LastUpdate | None = None
        self._files_of_result: set[str] | None = None

    def fetch(self) -> None:
        """Fetch the template, and find the version that the project uses.

        Raises:
            UpdateError: the template cannot be fetched, or does not have this version.
        """
        self._say(f"Fetching the template from {self._answers.source} ...")
        self._template = Template(self._answers, self._folder)
        self.old = self.new = self._template.find(self.old)

    def features(self) -> Features:
        """The features of the template version that the project uses.

        Raises:
            UpdateError: this version has no features.
        """
        questions = self._template.questions(self.old)
        defaults = {name: question.get("default") for name, question in questions.items()}
        return Features(self._template.text(self.old, FEATURES_FILE), defaults | self._answers.data)

    def to_version(self, name: str) -> None:
        """Choose the version *name*, or the newest version if *name* is empty.

        Raises:
            UpdateError: the version does not exist or is older than the project's, or the newest version
                cannot be compared with the project's.
        """
        self.new = self._template.find(name) if name else self._template.newest()
        self.is_needed = not self._template.contains(self.old, self.new)
        if name and not self.is_needed and not self._template.contains(self.new, self.old):
            raise UpdateError(
                f"This project is at {self.old}, which is newer than {name}. Use git to go back."
            )
        if not name and self.is_needed and not self._template.contains(self.new, self.old):
            self.is_needed = self._is_greater()
        if not self.is_needed:
            self.new = self.old

    def _is_greater(self) -> bool:
        """Whether the new version is greater, even though it does not contain the old one.

        Raises:
            UpdateError: one of the two versions is not a version number.
        """
        old, new = version_of(self.old), version_of(self.new)
        if old is None or new is None:
            raise UpdateError(
                f"The newest version is {self.new}, but it does not contain this project's version,"
                f" {self.old}. To merge it anyway: `uv run app template-update --to {self.new}`."
            )
        return new > old

    def to_answers(self, answers: dict[str, Any]) -> None:
        """Choose different answers and keep the version."""
        self.data |= answers
        self.is_needed = self.data != self._answers.data
        self.why_not = "it already has these answers"

    def to_changed_answers(self, changes: list[str]) -> None:
        """Choose the answers in *changes*, each in the form NAME=VALUE, and keep the version.

        Raises:
            UpdateError: a question does not exist, or its answer cannot be changed to this value.
        """
        questions = self._template.questions(self.old)
        answers: dict[str, Any] = {}
        for change in changes:
            name, equals, value = change.partition("=")
            if not equals or name not in questions:
                raise UpdateError(
                    f"{change} is not an answer. Write NAME=VALUE. The names are {', '.join(questions)}."
                )
            if name == EXAMPLE:
                raise UpdateError(
                    "The example is copied only once and belongs to you. Delete it if you like."
                )
            answers[name] = value if questions[name].get("type") == "str" else _flag(name, value)
        self.to_answers(answers)

    def changed_answers(self) -> dict[str, Any]:
        """The answers that the update changes."""
        before = self._answers.data
        return {name: value for name, value in self.data.items() if before.get(name) != value}

    def news(self) -> list[News]:
        """The changelog from the old version to the new one, newest first."""
        return news_between(self._template.text(self.new, "CHANGELOG.md"), self.old, self.new)

    def render(self) -> None:
        """Render the project from the old and the new version of the template, and look for changes that the
        last update lost.

        Raises:
            UpdateError: Copier rejects an answer or fails to render a version.
        """
        last = self._last_update()
        if not (self.is_needed or last):
            return
        wanted = [(self.old, self._answers.data), (self.new, self.data)]
        self._say(f"Rendering {self.old} and {self.new} ..." if self.old != self.new else "Rendering ...")
        also = [(last.old, last.before), (self.old, last.after)] if last else []
        try:
            renders = self._template.render(*wanted, *also)
        except UpdateError:
            if not last:
                raise
            # If the old version can no longer be rendered, skip the comparison.
            last, renders = None, self._template.render(*wanted)
        format_alike(self.repository, renders, self._say)
        end_lines_alike(self.repository, renders)
        self._renders = renders[:2]
        before, after = (_migrations_of(each) for each in self._renders)
        self.lost_migrations = sorted({folder for name, folder in before.items() if name not in after})
        self.gained_migrations = sorted({*after.values()} - {*before.values()})
        self._last = last
        if last:
            self._find_losses(last, *renders[2:])

    def _last_update(self) -> "_LastUpdate | None":
        """The update that brought the project to its current version, if git has it. None for a downgrade."""
        commits = self.repository.last_change_of_version()
        if not commits or self.repository.was_offered(commits[0]):
            return None
        try:
            after, before = (Answers(self.repository.text(commit, ANSWERS_FILE)) for commit in commits)
            old = self._template.find(before.version)
            known = self._template.find(after.version) == self.old and self._template.contains(self.old, old)
        except UpdateError:
            return None
        return _LastUpdate(*commits, old, before.data, after.data) if known and old != self.old else None

    def _find_losses(self, last: "_LastUpdate", old: Path, new: Path) -> None:
        """Compare the last update with what this tool would have merged, and merge what was lost."""
        before, after = (self.merger.tree(commit) for commit in (last.parent, last.commit))
        self.merger.fetch(after)
        yours, brought = self._copied_once(last.old, self.old, old)
        merge = self.merger.merge(old, new, before, yours=yours, brought=brought)
        if paths := list(losses(self.merger, merge, before, after)):
            self._onto, self.lost = self.merger.repair(after, merge.result, paths)
            self.repaired = self.merger.changes(self.merger.tree("HEAD"), self._onto)
            self._shown_losses = f"git diff {after[:12]} {merge.result[:12]} --"

    def _copied_once(self, old: str, new: str, render: Path) -> tuple[list[str], list[str]]:
        """The paths that updates never change, and those among them that *new* introduces."""
        known, current = (self._template.copied_once(each) for each in (old, new))
        brought = [path for path in current if path not in known and not (render / path).exists()]
        return sorted({*known, *current}), brought

    def merge(self, keep: Iterable[str] = ()) -> None:
        """Merge the difference between the two renders. Only git's object database changes.

        The paths in *keep* stay as they are.
        """
        old, new = self._renders
        self._say("Merging ...")
        yours, brought = self._copied_once(self.old, self.new, old)
        self.result = self.merger.merge(old, new, self._onto, yours=sorted({*yours, *keep}), brought=brought)
        shown = [path for path in yours if path not in brought and path not in keep]
        difference = self.merger.difference(old, new, shown)
        # The README links to the template's documentation. Replace the path of the temporary clone in these
        # links.
        self.seeds_difference = difference.replace(str(self._folder / "template"), self._answers.source)

    def patch(self) -> str:
        """The changes that `apply` would make, as a patch for `git apply`."""
        return self.merger.patch(self.result)

    def apply(self) -> None:
        """Change the working tree. `git commit` keeps the change and `git reset --hard` undoes it."""
        self.merger.apply(self.result)
        if self._last and (self.repaired or self.lost):
            self.repository.note_offer(self._last.commit)

    @property
    def has_migrations(self) -> bool:
        """Whether the merge adds migrations."""
        return any("migrations/" in path for path in self.result.added)

    def findings(self) -> Iterator[Finding]:
        """A message for each file that needs attention."""
        where = self.repository.inside
        shown = f"git diff {self.result.old[:12]} {self.result.new[:12]} --"
        for found, message in self.result.conflicts.items():
            path, command = where(found), f"git add {quote(where(found))}"
            sentence = f"{path}: {message}. Resolve it, then: `{command}`."
            line = self._line_of_conflict(found)
            yield Finding("conflicts", path, sentence, line=line, command=command)
        for source, target in self.result.moved.items():
            if target not in self.result.changed:
                continue
            command = f"git diff --cached -- {quote(where(target))}"
            yield Finding(
                "moved",
                where(source),
                f"{where(source)}: the template changed this file and you moved it to {where(target)}."
                f" The change was merged there. Review it: `{command}`.",
                command=command,
            )
        for path in map(where, self.result.missed):
            runs = path.startswith(RUNS)
            advice = "Your code may need the same change" if runs else "To see the change"
            command = f"{shown} {quote(path)}"
            yield Finding(
                "missed",
                path,
                f"{path}: the template changed this file and you deleted or moved it. {advice}: `{command}`.",
                runs,
                command=command,
            )
        lost = f"the commit that merged {self.old} lacks a change, probably because of `copier update`."
        for path in map(where, self.repaired):
            command = f"git diff --cached -- {quote(path)}"
            sentence = f"{path}: {lost} It is merged now. Review it: `{command}`."
            yield Finding("lost", path, sentence, command=command)
        for path in map(where, self.lost):
            command = f"{self._shown_losses} {quote(path)}"
            sentence = (
                f"{path}: {lost} You have changed the same lines since then. To see the change: `{command}`."
            )
            yield Finding("lost", path, sentence, command=command)
        yield from unnoticed(self.merger, self.repository, self.result)
        for path, numbers in self._returned().items():
            lines = f"line {numbers[0]}" if len(numbers) == 1 else f"lines {numbers[0]} to {numbers[-1]}"
            sentence = (
                "you removed this, but the template moved it, so it came back. Delete it again or keep it."
            )
            yield Finding("meaning", where(path), f"{where(path)}, {lines}: {sentence}", line=numbers[0])
        for line in misplaced(self.merger, self.result, self._onto_or_head()):
            sentence = (
                f"{where(line.path)}, line {line.number}: you had this line in {line.expected}. The template"
                f" moved similar code, so the line is now in {line.found}. Move it back or leave it there."
            )
            yield Finding("meaning", where(line.path), sentence, line=line.number)
        for path in map(where, self.result.kept):
            sentence = "the template removed this file and you changed it. Delete it or keep it."
            yield Finding("kept", path, f"{path}: {sentence}")

    def _returned(self) -> dict[str, list[int]]:
        """The numbers of the lines that came back, by path."""
        found: dict[str, list[int]] = {}
        for path, number, _ in returned(self.merger, self.result, self._onto_or_head()):
            found.setdefault(path, []).append(number)
        return found

    def _onto_or_head(self) -> str:
        return self._onto or self.merger.tree("HEAD")

    def conflicts(self) -> list[Conflict]:
        """The details of each conflict."""
        news = self.news() if self.old != self.new else []
        return [
            Conflict(
                path,
                self._line_of_conflict(found),
                reason,
                self.tests_of(path),
                list(entries_about(path, news)),
            )
            for found, reason in self.result.conflicts.items()
            for path in [self.repository.inside(found)]
        ]

    def code_to_check(self) -> list[str]:
        """The Python files that the update changes, and the user's own files, which may use them."""
        theirs = self.merger.changes(self.result.new, self.result.result, "--diff-filter=AM")
        paths = {*self.result.changed, *theirs} - self.result.conflicts.keys()
        return sorted(self.repository.inside(path) for path in paths if path.endswith(".py"))

    def tests_of(self, path: str) -> list[str]:
        """The pytest arguments for the tests that show whether a file in the result works."""
        prefix, tree = self.repository.prefix, self.result.result
        if self._files_of_result is None:
            self._files_of_result = set(self.merger.files(tree, prefix))

        def importing(module: str) -> list[str]:
            package, _, name = module.rpartition(".")
            escaped = [re.escape(each) for each in (module, package, name)]
            pattern = r"(from|import) {}($|[ .,])|from {} import (.*[ ,])?{}($|[ ,])".format(*escaped)
            found = self.merger.matching(tree, prefix, pattern, "tests")
            return [path for path in found if path.rpartition("/")[2].startswith("test_")]

        return related_tests(path, self._files_of_result, importing)

    def sides(self) -> list[list[bytes | None]]:
        """The versions of each file with a conflict, as `Merger.sides` returns them."""
        return [self.merger.sides(self.result, path) for path in self.result.conflicts]

    def _line_of_conflict(self, path: str) -> int | None:
        return first_marker(self.merger.lines(self.result.result, path) or [])

    def change_of(self, path: str) -> str:
        """The changes that `apply` would make to one project file, as a patch.

        If the project moved the file, the patch is for its new path.

        Raises:
            UpdateError: there is no such file.
        """
        there = posixpath.normpath(f"{self.repository.prefix}{path}")
        if there.startswith("../") or there == "..":
            raise UpdateError(f"{path} is outside of the repository.")
        there = self.result.moved.get(there, there)
        known = [self.merger.tree("HEAD"), self.result.result, self.result.new]
        inside = "" if there == "." else f"{there}/"
        if any(self.merger.files(tree, inside) for tree in known):
            raise UpdateError(f"{path} is a folder. Name one of its files.")
        if all(self.merger.lines(tree, there) is None for tree in known):
            raise UpdateError(f"{path} is neither in this project nor in the template. Check its spelling.")
        return self.merger.patch(self.result, there)


def _migrations_of(render: Path) -> dict[str, str]:
    """Maps the file name of each migration of a feature to its folder. The folder may be renamed, but the
    migration never is.
    """
    return {
        path.name: path.parent.relative_to(render).as_posix() for path in render.glob("app/*/migrations/*.py")
    }


def _flag(name: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise UpdateError(f"{name} must be true or false, not {value}.")
    return value == "true"

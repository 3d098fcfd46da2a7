"""The template: where it is, which versions it has, and how a version renders with the project's answers."""

import re
from itertools import count
from pathlib import Path
from typing import Any, cast

import yaml
from packaging.version import Version

from template_update import rendering
from template_update.changelog import version_of
from template_update.git import Git, UpdateError, cure_of_ownership, reason
from template_update.rendering import ANSWERS_FILE

_SOURCE = re.compile(r"^_src_path:.*\n(?:[ \t].*\n)*", re.MULTILINE)
"""The entry in the answers file that contains the template's URL or path. It may span several lines."""
_SHORT = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


class Answers:
    """Copier's answers file: the template, version and answers that the project was generated from."""

    def __init__(self, text: str) -> None:
        """Parse the text of an answers file.

        Raises:
            UpdateError: *text* is invalid.
        """
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UpdateError(f"{ANSWERS_FILE} cannot be read: {error}. Restore it from git.") from None
        values = cast(dict[str, Any], found) if isinstance(found, dict) else {}
        if not isinstance(values.get("_src_path"), str) or "_commit" not in values:
            raise UpdateError(f"{ANSWERS_FILE} lacks _src_path or _commit. Restore it from git.")
        self.source: str = values["_src_path"]
        entry = _SOURCE.search(text)
        self.source_entry = entry[0] if entry else yaml.safe_dump({"_src_path": self.source}, width=100_000)
        # Read it as a string: otherwise, YAML would read version 1.10 as the number 1.1.
        self.version = str(yaml.load(text, yaml.BaseLoader)["_commit"])  # nosec B506 # noqa: S506 - only strings
        self.data = {name: value for name, value in values.items() if not name.startswith("_")}

    @classmethod
    def read(cls, project: Path) -> "Answers":
        """Read the answers file of *project*.

        Raises:
            UpdateError: the file is missing or invalid.
        """
        try:
            return cls((project / ANSWERS_FILE).read_text("utf-8"))
        except FileNotFoundError:
            raise UpdateError(
                f"{ANSWERS_FILE} is missing. It says which template this project came from. Run this command"
                " in the folder that contains the file, or restore it from git."
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise UpdateError(f"{ANSWERS_FILE} cannot be read: {error}. Restore it from git.") from None


class Template:
    """A clone of the template in *folder*, which must be temporary."""

    def __init__(self, answers: Answers, folder: Path) -> None:
        """Clone the template with its whole history.

        Raises:
            UpdateError: the template cannot be cloned from the URL or path in the answers.
        """
        self.answers = answers
        self._folder = folder
        self._clone = folder / "template"
        self._numbers = count()
        address = _address(answers.source)
        if "://" not in address and not re.match(r"[\w.-]+@", address) and not Path(address).is_absolute():
            raise UpdateError(
                f"The template's location is {address}, which is neither a URL nor an absolute path."
                f" Write its URL or absolute path into {ANSWERS_FILE} as _src_path, and commit."
            )
        done = Git(folder).run("clone", "--quiet", "--no-checkout", "--", address, self._clone)
        if cure := cure_of_ownership(done.stderr):
            raise UpdateError(
                f"The template in {address} belongs to another user, so git refuses to fetch it. If you trust"
                f" it, run `{cure}`."
            )
        if done.returncode != 0:
            raise UpdateError(
                f"The template cannot be fetched from {address}: {reason(done)}\n"
                f"If it has moved, write its new URL or path into {ANSWERS_FILE} as _src_path, and commit."
            )
        self._git = Git(self._clone)

    def newest(self) -> str:
        """The tag of the latest release, or the latest commit if nothing has been released."""
        releases = {version: tag for tag, version in self._releases() if not version.is_prerelease}
        return releases[max(releases)] if releases else self._git("describe", "--tags", "--always").strip()

    def find(self, name: str) -> str:
        """The tag or commit that *name* refers to. The leading v of a version is optional.

        Raises:
            UpdateError: the version does not exist.
        """
        wanted = version_of(name)
        for tag, version in self._releases():
            if version == wanted:
                return tag
        commit = self._git.run("rev-parse", "--quiet", "--verify", "--end-of-options", name + "^{commit}")
        if commit.returncode == 0:
            # This is the name that Copier will record. Copier would take HEAD to mean the working tree, which
            # this clone lacks.
            return self._git("describe", "--tags", "--always", commit.stdout.strip()).strip()
        known = ", ".join(tag for tag, _ in sorted(self._releases(), key=lambda each: each[1]))
        others = f"It has: {known}." if known else "It has no releases yet."
        raise UpdateError(f"The template at {self.answers.source} has no version {name}. {others}")

    def contains(self, newer: str, older: str) -> bool:
        """Whether *older* is the same commit as *newer* or one of its ancestors."""
        return self._git.run("merge-base", "--is-ancestor", older, newer).returncode == 0

    def text(self, version: str, path: str) -> str:
        """The text of a template file at *version*, or an empty string if there is no such file."""
        done = self._git.run("show", f"{version}:{path}")
        return done.stdout if done.returncode == 0 else ""

    def questions(self, version: str) -> dict[str, dict[str, Any]]:
        """The questions in `copier.yml`, keyed by name."""
        return {
            name: question
            for name, question in self._configuration(version).items()
            if not name.startswith("_") and "when" not in question
        }

    def copied_once(self, version: str) -> list[str]:
        """The paths that belong to the project after the first copy. Updates never change or restore them."""
        return [str(path).lstrip("/") for path in self._configuration(version).get("_skip_if_exists", [])]

    def render(self, *wanted: tuple[str, dict[str, Any]]) -> list[Path]:
        """Render a new project for each combination of version and answers, and return the folders.

        Raises:
            UpdateError: Copier rejects an answer or fails to render a version.
        """
        for version, answers in wanted:
            self._require_flags(version, answers)
        copies: dict[str, rendering.Copy] = {}
        for version, answers in wanted:
            folder = self._folder / f"render-{next(self._numbers)}"
            copies.setdefault(repr((version, answers)), rendering.Copy(self._clone, version, answers, folder))
        rendering.render(list(copies.values()))
        for copy in copies.values():
            self._name_source(copy.folder / ANSWERS_FILE)
        return [copies[repr(each)].folder for each in wanted]

    def _require_flags(self, version: str, answers: dict[str, Any]) -> None:
        """Reject an answer other than yes or no to a yes-or-no question, because Copier would guess."""
        for name, question in self.questions(version).items():
            answer = answers.get(name, False)
            if question.get("type") == "bool" and not isinstance(answer, bool):
                raise UpdateError(
                    f"{name} must be true or false, not {answer}. Change it in {ANSWERS_FILE} and commit."
                )

    def _name_source(self, path: Path) -> None:
        """Replace the clone's path with the template's own URL or path, which the next update needs."""
        text = _SOURCE.sub(lambda _: self.answers.source_entry, path.read_text("utf-8"))
        path.write_text(text, "utf-8")

    def _releases(self) -> list[tuple[str, Version]]:
        """Every tag that is a version (PEP 440)."""
        return [
            (tag, version) for tag in self._git("tag").split() if (version := version_of(tag)) is not None
        ]

    def _configuration(self, version: str) -> dict[str, Any]:
        found = yaml.safe_load(self.text(version, "copier.yml"))
        return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def _address(source: str) -> str:
    """Convert a template location in one of Copier's notations to one that git accepts."""
    source = source.removeprefix("git+")
    for short, full in _SHORT.items():
        if source.startswith(short):
            return full + source.removeprefix(short).lstrip("/")
    return str(Path(source).expanduser()) if source.startswith("~") else source

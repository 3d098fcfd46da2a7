"""New type errors after the update, found by the project's pyright."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from template_update.copies import copy_of
from template_update.merge import Merger
from template_update.project import ProjectTools
from template_update.repository import Repository

_CHECKED = ("app/", "migrations/")
"""The folders that pyright checks in a generated project. The tests are not fully typed."""


class TypeProblem(NamedTuple):
    """A pyright error."""

    path: str
    line: int
    message: str

    @property
    def sentence(self) -> str:
        """The message for the user."""
        problem = f"pyright reports an error that did not exist before the update: {self.message.rstrip('.')}"
        return f"{self.path}, line {self.line}: {problem}. Fix it before you commit."


def new_type_errors(
    tools: ProjectTools, folder: Path, merger: Merger, repository: Repository, paths: Iterable[str]
) -> list[TypeProblem]:
    """The errors in *paths* introduced since the last commit. *folder* is the project or a copy of it."""
    checked = [path for path in paths if path.startswith(_CHECKED) and (folder / path).is_file()]
    if not checked or not tools.has("pyright"):
        return []
    found = _errors(tools, folder, checked)
    if not found:
        return []
    with copy_of(merger, repository, merger.tree("HEAD")) as before:
        there = [path for path in checked if (before / path).is_file()]
        old = _errors(tools.in_copy(before), before, there) if there else []
    # Line numbers change, so errors with the same message in a file count as the same error.
    known = Counter((each.path, each.message) for each in old)
    new: list[TypeProblem] = []
    for each in found:
        known[each.path, each.message] -= 1
        if known[each.path, each.message] < 0:
            new.append(each)
    return new


def _errors(tools: ProjectTools, folder: Path, paths: list[str]) -> list[TypeProblem]:
    try:
        said: dict[str, Any] = json.loads(tools.said("pyright", "--outputjson", *paths))
    except ValueError:
        # Pyright could not start, for example because there is no network, and printed the reason.
        return []
    top = folder.resolve()
    return [
        TypeProblem(
            Path(each["file"]).resolve().relative_to(top).as_posix(),
            each["range"]["start"]["line"] + 1,
            each["message"].splitlines()[0],
        )
        for each in said.get("generalDiagnostics", [])
        if each["severity"] == "error" and Path(each["file"]).resolve().is_relative_to(top)
    ]

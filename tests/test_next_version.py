"""How many edits merge automatically with a version that changes every file and every seam.

An edit is one change in one template-owned file. Users' own files, files copied once, and deletions are not
counted: they always stay. An edit counts as merged if the file equals, byte for byte, the same edit in a
fresh project of that version. If another edit of the same file conflicts, the edit is tried again separately.
Whatever does not merge must be a conflict known to git: nothing is lost silently.
"""

import pickle
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import REPOSITORY, Once, run, snapshot
from next_version import NOT_CHANGED, VERSION, release_everything
from personas.edits import Edit, NoSuchPlace
from personas.people import A_CONFLICT, A_MOVE, EVERY_SEAM, PEOPLE, REFORMATTED, Persona
from personas.updating import THEIRS, differences, edited, project_of, unmerged, update, versions_of
from test_render import files_of

APART = (A_MOVE, A_CONFLICT, REFORMATTED)
"""These personas are not counted: two are meant to conflict, and the third would dominate with its 200 files.
"""


@dataclass
class Change:
    """What one edit changes in one file."""

    edit: str
    path: str
    at_seam: bool
    is_formatting: bool
    is_merged: bool


@dataclass
class Outcome:
    """The results of a persona's edits."""

    project: Path
    code: int
    said: str
    unmerged: list[str]
    differences: list[str]
    """The files that differ from a fresh project with the same edits."""
    changes: list[Change] = field(default_factory=list)


type Outcomes = Callable[[Persona], Outcome]


@pytest.fixture(scope="session")
def outcome_of(once: Once, tmp_path_factory: pytest.TempPathFactory, python: Path) -> Outcomes:
    """The result of an update to the next version."""
    versions = versions_of(once, "next-version", release_everything, VERSION)

    def updated(edits: tuple[Edit, ...], *, migrate: bool = True) -> tuple[Outcome, list[Edit]]:
        """The result of these edits, and the edits that have no place in the new version."""
        project = project_of(versions.old, tmp_path_factory.mktemp("persona") / "project", *edits)
        fresh = edited(versions.new, project.parent / "fresh")
        unplaced = [edit for edit in edits if not has_place(edit, fresh)]
        before = files_of(project)
        code, said = update(project, python, migrate=migrate)
        return Outcome(project, code, said, unmerged(project), differences(project, fresh, before)), unplaced

    def outcome_with_changes(edits: tuple[Edit, ...]) -> Outcome:
        outcome, unplaced = updated(edits)
        for edit, path in changes(versions.old, outcome.project.with_name("changed"), edits):
            is_merged = edit not in unplaced and path not in outcome.differences
            if not is_merged and len(edits) > 1 and not edit.is_formatting:
                is_merged = not updated((edit,), migrate=False)[0].differences
            outcome.changes.append(Change(str(edit), path, edit.at_seam, edit.is_formatting, is_merged))
        return outcome

    def of(persona: Persona) -> Outcome:
        stored = once(
            f"next-version-of-{PEOPLE.index(persona)}",
            lambda folder: (folder / "outcome").write_bytes(
                pickle.dumps(outcome_with_changes(persona.edits))
            ),
        )
        return pickle.loads((stored / "outcome").read_bytes())

    return of


def has_place(edit: Edit, project: Path) -> bool:
    """Make the edit, unless the version changed the very text that the edit changes."""
    try:
        edit.make(project)
    except NoSuchPlace:
        return False
    return True


def changes(old: Path, folder: Path, edits: tuple[Edit, ...]) -> Iterator[tuple[Edit, str]]:
    """Each edit, with each template file that it changes."""
    project = edited(old, folder)
    for edit in edits:
        before = files_of(project)
        edit.make(project)
        after = files_of(project)
        for name in sorted(before.keys() & after.keys()):
            if before[name] != after[name] and not THEIRS.match(name):
                yield edit, name


def test_the_next_version_changes_every_changeable_file(tmp_path: Path):
    template = snapshot(tmp_path)

    release_everything(template)

    everything = set(run("git", "ls-files", cwd=template / "template").splitlines())
    changed = run("git", "diff", "--name-only", "--relative", "1.0.0", VERSION, cwd=template / "template")
    same = everything - set(changed.splitlines())
    assert sorted(path for path in same if not NOT_CHANGED.match(path)) == []
    assert len(same) < 0.1 * len(everything)


@pytest.mark.parametrize("persona", PEOPLE, ids=str)
def test_conflicts_are_reported_and_nothing_is_lost_silently(outcome_of: Outcomes, persona: Persona):
    outcome = outcome_of(persona)

    assert set(outcome.differences) <= set(outcome.unmerged)
    assert [name for name in outcome.unmerged if f"{name}: " not in outcome.said] == []
    assert (outcome.code == 1) == bool(outcome.unmerged or persona is A_MOVE), outcome.said


def test_every_edit_at_a_seam_merges(outcome_of: Outcomes):
    changes = [change for persona in PEOPLE for change in outcome_of(persona).changes]

    assert [change for change in changes if change.at_seam and not change.is_merged] == []


def test_the_merged_share_matches_the_readme(
    outcome_of: Outcomes, record_property: Callable[[str, str], None]
):
    counted = [change for each in PEOPLE if each not in APART for change in outcome_of(each).changes]
    at_seams = [change.is_merged for change in counted if change.at_seam]
    elsewhere = [change.is_merged for change in counted if not change.at_seam]
    formatted = [change.is_merged for change in outcome_of(REFORMATTED).changes if change.is_formatting]

    measured = (
        f"{sum(at_seams)} of {len(at_seams)} edits at seams and"
        f" {sum(elsewhere)} of {len(elsewhere)} elsewhere ({percent(at_seams + elsewhere)} % in total)"
        f" merge automatically, as do {percent(formatted)} % of the files in a project that was reformatted"
        " with a different line length"
    )
    is_stated = measured in re.sub(r"\s+", " ", (REPOSITORY / "README.md").read_text("utf-8"))

    record_property("measured", f"Into a version that changes every file and every seam, {measured}.")
    assert percent(at_seams + elsewhere) >= 95
    assert is_stated, f"README.md has to say: {measured}"


def percent(merged: list[bool]) -> int:
    return 100 * sum(merged) // len(merged)


@pytest.mark.minutes
def test_a_project_with_a_line_at_every_seam_passes_its_suite_afterwards(outcome_of: Outcomes, python: Path):
    project = outcome_of(EVERY_SEAM).project
    url = {"DATABASE_URL": f"sqlite+aiosqlite:///{project.parent / 'checked.db'}"}

    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=url)
    run(python, "-m", "app.cli", "db", "check", cwd=project, env=url)
    run(python, "-m", "ruff", "check", cwd=project)
    run(python, "-m", "ruff", "format", "--check", cwd=project)
    assert "passed" in run(python, "-m", "pytest", "-q", cwd=project).splitlines()[-1]

"""Edited projects get a fix: the fix arrives, and every edit is kept.

The rule for an update is an equation: an edited project of the old version, once updated, equals byte for
byte a project of the new version with the same edits. The individual claims are also tested, so failures are
readable.
"""

import ast
import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import Once, compile_all, run
from personas.fix import FIX, FIXED, SENTENCE, VERSION, release_fix
from personas.fix import TESTS as TESTS_OF_THE_FIX
from personas.people import (
    A_MOVE,
    COMBINED,
    LIFECYCLE,
    MOST_OF_THEM,
    MOVED,
    PEOPLE,
    REFORMATTED,
    SMOKE,
    Persona,
)
from personas.updating import (
    Versions,
    differences,
    edited,
    project_of,
    resolve,
    unmerged,
    update,
    versions_of,
    with_markers,
)
from test_render import files_of
from test_upgrade import USE

ADA = {"email": "ada@example.com", "password": "correct horse battery", "nickname": "Countess"}


TESTS = re.compile(r"tests/(?:.+/)?test_\w+\.py")
RUNS = re.compile(r"(?:app|migrations)/.+\.py")


@pytest.fixture(scope="session")
def versions(once: Once, python: Path) -> Versions:
    """Projects of the version before the fix, with bytecode for files that no edit changes, and of the
    version with the fix.
    """
    versions = versions_of(once, "the-fix", release_fix, VERSION)
    compiled = once(
        "the-fix-compiled",
        lambda folder: compile_all(shutil.copytree(versions.old, folder / "old"), python),
    )
    return Versions(compiled / "old", versions.new)


@pytest.mark.minutes
@pytest.mark.parametrize("persona", [*PEOPLE, MOST_OF_THEM], ids=str)
def test_the_fix_arrives_and_every_edit_stays(
    versions: Versions, tmp_path: Path, python: Path, persona: Persona
):
    project = project_of(versions.old, tmp_path / "project", *persona.edits)
    fresh = edited(versions.new, tmp_path / "fresh", *persona.edits)
    before = files_of(project)

    code, said = update(project, python)

    assert SENTENCE in said
    assert persona.sentence in said
    assert code == (1 if persona.sentence else 0), said
    assert unmerged(project) == list(persona.conflicts)
    assert with_markers(project) == list(persona.conflicts)
    assert differences(project, fresh, before) == list(persona.conflicts)
    resolve(project, fresh, persona.conflicts)
    assert differences(project, fresh, before) == []
    assert FIX in (project / (MOVED if persona is A_MOVE else FIXED)).read_text()
    # The update itself migrated a new database, unless there were conflicts to resolve first.
    migrated = migrate(project, python) if persona.conflicts else said
    assert "No new upgrade operations detected." in migrated
    run(python, "-m", "ruff", "format", "--check", cwd=project)
    tests = reached_tests(persona, project, versions.new)
    assert "passed" in run(python, "-m", "pytest", "-q", *tests, cwd=project).splitlines()[-1]


def migrate(project: Path, python: Path) -> str:
    """Create a new database, compare it with the models and return the output."""
    url = {"DATABASE_URL": f"sqlite+aiosqlite:///{project.parent / 'resolved.db'}"}
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=url)
    return run(python, "-m", "app.cli", "db", "check", cwd=project, env=url)


def reached_tests(persona: Persona, project: Path, new: Path) -> list[str]:
    """Tests that the edits and the fix can affect, and every test that the edits added or changed.

    The equation covers every file; the tests check that the edits and the fix work together, so without
    edited code there is nothing to check. One project has the edits of all the COMBINED and runs the tests of
    all of them, so each of those runs only its own. test_next_version.py runs a whole suite, with lines in
    every conftest.py.
    """
    theirs = edited_code(project, new)
    needed = {*SMOKE, *filter(TESTS.fullmatch, theirs)}
    if persona not in COMBINED:
        needed |= {*persona.tests}
        needed |= {*LIFECYCLE, *TESTS_OF_THE_FIX} if any(map(RUNS.fullmatch, theirs)) else set()
    return sorted(path for path in needed if (project / path).exists())


def edited_code(project: Path, new: Path) -> list[str]:
    """The modules that *new* lacks or in which the code differs. Formatting does not count."""
    before = files_of(new)
    changed = {name: content for name, content in files_of(project).items() if content != before.get(name)}
    return [
        name
        for name, content in changed.items()
        if name.endswith(".py") and code(content) != code(before.get(name, b""))
    ]


def code(content: bytes) -> str:
    return ast.dump(ast.parse(content))


def test_reformatting_changes_no_code(versions: Versions, tmp_path: Path):
    """The tests that pass without the edit therefore also pass with it."""
    project = edited(versions.new, tmp_path / "project", *REFORMATTED.edits)

    after = files_of(project)
    reformatted = [name for name, content in files_of(versions.new).items() if after[name] != content]
    assert len(reformatted) > 100
    assert edited_code(project, versions.new) == []


def test_the_named_tests_exist(versions: Versions):
    """Tests that are missing from a project are therefore tests that its owner deleted."""
    named = {path for persona in PEOPLE for path in (*LIFECYCLE, *TESTS_OF_THE_FIX, *persona.tests)}

    assert [path for path in sorted(named) if not (versions.new / path).exists()] == []


@pytest.mark.parametrize("persona", [each for each in PEOPLE if each.has_migrations], ids=str)
def test_data_stored_before_the_update_can_be_read_after_it(
    versions: Versions, tmp_path: Path, python: Path, database: str, persona: Persona
):
    project = project_of(versions.old, tmp_path / "project", *persona.edits)
    url = {"DATABASE_URL": database}

    def use(*requests: tuple[str, str, object, dict[str, str]]) -> list[tuple[int, dict[str, object]]]:
        output = run(python, "-c", USE, json.dumps(requests), cwd=project, env=url)
        return json.loads(output.splitlines()[-1])

    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=url)
    _, login = use(("POST", "/users/register", ADA, {}), ("POST", "/users/login", ADA, {}))
    token = {"Authorization": f"Bearer {login[1]['access_token']}"}
    _, *stored = use(
        ("POST", "/orders", [{"sku": "tea", "pieces": 2}], token),
        ("GET", "/users/me", None, token),
        ("GET", "/users/me/export", None, token),
    )

    code, said = update(project, python, database=database)

    # The update itself migrated the database and compared it with the models.
    assert code == 0, said
    me, export = use(("GET", "/users/me", None, token), ("GET", "/users/me/export", None, token))
    assert me == stored[0]
    assert related_records(export) == related_records(stored[1])
    assert export[1]["account"] == stored[1][1]["account"] | {"password_changed_at": None}


def related_records(export: tuple[int, dict[str, object]]) -> dict[str, object]:
    """The parts of an export that no request changes."""
    return {name: rows for name, rows in export[1]["related_records"].items() if name != "user_sessions"}

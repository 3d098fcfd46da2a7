"""Edited projects get a fix: it arrives, and every edit is kept.

The rule for an update is an equation: a project of the old version with edits, updated, equals byte for byte
a project of the new version with the same edits. The individual claims are tested too, so that failures are
readable.
"""

import json
import re
from pathlib import Path

import pytest
from conftest import Once, run
from personas.fix import FIX, FIXED, SENTENCE, VERSION, release_fix
from personas.fix import TESTS as TESTS_OF_THE_FIX
from personas.people import (
    A_MOVE,
    COMBINED,
    LIFECYCLE,
    MOST_OF_THEM,
    MOVED,
    PEOPLE,
    SMOKE,
    Persona,
)
from personas.updating import (
    Versions,
    differences,
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


TESTS = re.compile(r"(tests/(?:.+/)?)(?:(test_\w+\.py)|conftest\.py)")


@pytest.fixture(scope="session")
def versions(once: Once) -> Versions:
    """Projects of the versions before and with the fix."""
    return versions_of(once, "the-fix", release_fix, VERSION)


@pytest.mark.minutes
@pytest.mark.parametrize("persona", [*PEOPLE, MOST_OF_THEM], ids=str)
def test_the_fix_arrives_and_every_edit_stays(
    versions: Versions, tmp_path: Path, python: Path, persona: Persona
):
    project = project_of(versions.old, tmp_path / "project", *persona.edits)
    fresh = project_of(versions.new, tmp_path / "fresh", *persona.edits)
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
    # The update itself has migrated a new database, unless there was something to resolve first.
    migrated = migrate(project, python) if persona.conflicts else said
    assert "No new upgrade operations detected." in migrated
    run(python, "-m", "ruff", "format", "--check", cwd=project)
    tests = reached_tests(persona, project, versions.old)
    assert "passed" in run(python, "-m", "pytest", "-q", "-n", "0", *tests, cwd=project).splitlines()[-1]


def migrate(project: Path, python: Path) -> str:
    """Create a new database, compare it with the models and return the output."""
    url = {"DATABASE_URL": f"sqlite+aiosqlite:///{project.parent / 'resolved.db'}"}
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=url)
    return run(python, "-m", "app.cli", "db", "check", cwd=project, env=url)


def reached_tests(persona: Persona, project: Path, old: Path) -> list[str]:
    """Tests that the edits and the fix can affect, and every test that either added or changed.

    The equation covers every file; the tests check that the edits and the fix work together. All tests run in
    one project with the edits of all the COMBINED, so each of those runs only the tests of its own edits.
    """
    before = files_of(old)
    changed = [name for name, content in files_of(project).items() if before.get(name) != content]
    # Below a conftest.py, all.
    theirs = {place[1] + (place[2] or "") for name in changed if (place := TESTS.fullmatch(name))}
    common = SMOKE if persona in COMBINED else (*LIFECYCLE, *TESTS_OF_THE_FIX)
    named = {*common, *persona.tests}
    return sorted(theirs | {path for path in named if (project / path).exists()})


def test_the_named_tests_exist(versions: Versions):
    """So tests missing from a project are those its owner deleted."""
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
    use(("POST", "/orders", [{"sku": "tea", "pieces": 2}], token))
    stored = use(("GET", "/users/me", None, token), ("GET", "/users/me/export", None, token))

    code, said = update(project, python, database=database)

    assert code == 0, said
    me, export = use(("GET", "/users/me", None, token), ("GET", "/users/me/export", None, token))
    assert me == stored[0]
    assert related_records(export) == related_records(stored[1])
    assert export[1]["account"] == stored[1][1]["account"] | {"password_changed_at": None}
    run(python, "-m", "app.cli", "db", "check", cwd=project, env=url)


def related_records(export: tuple[int, dict[str, object]]) -> dict[str, object]:
    """The parts of an export that no request changes."""
    return {name: rows for name, rows in export[1]["related_records"].items() if name != "user_sessions"}

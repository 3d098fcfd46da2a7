"""Projects that people have edited get a fix: it arrives, and every edit is where it was.

What has to come of an update is an equation: a project of the old version with somebody's edits, updated, is
to the byte a project of the new version with the same edits. The single claims stand beside it, so that a
failure reads well.
"""

import json
from pathlib import Path

import pytest
from conftest import Once, run
from personas.fix import FIX, FIXED, SENTENCE, VERSION, release_fix
from personas.people import A_MOVE, MOVED, PEOPLE, Persona
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


@pytest.fixture(scope="session")
def versions(once: Once) -> Versions:
    """Of the version before the fix and of the one with it."""
    return versions_of(once, "the-fix", release_fix, VERSION)


@pytest.mark.parametrize("persona", PEOPLE, ids=str)
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
    assert_checks_pass(project, python)


def assert_checks_pass(project: Path, python: Path) -> None:
    url = {"DATABASE_URL": f"sqlite+aiosqlite:///{project.parent / 'checked.db'}"}
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project, env=url)
    run(python, "-m", "app.cli", "db", "check", cwd=project, env=url)
    run(python, "-m", "ruff", "format", "--check", cwd=project)
    summary = run(python, "-m", "pytest", "-q", "-n", "0", cwd=project).splitlines()[-1]
    assert "passed" in summary


@pytest.mark.parametrize("persona", [each for each in PEOPLE if each.has_migrations], ids=str)
def test_what_was_stored_before_the_update_can_be_read_after_it(
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
    """What of an export no request changes."""
    return {name: rows for name, rows in export[1]["related_records"].items() if name != "user_sessions"}

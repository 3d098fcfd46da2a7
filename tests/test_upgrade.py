"""From an earlier version: an update and the migrations keep every account and its data.

`before_sessions.tar.xz` is the template from before sessions were added. It was never released, so only its
projects' data matters here. `versions/` contains the releases with which `test_contract.py` compares paths.
"""

import json
import shutil
import tarfile
from pathlib import Path

import pytest
from conftest import REPOSITORY, Once, commit, copier, run, snapshot, uv_in
from test_update import comparable

USE = """
import asyncio, json, sys
import httpx
from app.main import create_app

async def use(requests):
    app = create_app()
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answers = [await client.request(*each[:2], json=each[2], headers=each[3]) for each in requests]
    app.state.users.hasher.close()
    await app.state.db.dispose()
    print(json.dumps([[answer.status_code, answer.json()] for answer in answers]))

asyncio.run(use(json.loads(sys.argv[1])))
"""
ADA = {"email": "ada@example.com", "password": "correct horse battery"}
EVE = {"email": "eve@example.com", "password": "another horse battery"}


@pytest.fixture(scope="session")
def before_sessions(once: Once) -> Path:
    """A folder with a project of version 0.1.0 and its template, the working tree, tagged 1.0.0."""

    def fill(folder: Path) -> None:
        template = folder / "template"
        template.mkdir()
        with tarfile.open(REPOSITORY / "tests" / "before_sessions.tar.xz") as archive:
            archive.extractall(template, filter="data")
        run("git", "init", "--quiet", "--initial-branch", "main", cwd=template)
        commit(template, "Before sessions", tag="0.1.0")
        copier("copy", "--quiet", "--defaults", template, folder / "project", cwd=folder)
        shutil.rmtree(template / "template")
        snapshot(template)

    return once("before-sessions", fill)


@pytest.fixture
def project(before_sessions: Path, tmp_path: Path) -> Path:
    """A committed project of version 0.1.0."""
    project = shutil.copytree(before_sessions / "project", tmp_path / "project")
    run("git", "init", "--quiet", cwd=project)
    commit(project, "Generated")
    return project


def update(project: Path, template: Path, python: Path, database: str) -> None:
    """As described in docs/updating.md for projects without `app template-update`."""
    env = uv_in(python) | {"DATABASE_URL": database}
    uvx = [env["UV"], "tool", "run", "--from", template]
    run(*uvx, "template-update", "--yes", "--skip-tests", cwd=project, env=env)


def test_a_project_with_data_loses_nothing_but_sessions(
    before_sessions: Path, project: Path, python: Path, database: str
):
    def use(*requests: tuple[str, str, object, dict[str, str]]) -> list[tuple[int, dict[str, object]]]:
        output = run(python, "-c", USE, json.dumps(requests), cwd=project, env={"DATABASE_URL": database})
        return json.loads(output.splitlines()[-1])

    def app(*command: str) -> str:
        return run(python, "-m", "app.cli", *command, cwd=project, env={"DATABASE_URL": database})

    app("db", "upgrade")
    answers = use(
        *(("POST", f"/users/{what}", who, {}) for who in (ADA, EVE) for what in ("register", "login"))
    )
    old = {"Authorization": f"Bearer {answers[1][1]['access_token']}"}
    use(("POST", "/notes", {"title": "Milk", "text": "Two litres"}, old))
    accounts = app("users", "list")

    update(project, before_sessions / "template", python, database)

    assert run("git", "diff", "--name-only", "--diff-filter=U", cwd=project) == ""
    app("db", "check")
    assert app("users", "list") == accounts
    assert accounts.count("@example.com") == 2
    stale, ada, eve = use(
        ("GET", "/users/me", None, old),
        ("POST", "/users/login", ADA, {}),
        ("POST", "/users/login", EVE, {}),
    )
    assert (stale[0], ada[0], eve[0]) == (401, 200, 200)
    new = {"Authorization": f"Bearer {ada[1]['access_token']}"}
    notes, sessions = use(("GET", "/notes", None, new), ("GET", "/users/me/sessions", None, new))
    assert [note["title"] for note in notes[1]] == ["Milk"]
    assert len(sessions[1]) == 1


def test_the_updated_project_is_a_fresh_copy_plus_its_own_files(
    before_sessions: Path, project: Path, python: Path
):
    template = before_sessions / "template"
    update(project, template, python, f"sqlite+aiosqlite:///{project.with_name('app.db')}")
    fresh = project.with_name("fresh")
    copier("copy", "--quiet", "--defaults", template, fresh, cwd=project.parent)

    assert comparable(project) == comparable(fresh)
    # The example belongs to the project and is as old as the project. The other tests pass in
    # test_generated.py.
    (project / ".venv").symlink_to(python.parent.parent)
    run(python, "-m", "ruff", "check", cwd=project)
    run(python, "-m", "ruff", "format", "--check", cwd=project)
    own = ("app/notes", "migrations")
    assert "0 errors, 0 warnings" in run(python, "-m", "pyright", *own, cwd=project)
    run(python, "-m", "pytest", "-q", "tests/notes", "tests/test_migrations.py", cwd=project)

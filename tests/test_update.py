"""`template-update`: an unedited project becomes a fresh copy, and the user's own files are kept.

`copier update` does the same for such a project. test_personas.py tests edited projects.
"""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TEMPLATE_UPDATE, Once, commit, copier, run, snapshot, uv_in
from planted_feature import plant
from test_render import files_of

type Update = Callable[[Path], object]


@pytest.fixture(params=["template-update", "copier update"])
def update(request: pytest.FixtureRequest, python: Path) -> Update:
    """Both ways to update. `copier update` gets the options that make it do a three-way merge."""
    if request.param == "template-update":
        command = [*TEMPLATE_UPDATE, "--yes", "--skip-tests"]
        return lambda project: run(*command, cwd=project, env=uv_in(python))
    safely = ["--defaults", "--conflict", "inline", "--context-lines", "100000"]
    return lambda project: copier("update", "--quiet", *safely, cwd=project)


@pytest.fixture(scope="session")
def two_versions(once: Once) -> Path:
    """A folder with a template of two versions and an unedited project of the first."""
    return once("two-versions", make_two_versions)


def make_two_versions(folder: Path) -> None:
    """0.9.0 is the working tree. 1.0.0 has changes and an addition in every category of files, and a
    feature.
    """
    template = folder / "template"
    template.mkdir()
    snapshot(template)
    run("git", "tag", "--delete", "1.0.0", cwd=template)
    commit(template, "The version before", tag="0.9.0")
    files = template / "template"
    change(files / "app" / "users" / "manager.py", "\n", "\n# The manager's second version.\n")
    change(files / "pyproject.toml.jinja", "[project]", "# Second version\n[project]")
    change(files / "README.md.jinja", "## Run", "## Run it")
    change(files / "CHANGELOG.md", "#", "# Our", count=1)
    change(files / ".env.jinja", "ENVIRONMENT", "# Second version\nENVIRONMENT")
    change(files / "app" / "users" / "hooks.py", '"""Your code', '"""All your code')
    change(files / "app" / "notes" / "routes.py", '"""', '"""Again: ', count=1)
    change(files / "migrations" / "versions" / "app_0001_base.py", '"""app:', '"""app again:')
    (files / "app" / "users" / "added.py").write_text('"""New in the second version."""\n')
    plant(template)
    commit(template, "The version after", tag="1.0.0")
    copier("copy", "--quiet", "--defaults", "-r", "0.9.0", template, folder / "project", cwd=folder)


def change(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count if old != "\n" else 1), "utf-8")


@pytest.fixture
def project(two_versions: Path, tmp_path: Path) -> Path:
    """A project of 0.9.0, as it was generated."""
    project = tmp_path / "project"
    shutil.copytree(two_versions / "project", project)
    run("git", "init", "--quiet", cwd=project)
    commit(project, "Generated")
    return project


def test_a_project_without_edits_updates_to_a_fresh_copy(
    two_versions: Path, project: Path, update: Update, tmp_path: Path
):
    update(project)

    fresh = tmp_path / "fresh"
    copier("copy", "--quiet", "--defaults", two_versions / "template", fresh, cwd=tmp_path)
    assert comparable(project) == comparable(fresh)
    assert "_commit: 1.0.0" in (project / ".copier-answers.yml").read_text()
    assert run("git", "diff", "--name-only", "--diff-filter=U", cwd=project) == ""


def test_an_update_does_not_touch_your_own_files(project: Path, update: Update):
    mine = {
        "README.md": "Mine.\n",
        "CHANGELOG.md": "Mine, too.\n",
        "app/users/hooks.py": (project / "app/users/hooks.py").read_text() + "\n\nMINE = True\n",
        "migrations/versions/app_0001_base.py": (project / "migrations/versions/app_0001_base.py").read_text()
        + "\n\nMINE = True\n",
        "uv.lock": "version = 1\n",
    }
    for name, content in mine.items():
        (project / name).write_text(content)
    secret = (project / ".env").read_text()
    run("rm", "-r", "app/notes", "tests/notes", "migrations/versions/app_0002_notes.py", cwd=project)
    commit(project, "Mine")

    update(project)

    assert {name: (project / name).read_text() for name in mine} == mine
    assert (project / ".env").read_text() == secret
    assert not (project / "app" / "notes").exists()
    assert not (project / "tests" / "notes").exists()
    assert not (project / "migrations" / "versions" / "app_0002_notes.py").exists()
    assert "The manager's second version." in (project / "app" / "users" / "manager.py").read_text()


def test_an_example_that_is_kept_is_unchanged(project: Path, update: Update):
    before = (project / "app" / "notes" / "routes.py").read_text()

    update(project)

    assert (project / "app" / "notes" / "routes.py").read_text() == before


OWN_REVISIONS = r"migrations/versions/app_000\d_\w+\.py"
OWN = rf"README\.md|CHANGELOG\.md|\.env|app/users/hooks\.py|{OWN_REVISIONS}|(app|tests)/notes/.*"
NOT_COMPARED = re.compile(rf"\.git/.*|data/.*|.*__pycache__/.*|\.ruff_cache/.*|{OWN}")


def comparable(project: Path) -> dict[str, bytes]:
    """The files an update is responsible for, excluding git's files, secrets and the user's own files."""
    return {name: content for name, content in files_of(project).items() if not NOT_COMPARED.fullmatch(name)}

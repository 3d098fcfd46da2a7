"""`copier update`: a project that nobody edited becomes what a fresh copy is."""

import re
from pathlib import Path

from conftest import commit, copier, run, snapshot
from test_render import files_of


def test_a_project_without_edits_updates_to_a_fresh_copy(tmp_path: Path):
    template, project, fresh = tmp_path / "template", tmp_path / "project", tmp_path / "fresh"
    template.mkdir()
    make_two_versions(template)
    copier("copy", "--quiet", "--defaults", "--vcs-ref", "0.9.0", template, project, cwd=tmp_path)
    run("git", "init", "--quiet", cwd=project)
    commit(project, "Generated")

    copier("update", "--quiet", "--defaults", cwd=project)

    copier("copy", "--quiet", "--defaults", template, fresh, cwd=tmp_path)
    assert comparable(project) == comparable(fresh)
    assert "_commit: 1.0.0" in (project / ".copier-answers.yml").read_text()
    assert run("git", "diff", "--name-only", "--diff-filter=U", cwd=project) == ""


def test_an_update_leaves_alone_what_is_the_users(tmp_path: Path):
    template, project = tmp_path / "template", tmp_path / "project"
    template.mkdir()
    make_two_versions(template)
    copier("copy", "--quiet", "--defaults", "--vcs-ref", "0.9.0", template, project, cwd=tmp_path)
    secret = (project / ".env").read_text()
    (project / "README.md").write_text("Mine.\n")
    (project / "app" / "users" / "hooks.py").write_text('"""Mine."""\n')
    run("rm", "-r", "app/notes", "tests/notes", "migrations/versions/app_0002_notes.py", cwd=project)
    run("git", "init", "--quiet", cwd=project)
    commit(project, "Mine")

    copier("update", "--quiet", "--defaults", cwd=project)

    assert (project / "README.md").read_text() == "Mine.\n"
    assert (project / "app" / "users" / "hooks.py").read_text() == '"""Mine."""\n'
    assert (project / ".env").read_text() == secret
    assert not (project / "app" / "notes").exists()
    assert not (project / "tests" / "notes").exists()
    assert not (project / "migrations" / "versions" / "app_0002_notes.py").exists()
    assert "The manager's second version." in (project / "app" / "users" / "manager.py").read_text()


def make_two_versions(template: Path) -> None:
    """0.9.0 is the working tree; 1.0.0 has changes and an addition in every class of files."""
    snapshot(template)
    run("git", "tag", "--delete", "1.0.0", cwd=template)
    commit(template, "The version before", tag="0.9.0")
    manager = template / "template" / "app" / "users" / "manager.py"
    manager.write_text(manager.read_text() + "\n# The manager's second version.\n")
    pyproject = template / "template" / "pyproject.toml.jinja"
    pyproject.write_text(pyproject.read_text().replace("[project]", "# Second version\n[project]"))
    hooks = template / "template" / "app" / "users" / "hooks.py"
    hooks.write_text(hooks.read_text().replace('"""Yours:', '"""All yours:'))
    (template / "template" / "app" / "users" / "added.py").write_text('"""New in the second version."""\n')
    commit(template, "The version after", tag="1.0.0")


def comparable(project: Path) -> dict[str, bytes]:
    """What an update answers for: not git's own files, a machine's secrets, or what is the user's alone."""
    not_compared = re.compile(r"\.git/|\.env$|app/users/hooks\.py")
    return {name: content for name, content in files_of(project).items() if not not_compared.match(name)}

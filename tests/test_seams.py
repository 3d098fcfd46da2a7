"""Seams: lines that users add below a seam never conflict with lines that the template adds above it."""

from collections import Counter
from pathlib import Path

import pytest
from conftest import (
    REPOSITORY,
    TEMPLATE_UPDATE,
    WITH_FEATURES,
    Render,
    commit,
    project_of_template,
    run,
    snapshot,
    uv_in,
)
from seams import PHRASE, SEAMS, SHIPPED_REVISION, add_own_lines, add_shipped_lines
from test_update import comparable


def test_every_seam_of_the_template_is_listed():
    found = run("git", "grep", "-I", "--untracked", PHRASE, "--", ".", cwd=REPOSITORY / "template")

    named = [line.partition(":")[::2] for line in found.splitlines()]
    there = Counter((path.removesuffix(".jinja"), text.strip("#<!->{} \t")) for path, text in named)
    assert there == Counter((seam.path, seam.sentence) for seam in SEAMS)


@pytest.mark.parametrize(
    "answers", [{"ci": "github"}, {"ci": "gitlab", **WITH_FEATURES}], ids=["few", "many"]
)
def test_lines_added_on_both_sides_of_every_seam_merge(
    tmp_path: Path, python: Path, answers: dict[str, str | bool]
):
    template, project, fresh = tmp_path / "template", tmp_path / "project", tmp_path / "fresh"
    template.mkdir()
    snapshot(template)
    project_of_template(template, project, **answers)
    add_own_lines(project)
    run("git", "init", "--quiet", cwd=project)
    commit(project, "Mine")
    add_shipped_lines(template / "template")
    (template / "template/app/users/migrations/users_0008_shipped.py").write_text(SHIPPED_REVISION)
    commit(template, "The next version", tag="2.0.0")

    run(*TEMPLATE_UPDATE, "--yes", "--skip-tests", cwd=project, env=uv_in(python))

    assert run("git", "diff", "--name-only", "--diff-filter=U", cwd=project) == ""
    project_of_template(template, fresh, **answers)
    add_own_lines(fresh)
    assert comparable(project) == comparable(fresh)


def test_a_project_with_a_line_at_every_seam_passes_its_checks(compiled: Render, python: Path):
    project = compiled()
    add_own_lines(project)
    (project / ".venv").symlink_to(python.parent.parent)

    run(python, "-m", "ruff", "check", cwd=project)
    run(python, "-m", "ruff", "format", "--check", cwd=project)
    assert "0 errors, 0 warnings" in run(python, "-m", "pyright", cwd=project)
    run(python, "-m", "app.cli", "db", "upgrade", cwd=project)
    run(python, "-m", "app.cli", "db", "check", cwd=project)

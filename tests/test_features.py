"""Turning a feature off and on again restores the project and keeps every edit."""

from pathlib import Path

import pytest
from conftest import Render, commit, python_of_project, run
from personas.edits import Edit, instead
from personas.people import A_COLUMN, A_ROUTE
from personas.updating import project_of, update

ELSEWHERE: tuple[Edit, ...] = (*A_COLUMN.edits, *A_ROUTE.edits)


IMPORT = ["app/import_hawkapi_users", "tests/import_hawkapi_users"]
TOTP = [
    f"{folder}/{feature}"
    for folder in ("app", "tests")
    for feature in ("second_factors", "totp", "second_factor_pages")
]


@pytest.fixture(scope="module")
def python(render: Render) -> Path:
    """The Python of an environment with the packages of every feature."""
    return python_of_project(render(totp=True))


@pytest.mark.parametrize(
    ("first", "off", "on", "gone"),
    [
        ({}, ("docker=false",), ("docker=true",), ["Dockerfile", "compose.yaml", ".dockerignore"]),
        ({}, ("ci=gitlab",), ("ci=github",), [".github/workflows/ci.yml"]),
        ({}, ("ci=none",), ("ci=github",), [".github/workflows/ci.yml"]),
        ({}, ("database=postgresql",), ("database=sqlite",), []),
        ({}, ("docker=false", "ci=none"), ("docker=true", "ci=github"), ["Dockerfile", ".github"]),
        ({}, ("pages=false",), ("pages=true",), ["app/pages", "tests/pages"]),
        ({"pages": False}, ("pages=true",), ("pages=false",), []),
        ({"from_hawkapi_users": True}, ("from_hawkapi_users=false",), ("from_hawkapi_users=true",), IMPORT),
        ({}, ("from_hawkapi_users=true",), ("from_hawkapi_users=false",), []),
        ({"totp": True}, ("totp=false",), ("totp=true",), TOTP),
        ({"totp": True}, ("pages=false",), ("pages=true",), ["app/second_factor_pages"]),
    ],
    ids=" ".join,
)
def test_turning_a_feature_off_and_on_restores_it(
    render: Render,
    tmp_path: Path,
    python: Path,
    first: dict[str, bool],
    off: tuple[str, ...],
    on: tuple[str, ...],
    gone: list[str],
):
    project = project_of(render(**first), tmp_path / "project", *ELSEWHERE)
    before = run("git", "rev-parse", "HEAD", cwd=project).strip()

    turned_off = update(project, python, *answers(off))
    commit(project, "Off")
    changed = run("git", "diff", "--name-only", before, cwd=project).splitlines()
    left = [name for name in gone if (project / name).exists()]
    turned_on = update(project, python, *answers(on))
    commit(project, "On again")

    assert (turned_off[0], turned_on[0]) == (0, 0), turned_off[1] + turned_on[1]
    assert ".copier-answers.yml" in changed
    assert left == []
    assert run("git", "diff", "--stat", before, cwd=project) == ""


def test_an_edited_file_of_a_disabled_feature_is_kept_and_reported(
    render: Render, tmp_path: Path, python: Path
):
    edit = instead("Dockerfile", "EXPOSE 8000\n", "EXPOSE 9000\n")
    project = project_of(render(), tmp_path / "project", edit)
    first = run("git", "rev-parse", "HEAD", cwd=project).strip()

    code, said = update(project, python, "--answers", "docker=false")
    commit(project, "Off")

    assert code == 1
    assert "Dockerfile: the template removed this file and you changed it. Delete it or keep it." in said
    assert "EXPOSE 9000" in (project / "Dockerfile").read_text()
    assert not (project / "compose.yaml").exists()
    turned_on, said = update(project, python, "--answers", "docker=true")
    assert turned_on == 1
    assert "Dockerfile" in said
    assert run("git", "diff", "--name-only", first, "--", ":!Dockerfile", cwd=project) == ""


def answers(values: tuple[str, ...]) -> list[str]:
    return [part for value in values for part in ("--answers", value)]

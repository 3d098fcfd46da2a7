"""A generated project passes its own checks and its own tests, on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest
from conftest import Render, run

LARGEST: dict[str, object] = {}
SMALLEST: dict[str, object] = {
    "database": "postgresql",
    "docker": False,
    "ci": "none",
    "example": False,
    "project_name": 'Ada\'s "best" Bücher 🦅',
}
PROJECTS = pytest.mark.parametrize("answers", [LARGEST, SMALLEST], ids=["everything", "least"])


@PROJECTS
def test_pyright_finds_nothing(render: Render, python: Path, answers: dict[str, object]):
    project = render(**answers)
    (project / ".venv").symlink_to(python.parent.parent)

    assert "0 errors, 0 warnings" in run(python, "-m", "pyright", cwd=project)


@PROJECTS
def test_the_suite_passes_on_sqlite(render: Render, python: Path, answers: dict[str, object]):
    project = render(**answers)

    summary = run(python, "-m", "pytest", "-q", "-n", "2", cwd=project).splitlines()[-1]

    # What is about PostgreSQL alone says so there; below nothing may be skipped.
    assert "failed" not in summary


@PROJECTS
def test_the_suite_passes_on_postgresql(
    render: Render, python: Path, postgresql: str, redis: str, answers: dict[str, object]
):
    project = render(**answers)

    environment = {"TEST_DATABASE_URL": postgresql, "TEST_REDIS_URL": redis, "REQUIRE_SERVICES": "1"}
    summary = run(python, "-m", "pytest", "-q", "-n", "2", cwd=project, env=environment).splitlines()[-1]

    assert "skipped" not in summary


def test_the_suite_has_the_size_that_it_should(render: Render, python: Path):
    project = render()

    collected = run(python, "-m", "pytest", "-q", "--collect-only", cwd=project).splitlines()[-1]

    assert int(collected.split()[0]) >= 150


def test_the_environment_of_the_tests_or_of_the_machine_does_not_reach_the_suite(
    render: Render, python: Path
):
    project = render()
    odd = {
        "ENVIRONMENT": "production",
        "DEBUG": "nonsense",
        "PASSWORD_MIN_LENGTH": "60",
        "USERS_PREFIX": "/x",
    }

    some = ["tests/test_settings.py", "tests/users/test_login.py", "tests/users/test_password_reset.py"]
    run(python, "-m", "pytest", "-q", *some, cwd=project, env=odd)

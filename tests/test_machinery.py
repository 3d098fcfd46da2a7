"""The tests of what owners do not edit, run in a generated project on both databases.

`tests/machinery/` mirrors the `tests/` of a project and uses its fixtures. `tests/run_machinery.py` runs some
of them by hand.
"""

from pathlib import Path

import pytest
from conftest import MACHINERY, REPOSITORY, Render, add_machinery_tests, run

OWN = REPOSITORY / "template" / "tests"
FILES = sorted(str(path.relative_to(MACHINERY)) for path in MACHINERY.rglob("*.py"))
PYTEST = ["-m", "pytest", "-p", "tests.documented_errors", "-q", "-n", "2", "--all"]
TESTS = [f"tests/{name}" for name in FILES if Path(name).name.startswith("test_")]


@pytest.fixture(scope="session")
def project(render: Render) -> Path:
    return add_machinery_tests(render())


def test_none_of_its_files_replaces_one_of_the_project():
    assert [name for name in FILES if (OWN / name).exists()] == []


def test_it_is_formatted_and_has_no_lint(project: Path, python: Path):
    run(python, "-m", "ruff", "check", cwd=project)
    run(python, "-m", "ruff", "format", "--check", cwd=project)


def test_it_passes_on_sqlite(project: Path, python: Path, redis: str):
    environment = {"TEST_REDIS_URL": redis}

    summary = run(python, *PYTEST, *TESTS, cwd=project, env=environment)

    assert "failed" not in summary.splitlines()[-1]


def test_it_passes_on_postgresql(project: Path, python: Path, postgresql: str, redis: str):
    environment = {"TEST_DATABASE_URL": postgresql, "TEST_REDIS_URL": redis, "REQUIRE_SERVICES": "1"}

    summary = run(python, *PYTEST, *TESTS, cwd=project, env=environment)

    assert "skipped" not in summary.splitlines()[-1]

"""Runs the machinery tests in a generated project: all on SQLite, and those that use the database also on
PostgreSQL.

`tests/machinery/` mirrors the `tests/` of a project and uses its fixtures. `tests/run_machinery.py` runs
selected tests manually.
"""

import re
from pathlib import Path

import pytest
from conftest import MACHINERY, REPOSITORY, WITH_FEATURES, Render, add_machinery_tests, run

OWN = REPOSITORY / "template" / "tests"
FILES = sorted(str(path.relative_to(MACHINERY)) for path in MACHINERY.rglob("*.py"))
NO_HANG = ["-o", "faulthandler_timeout=300", "-o", "faulthandler_exit_on_timeout=true"]
PYTEST = ["-m", "pytest", "-p", "tests.documented_errors", "-q", "--all", *NO_HANG]
TESTS = [f"tests/{name}" for name in FILES if Path(name).name.startswith("test_")]


@pytest.fixture(scope="session")
def project(compiled: Render) -> Path:
    return add_machinery_tests(compiled(**WITH_FEATURES))


def test_no_machinery_test_replaces_a_project_file():
    assert [name for name in FILES if (OWN / name).exists()] == []


def test_it_is_formatted_and_has_no_lint(project: Path, python: Path):
    run(python, "-m", "ruff", "check", cwd=project)
    run(python, "-m", "ruff", "format", "--check", cwd=project)


@pytest.mark.minutes
def test_it_passes_on_sqlite(project: Path, python: Path, redis: str):
    environment = {"TEST_REDIS_URL": redis}

    summary = run(python, *PYTEST, *TESTS, cwd=project, env=environment).splitlines()[-1]

    assert "failed" not in summary


@pytest.mark.minutes
def test_database_tests_pass_on_postgresql(project: Path, python: Path, postgresql: str, redis: str):
    environment = {"TEST_DATABASE_URL": postgresql, "TEST_REDIS_URL": redis, "REQUIRE_SERVICES": "1"}
    options = ["-p", "tests.only_with_the_database"]

    summary = run(python, *PYTEST, *options, *TESTS, cwd=project, env=environment).splitlines()[-1]

    assert "skipped" not in summary
    counted = {what: int(number) for number, what in re.findall(r"(\d+) (passed|deselected)", summary)}
    # A fixed number, not a percentage: tests that need no database may be added freely.
    assert counted["passed"] > 1_900, summary

"""Runs the scanners that a security team runs first on a new project: bandit, detect-secrets and pip-audit.
For each scanner, another test checks that it does find something, because a scanner that is silent for
another reason proves nothing.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, Render, clean_environment, commit, run

NO_SECRETS = r"^(postgres|password|correct horse battery)$"
"""Placeholders in examples: the password of a local database, the word itself in a URL, and a user's password
in the README."""
ABOUT_PASSWORDS = ["KeywordDetector", "BasicAuthDetector"]
"""Detectors of text next to the word "password" or in a URL. The tests contain invented passwords everywhere,
but are still scanned for keys, tokens and random text.
"""
# Split in two, because this file would be reported otherwise.
PLANTED_KEY = "AKIA" + "QYLPMN5HHHFPZAM2"
PLANTED_CALL = """
import subprocess

def run(command: str) -> int:
    return subprocess.call(command, shell=True)
"""


@pytest.fixture(scope="module")
def project(render: Render) -> Path:
    """A new project as its owner would commit it: without the ignored `.env` and its secret."""
    project = render(from_hawkapi_users=True)
    run("git", "init", "--quiet", cwd=project)
    commit(project, "A new project")
    assert (project / ".env").exists()
    return project


@pytest.fixture
def plant(project: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """`plant("README.md", text)`: a copy of the project with *text* appended to that file."""
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)

    def write(name: str, text: str) -> Path:
        with (copy / name).open("a") as file:
            file.write(text)
        return copy

    return write


def test_bandit_finds_nothing(project: Path, tools_python: Path):
    assert bandit(tools_python, project) == []


def test_bandit_finds_nothing_in_the_update_tool(tools_python: Path):
    assert bandit(tools_python, REPOSITORY, "src", at_least=500) == []


def test_bandit_would_find_a_shell(plant: Callable[[str, str], Path], tools_python: Path):
    planted = plant("app/clock.py", PLANTED_CALL)

    assert ("app/clock.py", "B602") in bandit(tools_python, planted)


def test_detect_secrets_finds_nothing(project: Path, tools_python: Path):
    assert secrets(tools_python, project) == []


def test_detect_secrets_would_find_a_key_anywhere_and_a_password_outside_the_tests(
    plant: Callable[[str, str], Path], tools_python: Path
):
    for name in ("README.md", "tests/conftest.py"):
        plant(name, f"\nkey = '{PLANTED_KEY}'\n")
    planted = plant("app/settings.py", "\npassword = 'tr0ub4dor-and-3'\n")

    assert set(secrets(tools_python, planted)) == {
        ("README.md", "AWS Access Key"),
        ("tests/conftest.py", "AWS Access Key"),
        ("app/settings.py", "Secret Keyword"),
    }


def test_pip_audit_finds_nothing(project: Path, tools_python: Path):
    assert audit(tools_python, locked(project, "--all-groups")) == []


def test_pip_audit_finds_nothing_in_what_the_update_tool_needs(
    template: Path, tools_python: Path, tmp_path: Path
):
    shutil.copytree(template, tmp_path / "copy")

    assert audit(tools_python, locked(tmp_path / "copy", "--no-dev")) == []


def test_pip_audit_would_find_a_vulnerable_version(tools_python: Path, tmp_path: Path):
    old = tmp_path / "requirements.txt"
    old.write_text("jinja2==3.1.2\n")

    assert "jinja2" in audit(tools_python, old, "--no-deps")


def bandit(
    python: Path, project: Path, folder: str = "app", *, at_least: int = 1000
) -> list[tuple[str, str]]:
    """The file and test of each finding in *folder*, which must have at least *at_least* lines."""
    done = tool(python, "bandit", "--quiet", "--recursive", folder, "--format", "json", cwd=project)
    report = json.loads(done.stdout)
    assert report["errors"] == []
    assert report["metrics"]["_totals"]["loc"] >= at_least
    return [(each["filename"], each["test_id"]) for each in report["results"]]


def secrets(python: Path, project: Path) -> list[tuple[str, str]]:
    """The file and kind of each finding in tracked files."""
    return [
        *detected(python, project, "--exclude-files", "^tests/"),
        *detected(python, project, *without(ABOUT_PASSWORDS), "tests"),
    ]


def detected(python: Path, project: Path, *options: str) -> Iterator[tuple[str, str]]:
    done = tool(python, "detect-secrets", "scan", "--exclude-secrets", NO_SECRETS, *options, cwd=project)
    assert done.returncode == 0, done.stderr
    for name, found in json.loads(done.stdout)["results"].items():
        yield from ((name, each["type"]) for each in found)


def without(detectors: list[str]) -> list[str]:
    return [part for each in detectors for part in ("--disable-plugin", each)]


def locked(project: Path, *groups: str) -> Path:
    """A project's requirements, each with its version."""
    uv = [sys.executable, "-m", "uv"]
    run(*uv, "lock", "--quiet", cwd=project)
    export = ["export", "--frozen", *groups, "--no-emit-project", "--quiet"]
    requirements = project / "requirements.txt"
    requirements.write_text(run(*uv, *export, cwd=project))
    return requirements


def audit(python: Path, requirements: Path, *options: str) -> list[str]:
    """The packages with a known vulnerability. The test is skipped if pip-audit cannot reach its database.
    REQUIRE_SERVICES does not turn this into a failure, because none of our services is missing.
    """
    audit = ["--requirement", str(requirements), "--disable-pip", "--format", "json", *options]
    done = tool(python, "pip-audit", *audit, cwd=requirements.parent)
    if not done.stdout.strip():
        if re.search(r"ConnectionError|ConnectTimeout|ReadTimeout|ServiceError", done.stderr):
            pytest.skip(f"pip-audit cannot reach its data: {done.stderr.splitlines()[-1][:200]}")
        pytest.fail(done.stderr, pytrace=False)
    audited, unknown = [], []
    for each in json.loads(done.stdout)["dependencies"]:
        (unknown if "skip_reason" in each else audited).append(each)
    if unknown and not audited:
        # A mirror of the registry has the packages but not the vulnerability data.
        pytest.skip(f"pip-audit cannot reach its data: {unknown[0]['skip_reason']}, and so for all others")
    assert unknown == []
    return [each["name"] for each in audited if each["vulns"]]


def tool(python: Path, name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python.parent / name, *arguments],
        cwd=cwd,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )

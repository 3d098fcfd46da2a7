"""`template-update` checks the merged files with pyright and the tests, even if another file conflicts."""

import subprocess
import sys
from pathlib import Path

import pytest
from test_template_update import (
    Repository,
    Run,
    bare_git,
    first_version,
    project,
    quick_copier,
    ran,
    template,
    update,
    update_with_copier,
)

from template_update.project import ProjectTools

__all__ = [
    "bare_git",
    "first_version",
    "project",
    "quick_copier",
    "ran",
    "template",
    "update",
    "update_with_copier",
]

MONEY = "def price(amount: int) -> int:\n    return amount\n\n\ndef free() -> int:\n    return 0\n"
TEST = "from app.shop.money import price\n\n\ndef test_price() -> None:\n    assert price(2) == {}\n"
NAMES = "ONE = 1\nTWO = 2\nTHREE = 3\n"


@pytest.fixture
def tools(update: Run, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs the project's tools in the environment of these tests, and returns the commands that have run."""
    commands: list[str] = []

    def run(tools: ProjectTools, *command: str) -> subprocess.CompletedProcess[str]:
        commands.append(" ".join(command))
        folder: Path = tools._project
        environment = {"PATH": "", "PYTHONPATH": str(folder), "HOME": str(Path.home())}
        python = [sys.executable, "-P", "-m", *command]
        return subprocess.run(
            python, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    monkeypatch.setattr(ProjectTools, "has", lambda tools, module: module == "ruff")
    monkeypatch.setattr(ProjectTools, "run", lambda tools, *command: run(tools, *command).returncode == 0)
    monkeypatch.setattr(ProjectTools, "said", lambda tools, *command: run(tools, *command).stdout)
    return commands


@pytest.fixture
def money(template: Repository, project: Repository, update: Run) -> None:
    """Template modules that are also in the project, and a test that imports one of them."""
    template.commit(
        {
            "template/app/shop/money.py": MONEY,
            "template/app/names.py": NAMES,
            "template/tests/conftest.py": "import app.names as names\n",
            "template/tests/test_code.py": "",
            "template/tests/test_money.py": TEST.format(2),
            "template/app/code.py": "",
            "template/pyproject.toml": "[tool.pyright]\ninclude = ['app']\nstrict = ['app']\n",
        },
        tag="1.0.1",
    )
    update()
    project.commit()


def conflict(template: Repository, project: Repository, works: bool) -> None:
    """Make the next version conflict in one file and change the price in another one."""
    project.commit({"app/names.py": NAMES.replace("TWO = 2", "TWO = 22")})
    template.commit(
        {
            "template/app/names.py": NAMES.replace("TWO = 2", "TWO = 222"),
            "template/app/shop/money.py": MONEY.replace("return amount", "return 3 * amount"),
            "template/tests/test_money.py": TEST.format(6 if works else 7),
        },
        tag="1.1.0",
    )


@pytest.mark.parametrize("works", [True, False])
def test_what_merged_is_tested_although_another_file_conflicts(
    template: Repository, project: Repository, update: Run, money: None, tools: list[str], works: bool
) -> None:
    conflict(template, project, works)

    result = update()

    assert result.exit_code == 1
    said = "\nChecking the merged changes in a copy that contains your side of each conflict:\n"
    assert said in result.output
    assert tools == ["ruff check --quiet", "pytest -q tests/test_money.py"]
    assert ("`uv run pytest tests/test_money.py` failed (see above)." in result.output) is not works
    assert "<<<<<<< yours" in project.read("app/names.py")


def test_only_ruff_checks_a_merge_whose_tests_are_skipped(
    template: Repository, project: Repository, update: Run, money: None, tools: list[str]
) -> None:
    conflict(template, project, works=True)

    update("--skip-tests")

    assert tools == ["ruff check --quiet"]


def test_an_error_of_types_that_the_update_brings_is_told(
    template: Repository,
    project: Repository,
    update: Run,
    money: None,
    tools: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An error that already existed does not count, even if it has moved to another line."""
    monkeypatch.setattr(ProjectTools, "has", lambda tools, module: module in ("ruff", "pyright"))
    mine = 'from app.shop.money import price\n\nTOTAL: int = price(2)\nOLD: int = "old"\n'
    project.commit({"app/mine.py": mine, "app/shop/money.py": f'{MONEY}\n\nOLD: int = "old"\n'})
    changed = MONEY.replace("-> int", "-> str", 1).replace("return amount", "return str(amount)")
    template.commit(
        {
            "template/app/shop/money.py": f"# In words.\n{changed}",
            "template/tests/test_money.py": TEST.format("'2'"),
        },
        tag="1.1.0",
    )

    result = update()

    assert result.exit_code == 1
    told = [line for line in result.output.splitlines() if "pyright reports" in line]
    assert len(told) == 1
    assert told[0].startswith(
        "app/mine.py, line 3: pyright reports an error that did not exist before the update: Type"
        ' "str" is not assignable to declared type "int"'
    )
    assert told[0].endswith(". Fix it before you commit.")

"""`template-update` formats the template's versions the way the project is formatted, so that they merge."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_template_update import (
    CALLS,
    NARROW,
    Repository,
    Run,
    bare_git,
    copied,
    first_version,
    project,
    quick_copier,
    ran,
    template,
    update,
    update_with_copier,
)

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

MENDED = ('"a fourth one"', '"a fifth one"')
IMPORTS = "import os\nimport json\n\n\ndef first():\n    return os, json\n"


@pytest.fixture
def calls(template: Repository, project: Repository, update: Run) -> None:
    """A template module with long lines, which the project has not changed."""
    template.commit({"template/app/calls.py": CALLS, "template/app/imports.py": IMPORTS}, tag="1.0.1")
    update()
    project.commit()


def mended(template: Repository) -> None:
    """Release a version that fixes one of the long lines."""
    new = CALLS.replace(*MENDED)
    template.commit({"template/app/calls.py": new, "template/app/new.py": new}, tag="1.1.0")


def with_formatters(project: Repository, *names: str) -> None:
    """Put formatters into the project's environment."""
    for name in names:
        command = project.folder / ".venv" / "bin" / name
        command.parent.mkdir(parents=True, exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m {name} "$@"\n')
        command.chmod(0o755)
    project.commit({".gitignore": ".env\n/.venv\n"})


def test_a_project_formatted_by_black_merges_and_gets_new_files_in_its_format(
    template: Repository, project: Repository, update: Run, calls: None
) -> None:
    with_formatters(project, "black", "isort")
    mine = NARROW.replace('"a third one"', '"mine"')
    tools = (
        "[tool.black]\nline-length = 50\n[tool.isort]\nprofile = 'black'\n[tool.ruff]\nline-length = 110\n"
    )
    sorted_imports = IMPORTS.replace("import os\nimport json", "import json\nimport os")
    project.commit({"pyproject.toml": tools, "app/calls.py": mine, "app/imports.py": sorted_imports})
    changed = IMPORTS.replace("import json\n", "import json\nimport abc\n")
    template.commit({"template/app/imports.py": changed}, tag="1.0.2")
    mended(template)

    result = update()

    assert result.exit_code == 0, result.output
    assert project.read("app/calls.py") == mine.replace(*MENDED)
    assert project.read("app/new.py") == NARROW.replace(*MENDED)
    assert project.read("app/imports.py").startswith("import abc\nimport json\nimport os\n")


def test_a_file_that_is_the_same_everywhere_is_formatted_once(
    template: Repository, project: Repository, update: Run, calls: None
) -> None:
    """Black takes a second for ten files."""
    with_formatters(project, "black")
    formatted = project.folder.parent / "formatted"
    command = project.folder / ".venv" / "bin" / "black"
    command.write_text(command.read_text().replace("exec ", f"find . -name '*.py' >> {formatted}\nexec "))
    project.commit({"pyproject.toml": "[tool.black]\nline-length = 50\n", "app/calls.py": NARROW})
    mended(template)

    result = update()

    assert result.exit_code == 0, result.output
    assert formatted.read_text().split().count("./app/imports.py") == 1


def test_a_formatter_that_is_missing_is_told(
    template: Repository, project: Repository, update: Run, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = project.folder.parent / "uv"
    uv.write_text("#!/bin/sh\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))
    project.commit({"pyproject.toml": "[tool.black]\nline-length = 50\n", "app/calls.py": NARROW})
    mended(template)

    result = update()

    assert result.exit_code == 1
    assert "This project is formatted with black, which is not installed" in result.output


def test_the_rules_of_a_folder_above_the_project_are_found(
    template: Repository, tmp_path: Path, update: Run, calls: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(template.folder, tmp_path / "all" / "services" / "shop", "1.0.1")
    everything = Repository(tmp_path / "all")
    mine = NARROW.replace('"a third one"', '"mine"')
    everything.commit(
        {
            "pyproject.toml": "[tool.ruff]\nline-length = 50\n",
            "services/shop/pyproject.toml": "[project]\nname = 'shop'\n",
            "services/shop/app/calls.py": mine,
        }
    )
    monkeypatch.chdir(everything.folder / "services" / "shop")
    mended(template)

    result = update()

    assert result.exit_code == 0, result.output
    assert Path("app/calls.py").read_text() == mine.replace(*MENDED)
    assert Path("app/new.py").read_text() == NARROW.replace(*MENDED)


def test_files_that_the_project_excludes_are_not_formatted(
    template: Repository, project: Repository, update: Run, calls: None
) -> None:
    mine = CALLS.replace('"a third one"', '"mine"')
    project.commit(
        {
            "ruff.toml": 'line-length = 50\nextend-exclude = ["app/calls.py", "app/new.py"]\n',
            "app/calls.py": mine,
        }
    )
    mended(template)

    result = update()

    assert result.exit_code == 0, result.output
    assert project.read("app/calls.py") == mine.replace(*MENDED)
    assert project.read("app/new.py") == CALLS.replace(*MENDED)
    assert not os.path.lexists(project.folder / ".ruff_cache")


@pytest.mark.parametrize("is_edited", [True, False], ids=["edited", "not edited"])
def test_isort_knows_the_projects_packages_if_only_tests_change(
    template: Repository, project: Repository, update: Run, is_edited: bool
) -> None:
    """Otherwise, it sorts them among the libraries."""
    test = (
        "import pytest\n\nfrom app.shop import first\n\n\ndef test_one():\n"
        '    assert first("a long argument number one", "a long argument number two", "a third one")\n'
    )
    template.commit(
        {"template/app/shop.py": "def first(*a):\n    return 1\n", "template/tests/test_shop.py": test},
        tag="1.0.1",
    )
    update()
    project.commit()
    with_formatters(project, "black", "isort")
    limits = "[tool.black]\nline-length = 50\n[tool.isort]\nprofile = 'black'\nline_length = 50\n"
    project.commit({"pyproject.toml": limits})
    for name in ("isort", "black"):
        command = [project.folder / ".venv" / "bin" / name, "-q", "tests/test_shop.py"]
        subprocess.run(command, cwd=project.folder, check=True)
    mine = project.read("tests/test_shop.py") + ("\n\ndef test_mine():\n    first()\n" if is_edited else "")
    project.commit({"tests/test_shop.py": mine})
    template.commit({"template/tests/test_shop.py": test.replace("number two", "number 2")}, tag="1.1.0")

    update("--skip-tests")

    assert project.read("tests/test_shop.py") == mine.replace("number two", "number 2")

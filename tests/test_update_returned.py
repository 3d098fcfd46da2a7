"""`template-update` lists lines that the project removed and that came back when the template moved them."""

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

ONE = "def one():\n    return 1\n\n\n"
TWO = "def two():\n    return 2\n\n\n"
THREE = "def three():\n    return 3\n\n\n"
FOUR = "def four():\n    return 4\n"
SENTENCE = "you removed this, but the template moved it, so it came back. Delete it again or keep it.\n"


@pytest.fixture
def numbers(template: Repository, project: Repository, update: Run) -> None:
    """A module of the template that the project has."""
    template.commit({"template/app/numbers.py": ONE + TWO + THREE + FOUR}, tag="1.0.1")
    update()
    project.commit()


def test_a_removed_function_that_the_template_moved_is_told(
    template: Repository, project: Repository, update: Run, numbers: None
) -> None:
    project.commit({"app/numbers.py": ONE + THREE + FOUR})
    template.commit({"template/app/numbers.py": ONE + THREE + TWO + FOUR}, tag="1.1.0")

    result = update()

    # For git, both sides removed it from its old place.
    assert project.read("app/numbers.py") == ONE + THREE + TWO + FOUR
    assert f"app/numbers.py, lines 9 to 10: {SENTENCE}" in result.output
    assert result.exit_code == 1


def test_a_removed_function_that_the_template_changed_is_a_conflict_and_not_back(
    template: Repository, project: Repository, update: Run, numbers: None
) -> None:
    project.commit({"app/numbers.py": ONE + THREE + FOUR})
    template.commit(
        {"template/app/numbers.py": ONE + TWO.replace("return 2", "return 1 + 1") + THREE + FOUR}, tag="1.1.0"
    )

    result = update()

    assert "app/numbers.py: you and the template changed the same lines." in result.output
    assert SENTENCE not in result.output


def test_a_line_that_the_template_adds_elsewhere_is_new(
    template: Repository, project: Repository, update: Run, numbers: None
) -> None:
    project.commit({"app/numbers.py": ONE + THREE + FOUR})
    template.commit({"template/app/numbers.py": ONE + TWO + THREE + FOUR + "\n\n" + TWO}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert SENTENCE not in result.output

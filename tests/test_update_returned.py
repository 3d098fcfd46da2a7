"""`template-update` lists removed lines that came back because the template moved them, and changed lines
that ended up in another function.
"""

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
    """A template module that is also in the project."""
    template.commit({"template/app/numbers.py": ONE + TWO + THREE + FOUR}, tag="1.0.1")
    update()
    project.commit()


def test_a_removed_function_that_the_template_moved_is_told(
    template: Repository, project: Repository, update: Run, numbers: None
) -> None:
    project.commit({"app/numbers.py": ONE + THREE + FOUR})
    template.commit({"template/app/numbers.py": ONE + THREE + TWO + FOUR}, tag="1.1.0")

    result = update()

    # As git sees it, both sides removed the function from its old place.
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


GUEST = """async def test_a_guest(make_user, change, verify):
    user = await make_user("guest")
    token = token_for(user)
    await change(user, is_guest=True)

    response = await verify(token)

    assert response.status_code == 400
"""
STRANGER = """async def test_a_stranger(make_user, change, verify):
    user = await make_user()
    token = token_for(user)
    await change(user, is_active=False)

    response = await verify(token)

    assert response.status_code == 400
"""
OTHERS = """async def test_twice(make_user, verify):
    token = token_for(user)
    response = await verify(token)
    assert response.status_code == 400

    assert response.status_code == 200
    user = await make_user()


async def test_once(make_user, verify):
    user = await make_user()
    assert response.status_code == 400
    response = await verify(token)

    assert response.status_code == 200
"""
CALL = "await verify(token)"


@pytest.fixture
def tests_alike(template: Repository, project: Repository, update: Run) -> None:
    """Template tests that have many lines in common."""
    template.commit({"template/tests/test_login.py": joined(GUEST, STRANGER)}, tag="1.0.1")
    update()
    project.commit()


def joined(*tests: str) -> str:
    return "\n\n".join((*tests, OTHERS))


def test_a_line_that_ended_up_in_another_function_is_told(
    template: Repository, project: Repository, update: Run, tests_alike: None
) -> None:
    mine = GUEST.replace(CALL, f"{CALL}  # mine")
    project.commit({"tests/test_login.py": joined(mine, STRANGER)})
    template.commit({"template/tests/test_login.py": joined(STRANGER, GUEST)}, tag="1.1.0")

    result = update()

    # Git matches the ends of the first tests, because the tests resemble each other.
    assert "# mine" in project.read("tests/test_login.py").partition("\n\n\n")[0]
    assert (
        "tests/test_login.py, line 6: you had this line in test_a_guest. The template moved similar code, so"
        " the line is now in test_a_stranger. Move it back or leave it there.\n"
    ) in result.output
    assert result.exit_code == 1
    project.commit({"tests/test_login.py": joined(STRANGER, mine)})
    assert "Nothing to pull" in update().output


def test_a_line_whose_function_has_a_new_name_is_not_told(
    template: Repository, project: Repository, update: Run, tests_alike: None
) -> None:
    mine = STRANGER.replace(CALL, f"{CALL}  # mine")
    project.commit({"tests/test_login.py": joined(GUEST, mine)})
    renamed = STRANGER.replace("test_a_stranger", "test_a_disabled_user")
    template.commit({"template/tests/test_login.py": joined(GUEST, renamed)}, tag="1.1.0")

    result = update()

    assert "# mine" in project.read("tests/test_login.py").partition("\n\n\n")[2]
    assert "similar code" not in result.output
    assert result.exit_code == 0


def test_a_line_that_moved_with_its_neighbors_is_not_told(
    template: Repository, project: Repository, update: Run, tests_alike: None
) -> None:
    mine = STRANGER.replace(CALL, f"{CALL}  # mine")
    project.commit({"tests/test_login.py": joined(GUEST, mine)})
    head, _, rest = STRANGER.partition("    await change")
    split = (
        f"{head}    await rejects(user, token)\n\n\nasync def rejects(user, token):\n    await change{rest}"
    )
    template.commit({"template/tests/test_login.py": joined(GUEST, split)}, tag="1.1.0")

    result = update()

    assert "# mine" in project.read("tests/test_login.py").partition("async def rejects")[2]
    assert "similar code" not in result.output
    assert result.exit_code == 0

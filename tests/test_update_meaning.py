"""`template-update` tells what a merge without a conflict may have got wrong in meaning."""

import json

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

USERS = '''"""Users."""

class User:
    """A person."""

    name: str

    def greet(self, word: str) -> str:
        return word

    # Your own go below.


def find(name: str) -> User | None:
    """A user."""


def remove(user: User) -> None:
    """Go."""


# The end.
'''


def told(update: Run) -> list[str]:
    """The sentences about what the merge may mean."""
    result = update("--json", "--skip-tests")
    found = json.loads(result.stdout)
    assert found["conflicts"] == []
    sentences = [each["sentence"] for each in found["findings"] if each["kind"] == "meaning"]
    assert result.exit_code == (1 if sentences else 0)
    return sentences


@pytest.fixture
def users(template: Repository, project: Repository, update: Run) -> str:
    """A module of the template, which the project has."""
    template.commit({"template/app/users.py": USERS}, tag="1.0.1")
    update()
    project.commit()
    return USERS


def test_a_name_that_both_sides_have_added_is_told(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    mine = users.replace("    # Your own go below.\n", "    # Your own go below.\n    time_zone: str\n")
    project.commit({"app/users.py": mine.replace("# The end.\n", "# The end.\ndef count() -> int: ...\n")})
    theirs = users.replace("    name: str\n", "    name: str\n    time_zone: str\n")
    template.commit(
        {"template/app/users.py": theirs.replace('."""\n\n', '."""\n\ndef count() -> str: ...\n\n', 1)},
        tag="1.1.0",
    )

    twice = told(update)

    assert twice == [
        "app/users.py: you and the template have added count (lines 3 and 27). Keep one.",
        "app/users.py: you and the template have added User.time_zone (lines 9 and 15). Keep one.",
    ]


def test_overloads_and_properties_are_not_twice(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    pair = "\n    @property\n    def age(self): ...\n\n    @age.setter\n    def age(self, new): ...\n"
    project.commit({"app/users.py": users.replace("go below.\n", f"go below.\n{pair}")})
    template.commit(
        {"template/app/users.py": users.replace("    name: str\n", "    name: int\n")}, tag="1.1.0"
    )

    assert told(update) == []


def test_an_import_of_what_has_moved_is_told(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    imports = (
        "import json\n\nfrom app import users\nfrom app.code import x\nfrom app.users import User, find\n"
    )
    project.commit({"app/shop.py": imports, "app/bill.py": "def bill():\n    import app.users\n"})
    start = users.index("def find")
    find = users[start : users.index("def remove")]
    template.commit(
        {
            "template/app/users.py": users.replace(find, ""),
            "template/app/search.py": f"from app.users import User\n\n\n{find}",
        },
        tag="1.1.0",
    )

    assert told(update) == ["app/shop.py, line 5: app.users has no find any more. app/search.py has one."]


def test_an_import_of_a_module_that_is_gone_is_told(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    project.commit(
        {
            "app/shop.py": "from app import users\nfrom .users import User\n",
            "app/bill.py": "import app.users\n",
        }
    )
    template.commit({"template/app/users.py": None, "template/app/people.py": users}, tag="1.1.0")

    assert told(update) == [
        "app/bill.py, line 1: there is no app.users any more.",
        "app/shop.py, line 1: app has no users any more.",
        "app/shop.py, line 2: there is no app.users any more. app/people.py has User.",
    ]


def test_a_call_that_no_longer_fits_is_told(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    calls = (
        "from app.users import find as search, remove\n\n"
        'search("ada")\nsearch(name="ada")\nsearch("ada", *[])\nremove(None)\nuser.greet("hi")\nother(1)\n'
    )
    project.commit({"app/shop.py": calls})
    new = users.replace("def find(name: str)", "def find(name: str, *, shop: int)")
    new = new.replace("def remove(user: User)", "def remove(user: User, really: bool = True)")
    new = new.replace("def greet(self, word: str)", "def greet(self, word: str, times: int)")
    template.commit({"template/app/users.py": new}, tag="1.1.0")

    assert told(update) == [
        "app/shop.py, line 3: find takes (name: str, *, shop: int) now (app/users.py).",
        "app/shop.py, line 4: find takes (name: str, *, shop: int) now (app/users.py).",
        "app/shop.py, line 7: User.greet takes (self, word: str, times: int) now (app/users.py).",
    ]


def test_a_file_with_a_conflict_does_not_hide_others(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    project.commit(
        {"app/shop.py": "from app.users import find\n", "app/code.py": "mine\n", "app/odd.py": "(\n"}
    )
    gone = users[: users.index("def find")]
    template.commit({"template/app/users.py": gone, "template/app/code.py": "theirs\n"}, tag="1.1.0")

    result = update()

    assert result.exit_code == 1
    assert "app/shop.py, line 1: app.users has no find any more.\n" in result.output

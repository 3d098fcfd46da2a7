"""`template-update` reports semantic errors that a conflict-free merge may have introduced."""

import json
from collections.abc import Callable

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
from test_update_states import commands, shell

from template_update import misplaced, python_files

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
    """The messages about possible semantic errors in the merge."""
    result = update("--json", "--skip-tests")
    found = json.loads(result.stdout)
    assert found["conflicts"] == []
    sentences = [each["sentence"] for each in found["findings"] if each["kind"] == "meaning"]
    assert result.exit_code == (1 if sentences else 0)
    return sentences


@pytest.fixture
def users(template: Repository, project: Repository, update: Run) -> str:
    """A template module that is also in the project."""
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
        "app/users.py, line 15: you and the template both added User.time_zone (also in line 9). Keep one.",
        "app/users.py, line 27: you and the template both added count (also in line 3). Keep one.",
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

    assert told(update) == [
        "app/shop.py, line 5: the template moved find from app.users to app.search.find. Import it from"
        " there."
    ]


def test_every_use_of_a_module_that_the_template_renamed_is_told(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    project.commit(
        {
            "app/shop.py": "from app import users\nfrom .users import User\n\nusers.find('ada')\n",
            "app/bill.py": "import app.users\n",
            "tests/test_bill.py": "def test_bill(patch):\n    patch('app.users.find', None)\n",
        }
    )
    template.commit({"template/app/users.py": None, "template/app/people.py": users}, tag="1.1.0")

    assert told(update) == [
        f"{place}: the template renamed app.users to app.people. Use the new name."
        for place in (
            "app/bill.py, line 1",
            "app/shop.py, line 1",
            "app/shop.py, line 2",
            "tests/test_bill.py, line 2",
        )
    ]


def test_every_use_of_a_name_that_the_template_renamed_or_removed_is_told(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    project.commit(
        {"app/shop.py": "from app import users\nfrom app.users import remove\n\nusers.find('ada')\n"}
    )
    new = users.replace("def find(name", "def search(name")
    template.commit({"template/app/users.py": new[: new.index("def remove")]}, tag="1.1.0")

    assert told(update) == [
        "app/shop.py, line 2: app.users no longer contains remove. Replace it, or keep your own copy of it.",
        "app/shop.py, line 4: the template renamed find in app.users to search. Use the new name.",
    ]


def test_a_renamed_file_with_changes_of_yours_is_told(
    template: Repository, project: Repository, update: Run, users: str
) -> None:
    project.commit({"app/users.py": users.replace("# The end.\n", "# My end.\n")})
    template.commit({"template/app/users.py": None, "template/app/people.py": users}, tag="1.1.0")

    result = update()

    sentence = (
        "app/users.py: the template renamed this file to app/people.py. Your changes are now in that file."
    )
    assert (result.exit_code, sentence in result.output) == (0, True)
    assert project.read("app/people.py").endswith("# My end.\n")


# Columns and tables

MODELS = """from sqlalchemy.orm import Mapped, mapped_column


class User:
    __tablename__ = "users"

    id: Mapped[str] = mapped_column()
    # Your own columns go below.
"""
MIGRATION = """from alembic import op
import sqlalchemy as sa


def upgrade() -> None:
    {}


def downgrade() -> None:
    op.drop_column("users", "seen_at")
"""
ADDS_A_COLUMN = """with op.batch_alter_table("users") as users:
        users.add_column(sa.Column("time_zone", sa.String()))"""
ADDS_A_TABLE = 'op.create_table("orders", sa.Column("id", sa.String()))'
ADVICE = (
    "Before you migrate, rename yours, or make each migration add it only if it is missing (see"
    ' "A column or table that you already have" in the template\'s docs/updating.md).'
)


@pytest.mark.parametrize(
    ("mine", "theirs", "sentence"),
    [
        (
            {
                "migrations/mine.py": MIGRATION.format(
                    'op.add_column("users", sa.Column("time_zone", sa.Text()))'
                )
            },
            ADDS_A_COLUMN,
            "line 7: adds users.time_zone, which you also added (migrations/mine.py, line 6).",
        ),
        (
            {"app/models.py": MODELS + '    zone: Mapped[str] = mapped_column("time_zone")\n'},
            ADDS_A_COLUMN,
            "line 7: adds users.time_zone, which you also added (app/models.py, line 9).",
        ),
        (
            {"app/shop.py": 'class Order:\n    __tablename__ = "orders"\n'},
            ADDS_A_TABLE,
            "line 6: adds orders, which you also added (app/shop.py, line 1).",
        ),
    ],
    ids=["two migrations", "a model and a migration", "a table"],
)
def test_what_both_sides_add_to_the_database_is_told_before_it_is_migrated(
    template: Repository,
    project: Repository,
    update: Run,
    ran: list[str],
    mine: dict[str, str | bytes | None],
    theirs: str,
    sentence: str,
) -> None:
    template.commit({"template/app/models.py": MODELS}, tag="1.0.1")
    update()
    project.commit()
    project.commit(mine)
    template.commit({"template/app/users/migrations/two.py": MIGRATION.format(theirs)}, tag="1.1.0")
    ran.clear()

    result = update("--yes")

    assert result.exit_code == 1
    assert f"app/users/migrations/two.py, {sentence} {ADVICE}\n" in result.output
    assert "app.cli db upgrade" not in ran


def test_other_columns_are_not_told(template: Repository, project: Repository, update: Run) -> None:
    """The tool reports neither columns of other tables nor columns that a migration drops."""
    own = MIGRATION.format('op.add_column("orders", sa.Column("time_zone", sa.Text()))')
    project.commit({"migrations/mine.py": own})
    template.commit({"template/app/users/migrations/two.py": MIGRATION.format(ADDS_A_COLUMN)}, tag="1.1.0")

    result = update("--dry-run")

    assert (result.exit_code, "which you have added" in result.output) == (0, False)


# Code that was moved to another file

PRICE = """def price(amount: int) -> str:
    euros, cents = divmod(amount, 100)
    # At least two digits.
    return f"{euros}.{cents:02}"
"""
TAX = """def tax(amount: int) -> int:
    return amount * 19 // 100
"""
NEGATIVE = PRICE.replace("divmod(amount, 100)", "divmod(abs(amount), 100)")


@pytest.fixture
def moved(template: Repository, project: Repository, update: Run) -> str:
    """A template function that the project has moved to its own file, unchanged."""
    template.commit({"template/app/money.py": f"{PRICE}\n\n{TAX}"}, tag="1.0.1")
    update()
    project.commit()
    mine = PRICE.replace('return f"{euros}', 'return f"EUR {euros}')
    project.commit({"app/money.py": TAX, "app/mine.py": f"# Mine.\n\n\n{mine}"})
    return mine


def test_a_change_of_a_function_that_was_moved_is_offered_as_a_patch(
    template: Repository, project: Repository, update: Run, moved: str
) -> None:
    template.commit({"template/app/money.py": f"{NEGATIVE}\n\n{TAX}"}, tag="1.1.0")

    result = update("--skip-tests")

    sentence = "app/mine.py, line 4: the template changed price in app/money.py, which you moved here."
    assert (result.exit_code, sentence in result.output) == (1, True)
    (command,) = [each for each in commands(result.output) if "git apply" in each]
    shell(command)
    assert (
        project.read("app/mine.py") == f"# Mine.\n\n\n{moved.replace('(amount, 100)', '(abs(amount), 100)')}"
    )


@pytest.mark.parametrize(
    "change",
    [lambda text: text.rstrip("\n"), lambda text: text.replace("Mine.\n", "Mine.\n\f")],
    ids=["no newline at the end", "form feed"],
)
def test_the_patch_for_a_function_that_was_moved_fits_every_file(
    template: Repository, project: Repository, update: Run, moved: str, change: Callable[[str], str]
) -> None:
    project.commit({"app/mine.py": change(project.read("app/mine.py"))})
    template.commit({"template/app/money.py": f"{NEGATIVE}\n\n{TAX}"}, tag="1.1.0")

    result = update("--skip-tests")

    (command,) = [each for each in commands(result.output) if "git apply" in each]
    shell(command)
    changed = moved.replace("(amount, 100)", "(abs(amount), 100)")
    assert project.read("app/mine.py") == change(f"# Mine.\n\n\n{changed}")


def test_a_change_of_a_function_that_was_moved_and_changed_alike_is_shown(
    template: Repository, project: Repository, update: Run, moved: str
) -> None:
    template.commit(
        {"template/app/money.py": f"{PRICE.replace('return f', 'return sign + f')}\n\n{TAX}"}, tag="1.1.0"
    )

    result = update("--skip-tests")

    assert "which you moved here. Your code may need the same change: `git diff" in result.output
    (command,) = [each for each in commands(result.output) if "git diff" in each]
    assert "+    return sign + f" in shell(command)


def test_a_file_that_git_follows_is_told_once(
    template: Repository, project: Repository, update: Run, moved: str
) -> None:
    project.commit({"app/money.py": None, "app/mine.py": f"{PRICE}\n\n{TAX}"})
    template.commit({"template/app/money.py": f"{NEGATIVE}\n\n{TAX}"}, tag="1.1.0")

    result = update("--skip-tests")

    assert "you moved it to app/mine.py. The change was merged there." in result.output
    assert "which you moved here" not in result.output


def test_the_patches_for_two_neighbouring_functions_can_both_be_applied(
    template: Repository, project: Repository, update: Run
) -> None:
    first = "def first(x):\n    y = x\n    z = y\n    return z\n"
    second = "def second(x):\n    y = x\n    z = y\n    return z + 1\n"
    kept = "def keep():\n    return 0\n"
    template.commit({"template/app/two.py": f"{first}\n\n{second}\n\n{kept}"}, tag="1.0.1")
    update()
    project.commit()
    project.commit({"app/two.py": kept, "app/mine.py": f"{first}\n\n{second}"})
    changed = f"{first}\n\n{second}".replace("return z\n", "return z * 2\n").replace(
        "second(x)", "second(x, q=0)"
    )
    template.commit({"template/app/two.py": f"{changed}\n\n{kept}"}, tag="1.1.0")

    result = update("--skip-tests")

    patches = [each for each in commands(result.output) if "git apply" in each]
    assert len(patches) == 2
    for command in patches:
        shell(command)
    assert project.read("app/mine.py") == changed


# Files that are hard to read


def test_code_that_python_cannot_parse_for_its_length_is_merged(
    template: Repository, project: Repository, update: Run
) -> None:
    long = "TEXT = " + " + ".join(["'a'"] * 20_000) + "\n"
    template.commit({"template/app/money.py": f"{long}{PRICE}\n\n{TAX}"}, tag="1.0.1")
    update()
    project.commit()
    project.commit({"app/money.py": f"{long}{PRICE}\n\n{TAX}\n\n# Mine.\n"})
    template.commit({"template/app/money.py": f"{long}{NEGATIVE}\n\n{TAX}"}, tag="1.1.0")

    result = update("--skip-tests")

    assert isinstance(result.exception, SystemExit | None)
    merged = project.read("app/money.py")
    assert ("abs(amount)" in merged, "# Mine." in merged) == (True, True)


def test_reading_code_prints_no_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert python_files.parsed('NOT_AN_ESCAPE = "\\d"\n') is not None
    assert recwarn.list == []


def test_a_lone_carriage_return_does_not_shift_the_lines() -> None:
    lines = [(1, "# a\r# b"), (2, "def first():"), (3, "    return 1")]

    assert misplaced._scopes(lines) == []


# Calls


def test_a_method_of_an_unrelated_class_is_not_a_call_that_must_change(
    template: Repository, project: Repository, update: Run
) -> None:
    old = "class Cache:\n    def get(self, key):\n        return key\n"
    template.commit({"template/app/cache.py": old}, tag="1.0.1")
    update()
    project.commit({"app/shop.py": "SETTINGS = {'a': 1}\nSETTINGS.get('a')\n"})
    template.commit({"template/app/cache.py": old.replace("key):", "key, region):")}, tag="1.1.0")

    assert told(update) == []


def test_calls_of_what_a_package_exports_are_told(
    template: Repository, project: Repository, update: Run
) -> None:
    old = "class Shop:\n    def pay(self, amount):\n        pass\n\n\ndef refund(amount):\n    pass\n"
    exports = "from app.shop.payments import Shop as Shop, refund as refund\n"
    template.commit(
        {"template/app/shop/payments.py": old, "template/app/shop/__init__.py": exports}, tag="1.0.1"
    )
    update()
    project.commit(
        {"app/mine.py": "from app.shop import Shop, refund\n\nshop = Shop()\nshop.pay(3)\nrefund(3)\n"}
    )
    new = old.replace("amount):", "amount, currency):")
    template.commit({"template/app/shop/payments.py": new}, tag="1.1.0")

    assert told(update) == [
        "app/mine.py, line 4: Shop.pay in app/shop/payments.py now takes (self, amount, currency)."
        " Change the call.",
        "app/mine.py, line 5: refund in app/shop/payments.py now takes (amount, currency). Change the call.",
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
        "app/shop.py, line 3: find in app/users.py now takes (name: str, *, shop: int). Change the call.",
        "app/shop.py, line 4: find in app/users.py now takes (name: str, *, shop: int). Change the call.",
        "app/shop.py, line 7: User.greet in app/users.py now takes (self, word: str, times: int)."
        " Change the call.",
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
    assert "app/shop.py, line 1: app.users no longer contains find." in result.output

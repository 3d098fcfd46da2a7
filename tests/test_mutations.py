"""The list in `protections.py` matches the code, the tests and SECURITY.md. `mutations.py` checks, weekly and
on demand, that each test fails without its protection.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import MACHINERY, REPOSITORY
from mutations import BROKEN, KILLED, SURVIVED, outcome_of
from protections import PROTECTIONS, CannotBeApplied, Change, Mutation

TEMPLATE = REPOSITORY / "template"
SECURITY = "\n".join(
    path.read_text("utf-8") for path in (TEMPLATE / "SECURITY.md", *TEMPLATE.glob("app/*/SECURITY.md"))
)
"""Some features have their own security page."""
CHECKLIST = "".join(part.partition("\n## ")[0] for part in SECURITY.split("\n## Checklist\n")[1:])
ROWS: dict[int, set[str]] = {}
for item, row in re.findall(r"^\| (\d+) \|(.*)$", CHECKLIST, re.MULTILINE):
    ROWS.setdefault(int(item), set()).update(re.findall(r"`([^`]+)`", row))
EACH = pytest.mark.parametrize("mutation", PROTECTIONS, ids=lambda each: each.name)


@EACH
def test_it_can_be_applied(mutation: Mutation):
    for path, text in mutated(mutation).items():
        if path.endswith(".py"):
            ast.parse(text, path)


@EACH
def test_its_test_exists_and_is_named_by_the_checklist(mutation: Mutation):
    name, _, function = mutation.test.partition("::")
    [path] = [*(TEMPLATE / "tests").rglob(name), *MACHINERY.rglob(name)]

    assert re.search(rf"^(async )?def {function}\(", path.read_text("utf-8"), re.MULTILINE)
    assert mutation.item is None or mutation.test in ROWS[mutation.item]


def test_no_name_is_left_undefined(tmp_path: Path):
    """An undefined name could make any test fail."""
    for number, mutation in enumerate(PROTECTIONS):
        for path, text in mutated(mutation).items():
            # Ruff reads only the Python files.
            (tmp_path / f"{number}_{Path(path).name}").write_text(text, "utf-8")

    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F823", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_there_are_at_least_sixty_with_unique_names():
    assert len({mutation.name for mutation in PROTECTIONS}) == len(PROTECTIONS) >= 60


def test_every_checklist_row_has_a_mutation():
    assert set(ROWS) - {mutation.item for mutation in PROTECTIONS} == set()
    assert len(ROWS) == 40


def test_every_test_in_the_checklist_has_a_mutation():
    """A test without a mutation might pass without its protection."""
    tried = {(mutation.item, mutation.test) for mutation in PROTECTIONS}

    assert {(item, test) for item, tests in ROWS.items() for test in tests} - tried == set()


@pytest.mark.parametrize(
    ("text", "within", "found"),
    [
        ("a = 1\n", "", 0),
        ("b = 1\nb = 1\n", "", 2),
        ("b = 1\n\ndef f():\n    a = 1\n", "f", 0),
        ("b = 1\n", "f", 0),
    ],
)
def test_a_mutation_that_no_longer_applies_says_so(text: str, within: str, found: int):
    change = Change(file="app/x.py", old="b = 1", new="b = 2", within=within)

    with pytest.raises(CannotBeApplied, match=rf"(?s)is {found} times in .*adapt.*b = 1"):
        change.in_text(text)


def test_a_mutation_of_a_function_leaves_others_unchanged():
    text = "def f():\n    b = 1\n\n\nasync def g():\n    b = 1\n\n\nclass H:\n    b = 1\n"

    changed = Change(file="app/x.py", old="b = 1", new="b = 2", within="g").in_text(text)

    assert changed == "def f():\n    b = 1\n\n\nasync def g():\n    b = 2\n\n\nclass H:\n    b = 1\n"


@pytest.mark.parametrize(
    ("code", "output", "outcome"),
    [
        (0, "1 passed", SURVIVED),
        (1, "E   assert 200 == 401\nFAILED tests/test_x.py::test_x", KILLED),
        (1, "ERROR    app.web:problems.py:1 unhandled error\nFAILED tests/test_x.py::test_x", KILLED),
        (1, "FAILED tests/test_x.py::test_x\nERROR tests/test_x.py::test_x", KILLED),
        (1, "NameError: name 'x' is not defined\nFAILED tests/test_x.py::test_x", BROKEN),
        (1, "ERROR tests/test_x.py::test_x", BROKEN),
        (2, "ERROR tests/test_x.py", BROKEN),
        (4, "ERROR: not found: tests/test_x.py::test_x", BROKEN),
        (5, "no tests ran", BROKEN),
    ],
)
def test_only_a_failed_test_counts_as_killed(code: int, output: str, outcome: str):
    assert outcome_of(subprocess.CompletedProcess([], code, output)) == outcome


def mutated(mutation: Mutation) -> dict[str, str]:
    """The template's files that *mutation* changes, by path, after the change."""
    texts: dict[str, str] = {}
    for change in mutation.changes:
        before = texts.get(change.file) or (TEMPLATE / change.file).read_text("utf-8")
        texts[change.file] = change.in_text(before)
    return texts

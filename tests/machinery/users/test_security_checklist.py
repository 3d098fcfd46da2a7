"""Each checklist item in SECURITY.md has tests that name it, in the project or in the machinery."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGES = [path.read_text("utf-8") for path in sorted(TESTS.parent.glob("app/*/SECURITY.md"))]
"""The security pages of features."""
SECURITY = "\n".join([(TESTS.parent / "SECURITY.md").read_text("utf-8"), *PAGES])

ITEMS = [*range(1, 31), *range(34, 41), *([31, 32, 33] if PAGES else [])]
"""Items 31 to 33 are about second factors, which are an optional feature."""


def _rows(first_cell: str, text: str = SECURITY) -> Iterator[tuple[str, list[str]]]:
    """All table rows with a matching first cell: the content of that cell, and the other cells."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if found := re.fullmatch(first_cell, cells[0]):
            yield found[1], cells[1:]


def _named_in_tests() -> Iterator[tuple[int, str]]:
    """Each item named at the start of a test's docstring, with that test as file::function."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                said = re.match(r"Checklist ([\d, and]+)", ast.get_docstring(node) or "")
                for item in re.findall(r"\d+", said[1]) if said else []:
                    yield int(item), f"{path.name}::{node.name}"


NAMED = set(_named_in_tests())
CHECKLIST = "".join(part.partition("\n## ")[0] for part in SECURITY.split("\n## Checklist\n")[1:])
ROWS: dict[int, list[str]] = {}
for number, cells in _rows(r"(\d+)", CHECKLIST):
    ROWS.setdefault(int(number), []).append(cells[1])


@pytest.mark.parametrize("item", ITEMS)
def test_each_item_has_tests_that_name_it(item: int) -> None:
    """A row names at least one of its tests. `grep "Checklist 5" tests` finds all of them."""
    named = set(re.findall(r"`([^`]+)`", " ".join(ROWS[item])))
    assert named
    assert named - {test for number, test in NAMED if number == item} == set()


def test_no_test_names_a_missing_item() -> None:
    assert {number for number, _ in NAMED} == set(ROWS) == set(ITEMS)

"""SECURITY.md and the application say the same: tests, limits and settings. Change both at once."""

import ast
import hmac
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import LONGEST_IN_PRODUCTION, Settings
from app.users.rate_limits import LIMITS, Limit

TESTS = Path(__file__).parent.parent
SECURITY = (TESTS.parent / "SECURITY.md").read_text("utf-8")

WITHOUT_A_SECOND_FACTOR = [*range(1, 31), *range(34, 41)]
"""Items 31 to 33 are about second factors, which this application does not have."""


def _rows(first_cell: str, text: str = SECURITY) -> Iterator[tuple[str, list[str]]]:
    """The rows of all tables whose first cell looks like that: what is in it, and the other cells."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if found := re.fullmatch(first_cell, cells[0]):
            yield found[1], cells[1:]


def _named_in_tests() -> Iterator[tuple[int, str]]:
    """Each item that the docstring of a security test begins with, and that test as file::function."""
    for path in sorted(TESTS.rglob("test_security_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                said = re.match(r"Checklist ([\d, and]+)", ast.get_docstring(node) or "")
                for item in re.findall(r"\d+", said[1]) if said else []:
                    yield int(item), f"{path.name}::{node.name}"


def _named_in_code() -> set[str]:
    """The purposes that stand as texts in calls of `derived_key`."""
    code = "".join(path.read_text("utf-8") for path in (TESTS.parent / "app").rglob("*.py"))
    return {f"user-tokens:{purpose}" for purpose in re.findall(r'derived_key\([^()]+, "([^"]+)"\)', code)}


NAMED = set(_named_in_tests())
CHECKLIST = SECURITY.partition("\n## Checklist\n")[2].partition("\n## ")[0]
ROWS = {int(item): cells for item, cells in _rows(r"(\d+)", CHECKLIST)}


@pytest.mark.parametrize("item", WITHOUT_A_SECOND_FACTOR)
def test_each_item_has_tests_that_name_it(item: int) -> None:
    """A row names some of them, at least one; all are found by `grep "Checklist 5" tests`."""
    _, tests = ROWS[item]

    named = set(re.findall(r"`([^`]+)`", tests))
    assert named
    assert named - {test for number, test in NAMED if number == item} == set()


def test_no_test_names_an_item_that_is_not_there() -> None:
    assert {number for number, _ in NAMED} == set(ROWS) == set(WITHOUT_A_SECOND_FACTOR)


def test_the_limits_are_those_in_force() -> None:
    """app/users/rate_limits.py, each row with its name and its six rates."""
    stated = {name: Limit(*cells[:6]) for name, cells in _rows(r"`([a-z_]+)`")}

    assert stated == LIMITS


def test_the_values_of_settings_are_their_defaults() -> None:
    """app/settings.py; what `.env` says of one in a certain place is another matter."""
    stated = {name: float(cells[0]) for name, cells in _rows(r"`([A-Z_]+)`")}
    defaults = {name: Settings.model_fields[name.lower()].default for name in stated}

    assert "SESSION_IDLE" in stated
    assert stated == defaults


def test_the_longest_lifetimes_are_those_that_production_accepts() -> None:
    """app/settings.py; ASVS 7.1.1."""
    sentence = re.compile(r"in production (\d+) at most")
    said = {name: sentence.search(cells[1]) for name, cells in _rows(r"`([A-Z_]+)`")}

    assert {name.lower(): int(each[1]) for name, each in said.items() if each} == LONGEST_IN_PRODUCTION


def test_the_keys_are_those_that_the_application_derives(build_app, monkeypatch) -> None:
    """ASVS 11.1.2: app/users/tokens.py and whatever else calls `derived_key`, when it starts or by name."""
    derived: set[str] = set()
    derive = hmac.new

    def watch(key: bytes, message: bytes, algorithm: object) -> hmac.HMAC:
        derived.add(message.decode())
        return derive(key, message, algorithm)  # type: ignore[arg-type]

    monkeypatch.setattr("app.users.tokens.hmac.new", watch)
    build_app()

    assert {name for name, _ in _rows(r"`(user-tokens:[^`]+)`")} == derived | _named_in_code()


def test_what_is_not_defended_is_said() -> None:
    assert "\n## What is not defended\n" in SECURITY

"""Conflicts next to insertions are resolved only if the other side did not add the same code."""

import subprocess
from pathlib import Path

import pytest

from template_update.insertions import MARKER_SIZE, without_conflicts

FIRST, LAST = "def first():\n    return 1\n", "def last():\n    return 3\n"
OWN = "def own():\n    return 2\n"
OLD = f"{FIRST}\n\n{LAST}"
MINE = f"{FIRST}\n\n{OWN}\n\n{LAST}"
THEIRS = OLD.replace("def last", "def final")


@pytest.fixture
def merged(tmp_path: Path):
    """`merged(yours, old, new)`: the text without conflicts, or None."""

    def merge(*texts: str) -> str | None:
        for name, text in zip(("yours", "old", "new"), texts, strict=True):
            (tmp_path / name).write_text(text, newline="")
        command = ["git", "merge-file", "--stdout", "--diff3", f"--marker-size={MARKER_SIZE}"]
        done = subprocess.run([*command, "yours", "old", "new"], cwd=tmp_path, capture_output=True)
        assert done.returncode > 0
        return without_conflicts(done.stdout.decode())

    return merge


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_insertion_stays_above_the_changed_line(merged, end: str):
    mine, old, theirs = (text.replace("\n", end) for text in (MINE, OLD, THEIRS))
    expected = MINE.replace("def last", "def final").replace("\n", end)

    assert merged(mine, old, theirs) == expected
    assert merged(theirs, old, mine) == expected


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (MINE, MINE.replace("def last", "def final")),
        (MINE, MINE.replace("return 2", "return 22").replace("def last", "def final")),
        (MINE.replace("return 2", "return 22"), MINE),
    ],
    ids=["the same function", "the same name and a change", "the same name"],
)
def test_code_that_both_sides_added_stays_a_conflict(merged, mine: str, theirs: str):
    assert merged(mine, OLD, theirs) is None


def test_a_section_that_both_sides_added_stays_a_conflict(merged):
    old = "services:\n\n  app:\n    image: app\n"
    own = old.replace("  app:", "  redis:\n    image: redis\n\n  app:")
    theirs = own.replace("image: redis", "image: redis:8").replace("image: app", "image: web")

    assert merged(own, old, theirs) is None

"""Conflicts next to insertions are resolved only if the other side did not add the same code."""

import subprocess
from pathlib import Path

import pytest

from template_update.insertions import MARKER_SIZE, Resolved, resolve
from template_update.merge import Merger
from template_update.rendering import ANSWERS_FILE
from template_update.repository import Repository

IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
FIRST, LAST = "def first():\n    return 1\n", "def last():\n    return 3\n"
OWN = "def own():\n    return 2\n"
OLD = f"{FIRST}\n\n{LAST}"
MINE = f"{FIRST}\n\n{OWN}\n\n{LAST}"
THEIRS = OLD.replace("def last", "def final")


@pytest.fixture
def merged(tmp_path: Path):
    """`merged(yours, old, new)`: the result, with " or " between the sides of a conflict that remains."""

    def merge(*texts: str) -> Resolved | None:
        for name, text in zip(("yours", "old", "new"), texts, strict=True):
            (tmp_path / name).write_text(text, newline="")
        command = ["git", "merge-file", "--stdout", "--diff3", f"--marker-size={MARKER_SIZE}"]
        done = subprocess.run([*command, "yours", "old", "new"], cwd=tmp_path, capture_output=True)
        assert done.returncode > 0
        return resolve(done.stdout.decode(), lambda yours, old, new: f"{yours} or {new}")

    return merge


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_insertion_stays_above_the_changed_line(merged, end: str):
    mine, old, theirs = (text.replace("\n", end) for text in (MINE, OLD, THEIRS))
    expected = MINE.replace("def last", "def final").replace("\n", end)

    assert merged(mine, old, theirs) == Resolved(expected, 0)
    assert merged(theirs, old, mine) == Resolved(expected, 0)


def with_top(text: str, number: int) -> str:
    """*text* below a function that returns *number*, far enough away for git to see two conflicts."""
    return f"def top():\n    return {number}\n\n\n# 1\n# 2\n# 3\n{text}"


def test_an_insertion_is_resolved_although_another_conflict_remains(merged):
    expected = with_top(MINE.replace("def last", "def final"), 2).replace("2\n", "2\n or     return 3\n", 1)

    assert merged(with_top(MINE, 2), with_top(OLD, 1), with_top(THEIRS, 3)) == Resolved(expected, 1)


def test_the_remaining_conflict_is_left_in_the_file(tmp_path: Path):
    project, old, new = (tmp_path / name for name in ("project", "old", "new"))
    for folder, text in ((project, with_top(MINE, 2)), (old, with_top(OLD, 1)), (new, with_top(THEIRS, 3))):
        folder.mkdir()
        (folder / "app.py").write_text(text)
        (folder / ANSWERS_FILE).touch()
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*IDENTITY, "commit", "--quiet", "--message", "Mine"],
    ):
        subprocess.run(["git", *command], cwd=project, check=True, capture_output=True)
    merger = Merger(Repository(project), tmp_path)

    merge = merger.merge(old, new, yours=[], brought=[])

    conflict = "<<<<<<< yours\n    return 2\n=======\n    return 3\n>>>>>>> the template's\n"
    expected = with_top(MINE.replace("def last", "def final"), 2).replace("    return 2\n", conflict, 1)
    assert merger.lines(merge.result, "app.py") == expected.split("\n")
    assert (merge.insertions, [*merge.conflicts], [*merge.stages]) == ([], ["app.py"], ["app.py"])


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


def conflict(yours: str, old: str, new: str) -> str:
    start, middle, second, end = (mark * MARKER_SIZE for mark in "<|=>")
    return f"{start} yours\n{yours}{middle} old\n{old}{second}\n{new}{end} new\n"


def test_an_insertion_does_not_go_into_a_docstring():
    """The template removed `last`, so git found the first lines of `check` above the insertion."""
    start, rest = f'{FIRST}\n\ndef check():\n    """Check.\n\n', '    """\n'
    old = f'{LAST}\n\ndef check():\n    """Check.\n\n    It is short.\n'
    text = conflict(f"{OWN}\n\n{old}", old, "    It is longer.\n")

    assert resolve(f"{start}{text}{rest}", lambda *_: "") is None


def test_a_section_that_both_sides_added_stays_a_conflict(merged):
    old = "services:\n\n  app:\n    image: app\n"
    own = old.replace("  app:", "  redis:\n    image: redis\n\n  app:")
    theirs = own.replace("image: redis", "image: redis:8").replace("image: app", "image: web")

    assert merged(own, old, theirs) is None

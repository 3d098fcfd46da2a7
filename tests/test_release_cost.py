"""The check before a release: which edits would conflict with its changes."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, run

FOLDER = REPOSITORY / "benchmarks" / "updates"
OLD = "".join(f"line {number}\n" for number in range(30))
NEW = (
    OLD.replace("line 5\n", "another 5\n")
    .replace("line 11\nline 12\n", "")
    .replace("line 20\n", "line 20\nnew\n")
    .replace("line 29\n", "line 29\nnew at the end\n")
)


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> object:
    """The `release` module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import release

    return release


def folders(tmp_path: Path, **texts: str) -> list[Path]:
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.py").write_text(text, "utf-8")
    return [tmp_path / name for name in texts]


def test_the_lines_that_conflict_are_those_that_git_reports(release, tmp_path: Path):
    old, new = folders(tmp_path, old=OLD, new=NEW)
    lines = OLD.splitlines(keepends=True)

    def conflicts(number: int) -> bool:
        mine = tmp_path / "mine"
        mine.write_text("".join([*lines[:number], "mine\n", *lines[number + 1 :]]), "utf-8")
        files = (mine, old / "file.py", new / "file.py")
        return subprocess.run(["git", "merge-file", "-p", *files], capture_output=True).returncode != 0

    found = release.hunks(old, new)["file.py"]

    expected = {number for number in range(len(lines)) if conflicts(number)}
    assert release.conflicting_lines(found) & set(range(len(lines))) == expected
    assert 5 < len(expected) < 20


def test_the_cost_is_counted_by_function(release, tmp_path: Path):
    one, two = "def one():\n    a = 1\n    return a\n\n\n", "def two():\n    b = 1\n    return b\n"
    old, new = folders(tmp_path, old=one + two, new=one + two.replace("b", "count"))

    found = release.cost(old, new)

    assert found.conflicting["file.py", "one"] == 0
    assert found.conflicting["file.py", "two"] == 3
    assert found.lines["file.py", "one"] == 3
    assert list(release.report(found, 1)) == [
        "50.0 % of one-line edits would conflict with this release.",
        "     3 of    3 lines  file.py  two",
    ]


def test_too_expensive_a_release_is_refused(release, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    limits = tmp_path / "release.toml"
    limits.write_text("percent = -1\n", "utf-8")
    monkeypatch.setattr(release, "LIMITS", limits)
    monkeypatch.setattr(sys, "argv", ["release.py"])

    with pytest.raises(SystemExit, match=r"release.toml allows -1 %\. Split the release"):
        release.main()


def test_the_next_release_costs_what_is_allowed(record_property: Callable[[str, str], None]):
    said = run(sys.executable, FOLDER / "release.py", "--functions", "5", cwd=REPOSITORY)

    assert re.match(r"\d+\.\d % of one-line edits", said)
    record_property("measured", said.rstrip().replace("\n", "\n    "))

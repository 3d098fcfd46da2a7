"""The update benchmark at a small size: no edit is lost, misplaced or duplicated, and the results page is
current.
"""

import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, run

BENCHMARK = REPOSITORY / "benchmarks" / "updates"
SILENT = ("lost", "misplaced", "twice")
"""The outcomes that must never happen silently."""


def figures_of(folder: Path, *options: str) -> dict[str, Any]:
    """Run the benchmark and return its figures."""
    run(sys.executable, BENCHMARK, "--no-suites", "--jobs", "1", "--output", folder, *options, cwd=REPOSITORY)
    return json.loads((folder / "results.json").read_text("utf-8"))


@pytest.mark.minutes
def test_no_edit_is_lost_misplaced_or_doubled(tmp_path: Path, record_property: Callable[[str, str], None]):
    figures = figures_of(tmp_path, "--only", "bulk", "--projects", "1", "--edits", "150", "--variants", "1")

    groups = [
        (kind, name, outcomes)
        for kind, tools in figures["bulk"].items()
        for name, outcomes in tools["template-update"].items()
    ]
    assert sum(count for *_, outcomes in groups for count in outcomes.values()) > 400
    assert [each for each in groups if any(each[-1][name] for name in SILENT)] == []
    # The commits since the last recorded version changed lines next to seams, which no release may do.
    made = [each for each in groups if each[0] != "as recorded"]
    assert [each for each in made if each[1] == "at seams" and each[-1]["conflict"]] == []
    table = (tmp_path / "results.md").read_text("utf-8").partition("\n| next")[2].partition("\n\n")[0]
    record_property("measured", f"| next{table}".replace("\n", "\n    "))


def test_the_bulk_merges_as_the_commands_do(tmp_path: Path):
    figures = figures_of(tmp_path, "--kinds", "fix", "--projects", "0", "--variants", "1", "--sample", "1")

    tallies = figures["sample"]["fix"]
    assert set(tallies) == {"template-update", "copier update"}
    assert [each["failed"] for each in tallies.values()] == [0, 0]
    assert all(each["same_files"] == each["files"] > 5 for each in tallies.values()), tallies


def test_the_page_and_the_readme_have_the_measured_figures():
    page = runpy.run_path(str(BENCHMARK / "page.py"))
    figures = json.loads((BENCHMARK / "results.json").read_text("utf-8"))

    assert (BENCHMARK / "results.md").read_text("utf-8") == page["page"](figures)
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert re.findall(r"<!-- benchmarks/updates -->\n\n(.*?)\n\n", readme, re.DOTALL) == [
        page["table"](figures)
    ]

    own = [outcomes for tools in figures["bulk"].values() for outcomes in tools["template-update"].values()]
    assert [outcomes for outcomes in own if any(outcomes[name] for name in SILENT)] == []


OLD = """def one():
    first = 1
    second = first + 1
    return second


def two():
    return 2
"""
MINE = OLD.replace("    second = first + 1", "    second = first + 2  # own001")
GONE = "    second = first + 1\n"
NEW = OLD.replace("def two", "def two_or_more")


@pytest.mark.parametrize(
    ("outcome", "merged"),
    [
        ("merged", MINE),
        ("merged", MINE.replace("def two", "def two_or_more")),
        ("lost", OLD),
        ("misplaced", OLD.replace("return 2", "second = first + 2  # own001").replace("first + 1", "0")),
        ("misplaced", MINE.replace("one()", "one(")),
        ("twice", MINE + "    second = first + 2  # own001\n"),
        ("twice", MINE.replace("    return second", "    second = first + 1\n    return second")),
        (
            "conflict",
            MINE.replace("    second =", "<<<<<<< yours\n    second =").replace(
                "own001", "own001\n=======\n    second = 0\n>>>>>>> the template's"
            ),
        ),
    ],
)
def test_an_outcome_is_recognized(monkeypatch: pytest.MonkeyPatch, outcome: str, merged: str):
    assert outcome_of(monkeypatch, MINE, merged, deletes=False) == outcome


def test_a_replaced_line_may_be_in_another_edit(monkeypatch: pytest.MonkeyPatch):
    mine = f"{MINE}\n\ndef three():\n{GONE}"

    assert outcome_of(monkeypatch, mine, mine, deletes=False) == "merged"


def test_a_misplaced_line_that_the_report_lists_is_left_to_the_user(monkeypatch: pytest.MonkeyPatch):
    line = "second = first + 2  # own001"
    merged = OLD.replace("return 2", line).replace("first + 1", "0")

    assert outcome_of(monkeypatch, MINE, merged, deletes=False, told=line) == "conflict"


@pytest.mark.parametrize(("outcome", "merged"), [("merged", NEW.replace(GONE, "")), ("lost", NEW)])
def test_a_deleted_line_must_stay_away(monkeypatch: pytest.MonkeyPatch, outcome: str, merged: str):
    assert outcome_of(monkeypatch, OLD.replace(GONE, ""), merged, deletes=True) == outcome


def outcome_of(
    monkeypatch: pytest.MonkeyPatch, mine: str, merged: str, *, deletes: bool, told: str = ""
) -> str:
    """The benchmark's outcome for the only edit in a project with one file."""
    monkeypatch.syspath_prepend(str(BENCHMARK))
    from edits import Edit, Edited, Made
    from merging import Merged
    from outcome import outcomes
    from versions import Version

    edit = Edit("a line", "code.py", lambda text, name, random: text, deletes=deletes)
    project = Edited({"code.py": mine}, [Made(edit, "own001", ("    second = first + 1",))])
    version = Version({"code.py": NEW}, {"code.py": {"two": "two_or_more"}})
    result = Merged({"code.py": merged}, {("code.py", told)})
    [(_, found)] = outcomes({"code.py": OLD}, project, version, result)
    return found

"""The benchmark of updates in a small size: no edit is lost, misplaced or doubled. Its page is current."""

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
"""What must never happen without a word."""


def figures_of(folder: Path, *options: str) -> dict[str, Any]:
    """Run the benchmark and return its figures."""
    run(sys.executable, BENCHMARK, "--no-suites", "--jobs", "1", "--output", folder, *options, cwd=REPOSITORY)
    return json.loads((folder / "results.json").read_text("utf-8"))


@pytest.mark.minutes
def test_no_edit_is_lost_misplaced_or_doubled(tmp_path: Path, record_property: Callable[[str, str], None]):
    figures = figures_of(tmp_path, "--only", "bulk", "--projects", "2", "--variants", "1")

    groups = [
        (kind, name, outcomes)
        for kind, tools in figures["bulk"].items()
        for name, outcomes in tools["template-update"].items()
    ]
    assert sum(count for *_, outcomes in groups for count in outcomes.values()) > 500
    assert [each for each in groups if any(each[-1][name] for name in SILENT)] == []
    assert [each for each in groups if each[1] == "at seams" and each[-1]["conflict"]] == []
    table = (tmp_path / "results.md").read_text("utf-8").partition("\n| next")[2].partition("\n\n")[0]
    record_property("measured", f"| next{table}".replace("\n", "\n    "))


def test_the_bulk_merges_as_the_commands_do(tmp_path: Path):
    figures = figures_of(tmp_path, "--kinds", "fix", "--projects", "0", "--variants", "1", "--sample", "1")

    tallies = figures["sample"]["fix"]
    assert set(tallies) == {"template-update", "copier update"}
    assert all(each["same_files"] == each["files"] > 5 for each in tallies.values()), tallies


def test_the_page_and_the_readme_have_the_measured_figures():
    page = runpy.run_path(str(BENCHMARK / "page.py"))
    figures = json.loads((BENCHMARK / "results.json").read_text("utf-8"))

    assert (BENCHMARK / "results.md").read_text("utf-8") == page["page"](figures)
    readme = (REPOSITORY / "README.md").read_text("utf-8")
    assert re.findall(r"<!-- benchmarks/updates -->\n\n(.*?)\n\n", readme, re.DOTALL) == [
        page["table"](figures)
    ]


def test_the_measured_updates_lost_nothing():
    figures = json.loads((BENCHMARK / "results.json").read_text("utf-8"))

    own = [outcomes for tools in figures["bulk"].values() for outcomes in tools["template-update"].values()]
    assert sum(count for outcomes in own for count in outcomes.values()) >= 100_000
    assert [outcomes for outcomes in own if any(outcomes[name] for name in SILENT)] == []

"""What updates do to edited projects: with this tool, and with plain `copier update`.

    uv run python benchmarks/updates
    uv run python benchmarks/updates --only sample                          # keeps the other figures
    uv run python benchmarks/updates --projects 4 --no-suites --output /tmp/small

Creates projects with random edits, updates them to next versions of the template, and counts the outcomes of
all edits. Writes the figures to `results.json`, a page to `results.md`, and the table to README.md. Ctrl+C
stops the bulk merges early.
"""

import argparse
import gc
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import Pool
from pathlib import Path
from random import Random
from typing import Any

from commands import COPIER, TOOL, Sample
from edits import AT_RANDOM, ELSEWHERE, LIBRARY, SEAM, Edited, edited
from merging import Workshop
from outcome import OUTCOMES, outcomes
from page import page, table
from templates import KINDS, REPOSITORY, Step, Template
from versions import changed_lines

HERE = Path(__file__).resolve().parent
TABLE = re.compile(r"(?<=<!-- benchmarks/updates -->\n\n).*?(?=\n\n)", re.DOTALL)
"""Finds the table in README.md."""
PART = 2
"""The number of projects that one process merges before it continues with new repositories."""
RENEWED_AFTER = 10
"""The number of parts after which a new process takes over. Without garbage collection, memory use grows."""
MEASURES = ("bulk", "sample")

type Count = Counter[tuple[str, str, str, str]]
"""The number of edits by kind of version, tool, group and outcome."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks/updates", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--projects",
        type=int,
        default=270,
        help="number of projects, each updated to a version of each kind (270)",
    )
    parser.add_argument("--edits", type=int, default=100, help="number of edits in each project (100)")
    parser.add_argument("--seed", type=int, default=1, help="seed for every random choice (1)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="kinds of versions (all)")
    parser.add_argument("--variants", type=int, default=4, help="number of next versions of each kind (4)")
    parser.add_argument(
        "--sample", type=int, default=2, help="number of projects updated with the commands for each kind (2)"
    )
    parser.add_argument("--no-suites", action="store_true", help="do not run the sample projects' tests")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="number of processes (one per core)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=MEASURES,
        default=MEASURES,
        help="what to measure; the other figures are kept",
    )
    parser.add_argument("--output", type=Path, help="output folder, instead of this one and README.md")
    options = parser.parse_args()
    output = options.output or HERE
    output.mkdir(parents=True, exist_ok=True)
    stored = output / "results.json"
    figures = json.loads(stored.read_text("utf-8")) if stored.exists() else {"sample": {}}
    if "bulk" not in {*figures, *options.only}:
        raise SystemExit("No bulk merges have been measured yet. Run without --only first.")
    with tempfile.TemporaryDirectory() as folder:
        say("Creating the next versions ...")
        template = Template(Path(folder))
        steps = template.steps(options.seed, options.variants, options.kinds)
        # The bulk merges take a long time, so create the sample's environment first, in case that fails.
        render = None if options.no_suites else steps[0].old
        sample = Sample(Path(folder), template.copied_once, render) if "sample" in options.only else None
        if "bulk" in options.only:
            figures |= _bulk(options, Path(folder), template, steps)
            _write(figures, stored)
        if sample:
            figures |= _sampled(options, sample, steps)
            _write(figures, stored)
    (output / "results.md").write_text(page(figures), "utf-8")
    if not options.output:
        readme = REPOSITORY / "README.md"
        readme.write_text(TABLE.sub(lambda _: table(figures), readme.read_text("utf-8")), "utf-8")
    print(table(figures))


def _bulk(options: argparse.Namespace, folder: Path, template: Template, steps: list[Step]) -> dict[str, Any]:
    """Merge every project and return the figures."""
    parts = _parts(options)
    counts: Count = Counter()
    began = time.monotonic()
    merged = 0
    given = (folder, template.copied_once, steps)
    with Pool(options.jobs, _begin, given, maxtasksperchild=RENEWED_AFTER) as pool:
        try:
            for number, (projects, count) in enumerate(pool.imap_unordered(_merge, parts), 1):
                counts += count
                merged += projects
                edits = sum(counts.values()) // 2
                say(f"{number} of {len(parts)} parts: {edits:,} edits in {time.monotonic() - began:.0f} s")
        except KeyboardInterrupt:
            say("Interrupted. The figures include what was merged so far.")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
        "git": subprocess.run(
            ["git", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "copier": version("copier"),
        "arguments": f"--projects {merged} --edits {options.edits} --seed {options.seed}"
        f" --variants {options.variants}",
        "recorded": template.recorded,
        "edits": options.edits,
        "library": len(LIBRARY),
        "sizes": {kind: _size([step for step in steps if step.kind == kind]) for kind in options.kinds},
        "bulk": {
            kind: {
                tool: {
                    group: {each: counts[kind, tool, group, each] for each in OUTCOMES}
                    for group in (SEAM, ELSEWHERE, AT_RANDOM)
                }
                for tool in (TOOL, COPIER)
            }
            for kind in options.kinds
        },
    }


def _sampled(options: argparse.Namespace, sample: Sample, steps: list[Step]) -> dict[str, Any]:
    """Update a few projects with the commands and return the figures."""
    found: dict[str, Any] = {}
    for kind in options.kinds:
        step = next(step for step in steps if step.kind == kind)
        say(f"Updating with the commands: {kind} ...")
        found[kind] = sample.update(step, options.seed, options.sample)
    return {"sample": found, "suites": not options.no_suites}


def _write(figures: dict[str, Any], stored: Path) -> None:
    stored.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def say(sentence: str) -> None:
    """Show progress."""
    print(f"… {sentence}", file=sys.stderr, flush=True)


type _Part = tuple[int, int, list[int]]
"""The seed, the number of edits in each project, and the numbers that identify the projects."""


def _parts(options: argparse.Namespace) -> list[_Part]:
    numbers = range(options.projects)
    return [
        (options.seed, options.edits, list(numbers[start : start + PART]))
        for start in range(0, options.projects, PART)
    ]


_given: tuple[Path, list[str], list[Step]]


def _begin(*given: Any) -> None:
    global _given
    _given = given
    # Syntax trees have no reference cycles, and searching for cycles takes longer than parsing.
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _merge(part: _Part) -> tuple[int, Count]:
    """Update some projects to a next version of each kind, with both tools.

    Returns the number of projects and the outcomes of their edits.
    """
    seed, edits, numbers = part
    folder, copied_once, steps = _given
    counts: Count = Counter()
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        workshops: dict[Path, Workshop] = {}
        for number in numbers:
            projects: dict[Path, tuple[Edited, str]] = {}
            for step in _one_of_each_kind(steps, number):
                if step.old not in workshops:
                    workshops[step.old] = Workshop(Path(temporary) / step.old.name, step.old, copied_once)
                workshop = workshops[step.old]
                if step.old not in projects:
                    project = edited(step.files, Random(f"{seed} {number}"), edits)
                    projects[step.old] = project, workshop.tree(project.files)
                project, tree = projects[step.old]
                ways = {
                    TOOL: workshop.merged(tree, step.new, project.files),
                    COPIER: workshop.patched(tree, project.files, step.new),
                }
                for tool, merged in ways.items():
                    for made, outcome in outcomes(step.files, project, step.version, merged):
                        counts[step.kind, tool, made.edit.group, outcome] += 1
                        fine = ("merged",) if made.edit.group == SEAM else ("merged", "conflict")
                        if tool == TOOL and outcome not in fine:
                            say(
                                f"{outcome}: {made.edit.what}, {made.edit.path}, project {number}, {step.tag}"
                            )
    return len(numbers), counts


def _one_of_each_kind(steps: list[Step], number: int) -> Iterator[Step]:
    for kind in dict.fromkeys(step.kind for step in steps):
        variants = [step for step in steps if step.kind == kind]
        yield variants[number % len(variants)]


def _size(steps: list[Step]) -> dict[str, Any]:
    return {
        "versions": len(steps),
        "files": [sum(path in step.files for path in step.version.files) for step in steps],
        "lines": [changed_lines(step.files, step.version) for step in steps],
        "all_lines": sum(text.count("\n") for text in steps[0].files.values()),
    }


def _machine() -> str:
    info = Path("/proc/cpuinfo").read_text("utf-8")
    model = next((line.partition(": ")[2] for line in info.splitlines() if line.startswith("model name")), "")
    return f"{os.cpu_count()} cores of {model}"


if __name__ == "__main__":
    main()

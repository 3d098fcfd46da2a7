"""The cost of a release for project owners: which edits would conflict with its changes.

    uv run python benchmarks/updates/release.py
    uv run python benchmarks/updates/release.py --since 1.1.0 --functions 40

It compares the template with the last version in `tests/versions/`. An owner who changed one line gets a
conflict if the release changes the same line or one next to it. The benchmark tries this for every line and
counts the conflicts by function, section or block. The exit code is 1 if more edits would conflict than
`release.toml` allows.
"""

import argparse
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version
from places import places

REPOSITORY = Path(__file__).resolve().parents[2]
VERSIONS = REPOSITORY / "tests" / "versions"
LIMITS = Path(__file__).with_name("release.toml")

type Place = tuple[str, str]
"""A path, and a function, section or block in the file."""

_FILE = re.compile(r"^--- (?:a/(.+)|/dev/null)$")
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? ")


@dataclass
class Cost:
    """The lines at which one-line edits conflict."""

    conflicting: Counter[Place] = field(default_factory=Counter[Place])
    lines: Counter[Place] = field(default_factory=Counter[Place])
    """All lines that are not blank. Each counts as an edit."""

    @property
    def percent(self) -> float:
        """The percentage of edits that conflict."""
        return 100 * self.conflicting.total() / max(1, self.lines.total())


def cost(old: Path, new: Path) -> Cost:
    """Compare two folders, each of which contains a version of the template."""
    found, changed = Cost(), hunks(old, new)
    for path in sorted(each for each in old.rglob("*") if each.is_file()):
        name = path.relative_to(old).as_posix()
        content = path.read_bytes()
        # People do not edit binary files, and git cannot merge them.
        if b"\0" in content or not (new / name).exists():
            continue
        text = content.decode()
        where, touched = places(name.removesuffix(".jinja"), text), conflicting_lines(changed.get(name, []))
        for number, line in enumerate(text.split("\n")):
            if line.strip():
                found.lines[name, where[number]] += 1
                found.conflicting[name, where[number]] += number in touched
    return found


def conflicting_lines(hunks: list[tuple[int, int]]) -> set[int]:
    """The lines, numbered from 0, at which a change would touch one of *hunks*.

    Each hunk is a pair: the first changed line, and the line after the last changed one. Git reports a
    conflict even for two changes that are only adjacent.
    """
    return {line for start, end in hunks for line in range(start - 1, end + 1)}


def hunks(old: Path, new: Path) -> dict[str, list[tuple[int, int]]]:
    """The changes from *old* to *new* in each file of *old*."""
    # Compare as `git merge-tree` does.
    options = ("--no-index", "--no-color", "--unified=0", "--histogram", "--no-renames")
    done = subprocess.run(
        ["git", "-c", "core.quotePath=false", "diff", *options, str(old), str(new)],
        cwd="/",
        capture_output=True,
        check=False,
    )
    found: dict[str, list[tuple[int, int]]] = {}
    here: list[tuple[int, int]] = []
    for line in done.stdout.decode("utf-8", "replace").split("\n"):
        if named := _FILE.match(line):
            here = found.setdefault(f"/{named[1]}".removeprefix(f"{old}/"), [])
        elif hunk := _HUNK.match(line):
            length = int(hunk[2] or 1)
            start = int(hunk[1]) - 1 if length else int(hunk[1])
            here.append((start, start + length))
    return found


def report(found: Cost, count: int) -> Iterator[str]:
    """A report on all edits and on the *count* most expensive places."""
    yield f"{found.percent:.1f} % of one-line edits would conflict with this release."
    for (path, place), conflicting in found.conflicting.most_common(count):
        yield f"  {conflicting:4} of {found.lines[path, place]:4} lines  {path}  {place}".rstrip()


def allowed() -> float:
    """The percentage of edits that may conflict."""
    return tomllib.loads(LIMITS.read_text("utf-8"))["percent"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    recorded = {each.name.removesuffix(".tar.xz"): each for each in VERSIONS.glob("*.tar.xz")}
    parser.add_argument(
        "--since",
        choices=recorded,
        default=max(recorded, key=Version),
        help="the recorded version to compare with (the last one)",
    )
    parser.add_argument(
        "--functions", type=int, default=20, help="how many of the most expensive places to show (20)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(recorded[options.since]) as archive:
            archive.extractall(folder, filter="data")
        found = cost(Path(folder) / "template", REPOSITORY / "template")
    print("\n".join(report(found, options.functions)))
    if found.percent > allowed():
        sys.exit(
            f"{LIMITS.name} allows {allowed()} %. Split the release, or leave the wording of these functions"
            " as it is (see docs/releasing.md)."
        )


if __name__ == "__main__":
    main()

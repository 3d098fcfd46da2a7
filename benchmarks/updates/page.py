"""The page of results, and the table that it shares with README.md."""

from typing import Any

GOALS = {"fix": 99, "feature": 96, "refactoring": 90}
"""The share of edits elsewhere than at seams that should merge, in percent. At seams it is all of them."""
NAMES = {"fix": "a fix", "feature": "a feature", "refactoring": "a refactoring"}


def table(figures: dict[str, Any]) -> str:
    """What became of the edits, for each kind of next version and both tools, as Markdown."""
    names = ("next version", "updated with", "edits", "merged at seams", "merged elsewhere")
    lines = [f"| {' | '.join((*names, 'lost', 'misplaced', 'twice', 'tests pass'))} |"]
    lines += ["|---|---|" + "--:|" * 7]
    for kind, tools in figures["bulk"].items():
        for tool, groups in tools.items():
            every = _sum(groups.values())
            elsewhere = _sum(outcomes for group, outcomes in groups.items() if group != "at seams")
            cells = [_name(figures, kind), f"`{tool}`", f"{sum(every.values()):,}"]
            cells += [_share(groups["at seams"]), _share(elsewhere)]
            cells += [f"{every[name]:,}" for name in ("lost", "misplaced", "twice")]
            lines.append(f"| {' | '.join([*cells, _tests(figures, kind, tool)])} |")
    return "\n".join(lines)


def page(figures: dict[str, Any]) -> str:
    """The whole page."""
    sizes = "\n".join(
        f"- **{_name(figures, kind).capitalize()}** changes {_range(size['lines'])} of {size['all_lines']:,}"
        f" lines in {_range(size['files'])} files. Versions: {size['versions']}."
        for kind, size in figures["sizes"].items()
    )
    goals = "\n".join(
        f"- {NAMES[kind].capitalize()}: {goal} % elsewhere, all at seams. {_goal(tools, goal)}"
        for kind, tools in figures["bulk"].items()
        if (goal := GOALS.get(kind))
    )
    return f"""# What updates do to edited projects

Made by `uv run python benchmarks/updates`, with `{figures["arguments"]}`.

- {figures["machine"]}
- {figures["date"]}
- {figures["git"]}, Copier {figures["copier"]}

{table(figures)}

Every project has about {figures["edits"]} edits. They are combined at random from {figures["library"]} edits
with a meaning, and from comments and lines that were changed, added or deleted anywhere in the code. The name
of an edit is a word that is nowhere else.

- **Merged**: the edit is where it was, and outside of every conflict. The rest is a conflict in git, or a
  deleted line that the template has moved and that the report names.
- **Lost**: the edit is in no file and in no conflict, or a line that it deleted is back.
- **Misplaced**: it is in another function or class (by Python's `ast`), section, table or block, or the file
  does not parse any more.
- **Twice**: it is doubled, or stands beside a line that it replaced.
- **Tests pass**: of the projects of a sample that have no conflict. They have fewer edits.

## The next versions

The first three are made from the present template, by the same kinds of edits at random places
(`benchmarks/updates/versions.py`). The last one is real: the difference between the last version in
`tests/versions/` and the working tree.

{sizes}

## How it was measured

The edits in the table are merged without the commands, because rendering takes longer than merging: with the
merge of this tool (`src/template_update/merge.py`), and with the git commands that Copier
{figures["copier"]} runs. These are `git apply --reject` with three lines of context, and `git merge-file` for
files in which a part does not apply. Both ways start from the same renders.

The sample runs the commands themselves, `template-update` and `copier update`, and compares every edited file
with the other way's. {_sample(figures)}

## Goals

{goals}
"""


def _name(figures: dict[str, Any], kind: str) -> str:
    return NAMES.get(kind, f"the work since {figures['recorded']}")


def _sum(groups: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for outcomes in groups:
        for name, count in outcomes.items():
            total[name] = total.get(name, 0) + count
    return total


def _percent(outcomes: dict[str, int]) -> float:
    # Rounded down: 100.0 % means all.
    return int(1000 * outcomes["merged"] / max(1, sum(outcomes.values()))) / 10


def _share(outcomes: dict[str, int]) -> str:
    return f"{_percent(outcomes):.1f} %"


def _tests(figures: dict[str, Any], kind: str, tool: str) -> str:
    tally = figures["sample"].get(kind, {}).get(tool)
    if tally and tally["failed"]:
        return "the command failed"
    return f"{tally['green']} of {tally['without_conflict']}" if tally and figures["suites"] else "not run"


def _sample(figures: dict[str, Any]) -> str:
    tallies = [tally for tools in figures["sample"].values() for tally in tools.values()]
    same, files = (sum(each[name] for each in tallies) for name in ("same_files", "files"))
    projects = sum(each["projects"] for each in tallies)
    if not files:
        return "It has not run yet."
    return f"{same} of {files} files in {projects} updates are the same, byte for byte."


def _goal(tools: dict[str, Any], goal: int) -> str:
    groups = tools["template-update"]
    elsewhere = _percent(_sum(outcomes for group, outcomes in groups.items() if group != "at seams"))
    at_seams = _percent(groups["at seams"])
    is_reached = elsewhere >= goal and at_seams == 100
    end = "Reached" if is_reached else "Not reached"
    return f"Measured: {elsewhere:.1f} % and {at_seams:.1f} %. {end}."


def _range(numbers: list[int]) -> str:
    least, most = min(numbers), max(numbers)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"

"""Describes a run in Markdown, for a pull or merge request. The source is the data that `--json` prints."""

from collections.abc import Iterator
from typing import Any

from template_update.dossier import running

_LONGEST = 60_000
"""The maximum length in characters. GitHub rejects a description of more than 65,536 characters."""


def summary(data: dict[str, Any]) -> str:
    """The description of the change in *data*."""
    text = "\n".join(_lines(data)) + "\n"
    if len(text) <= _LONGEST:
        return text
    return f"{text[:_LONGEST].rpartition('\n')[0]}\n\n(Shortened. The workflow's log has the full text.)\n"


def _lines(data: dict[str, Any]) -> Iterator[str]:
    yield f"**{_verdict(data)}**"
    if conflicts := data.get("to_resolve", []):
        yield from _conflicts(data["to"], conflicts)
    findings = [each for each in data.get("findings", []) if each["kind"] != "conflicts"]
    urgent = [each["sentence"] for each in findings if each["needs_person"]] + data.get("problems", [])
    if urgent:
        yield from ("", "## Needs attention", "")
        yield from (f"- [ ] {sentence}" for sentence in urgent)
    if others := [each["sentence"] for each in findings if not each["needs_person"]]:
        yield from ("", "## Good to know", "")
        yield from (f"- {sentence}" for sentence in others)
    if data.get("seeds_difference"):
        yield from (
            "",
            "The template has also changed files that updates never touch. `--dry-run` shows the changes.",
        )
    if data.get("findings") or data.get("problems"):
        yield from (
            "",
            "Some of the commands above work only on the machine where the update ran. To update on your own"
            " machine:",
            "",
        )
        yield from ("```sh", f"uv run app template-update --to {data['to']}", "```")
    news = data.get("news", [])
    for title, part in (("Security", "security"), ("Changelog", "rest")):
        if entries := [(each["version"], each[part]) for each in news if each[part]]:
            yield from ("", f"## {title}")
            for version, text in entries:
                yield from ("", f"**{version}**", "", text)


def _verdict(data: dict[str, Any]) -> str:
    if "error" in data:
        return data["error"]
    conflicts = len(data.get("to_resolve", []))
    if conflicts:
        these = "conflict" if conflicts == 1 else "conflicts"
        return f"{conflicts} {these}. Do not merge this until every conflict is resolved."
    if not (data.get("is_needed") or data.get("findings")):
        return f"Nothing to pull: this project is at {data['from']}."
    tests = "Ruff and the tests pass." if data.get("is_tested") else "The tests were not run."
    if data.get("problems"):
        return "The update merges without a conflict, but not every check passes."
    if data.get("needs_attention"):
        return f"The update merges without a conflict. {tests} Some changes need human review."
    return f"The update merges without a conflict. {tests}"


def _conflicts(version: str, conflicts: list[dict[str, Any]]) -> Iterator[str]:
    yield from ("", "## Conflicts", "")
    for each in conflicts:
        line = f", line {each['line']}" if each["line"] else ""
        yield f"- [ ] `{each['path']}`{line}: {each['reason']}. Then: `{running(each['tests'])}`"
        yield from (f"  {entry}" for text in each["changelog"] for entry in text.splitlines())
    yield ""
    yield "This branch contains conflict markers (`<<<<<<<`), so that nothing is lost. Resolve the conflicts"
    yield "here. This command lists what is left, and runs the checks and tests once nothing is left:"
    yield from ("", "```sh", "uv run app template-update --continue", "```", "")
    yield "To get a page for each conflict, with its three versions, run this on a branch without the update:"
    yield from ("", "```sh")
    yield f"uv run app template-update --to {version} --dry-run --dossier .template-update"
    yield "```"

"""The template's changelog entries between two versions."""

import re
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

_AFTER_A_TAG = re.compile(r"-\d+-g[0-9a-f]+$")
_SECURITY = "### Security"


@dataclass
class News:
    """The changelog entries of one version, verbatim."""

    version: str
    security: str
    rest: str


def news_between(changelog: str, old: str, new: str) -> list[News]:
    """The entries of every version after *old*, up to and including *new*, newest first.

    A commit after a version, such as 1.0.0-2-g79870cd from `git describe`, counts as that version.
    """
    after, until = version_of(_AFTER_A_TAG.sub("", old)), version_of(new)
    sections = re.split(r"^## ", changelog, flags=re.MULTILINE)[1:]
    return [news for news in map(_news, sections) if _is_between(version_of(news.version), after, until)]


def version_of(name: str) -> Version | None:
    """The version in a tag or a heading, or None if it does not contain one."""
    try:
        return Version(name)
    except InvalidVersion:
        return None


def _is_between(found: Version | None, after: Version | None, until: Version | None) -> bool:
    if found is None:
        # Unreleased entries matter only to projects that track the template's latest commit, not its tags.
        return until is None
    return (after is None or found > after) and (until is None or found <= until)


def _news(section: str) -> News:
    heading, _, text = section.partition("\n")
    parts = re.split(r"^(?=### )", text, flags=re.MULTILINE)
    security = "".join(part.removeprefix(_SECURITY) for part in parts if part.startswith(_SECURITY))
    rest = "".join(part for part in parts if not part.startswith(_SECURITY))
    words = heading.split()
    return News(words[0].strip("[]") if words else "", security.strip("\n"), rest.strip("\n"))

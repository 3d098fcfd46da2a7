"""The limits, settings and keys in SECURITY.md match the application. Change both together."""

import hmac
import re
from collections.abc import Iterator
from pathlib import Path

from app.main import load_features
from app.settings import MAX_IN_PRODUCTION, Settings
from app.users.rate_limits import LIMITS, Limit

PROJECT = Path(__file__).parent.parent.parent
SECURITY = "\n".join(
    path.read_text("utf-8") for path in (PROJECT / "SECURITY.md", *PROJECT.glob("app/*/SECURITY.md"))
)
"""The text of SECURITY.md and of the features' own SECURITY.md files."""


def _rows(first_cell: str) -> Iterator[tuple[str, list[str]]]:
    """For each table row whose first cell matches *first_cell*, the matched part and the other cells."""
    for line in SECURITY.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if found := re.fullmatch(first_cell, cells[0]):
            yield found[1], cells[1:]


def _named_in_code() -> set[str]:
    """The purposes in calls to `KeyRing` and `keys_for`, and the values of constants named `PURPOSE`."""
    code = "".join(path.read_text("utf-8") for path in (PROJECT / "app").rglob("*.py"))
    calls = re.findall(r'(?:keys_for\(|KeyRing(?:\.of)?\([^()]+, )"([^"]+)"\)', code)
    found = calls + re.findall(r'^PURPOSE = "(.+)"$', code, re.MULTILINE)
    return {f"user-tokens:{purpose}" for purpose in found}


def test_the_limits_match_the_code() -> None:
    """The document lists every row of app/users/rate_limits.py, with its name and six rates."""
    # A feature adds its rows when it is imported.
    load_features()
    stated = {name: Limit(*cells[:6]) for name, cells in _rows(r"`([a-z_]+)`")}

    assert stated == LIMITS, "Change SECURITY.md and app/users/rate_limits.py together."


def test_the_settings_match_their_defaults() -> None:
    """The defaults are those in app/settings.py. The values in a particular `.env` may differ."""
    stated = {name: float(cells[0]) for name, cells in _rows(r"`([A-Z_]+)`")}
    defaults = {name: Settings.model_fields[name.lower()].default for name in stated}

    assert "SESSION_IDLE" in stated
    assert stated == defaults, "Change SECURITY.md and app/settings.py together."


def test_the_maximum_lifetimes_match_the_code() -> None:
    """ASVS 7.1.1: the maximum lifetimes are those in app/settings.py."""
    sentence = re.compile(r"at most (\d+) \(.+\) in production")
    said = {name: sentence.search(cells[1]) for name, cells in _rows(r"`([A-Z_]+)`")}

    assert {name.lower(): int(each[1]) for name, each in said.items() if each} == MAX_IN_PRODUCTION


def test_the_keys_match_the_code(build_app, monkeypatch) -> None:
    """ASVS 11.1.2: the keys are those in app/keys.py and in all its callers."""
    derived: set[str] = set()
    derive = hmac.new

    def watch(key: bytes, message: bytes, algorithm: object) -> hmac.HMAC:
        derived.add(message.decode())
        return derive(key, message, algorithm)  # type: ignore[arg-type]

    monkeypatch.setattr("app.keys.hmac.new", watch)
    build_app()

    assert {name for name, _ in _rows(r"`(user-tokens:[^`]+)`")} == derived | _named_in_code()


def test_the_document_says_what_is_not_defended() -> None:
    assert "\n## What is not defended\n" in SECURITY


# Your own tests go below; template updates never touch them.

"""The most common passwords, which are rejected (ASVS 6.2.4).

`common_passwords.md` explains where the list comes from and how to replace it. `spellings.py` decides which
variants count as common.
"""

import gzip
from pathlib import Path

from app.users.passwords.spellings import stem

LIST = Path(__file__).with_name("common_passwords.txt.gz")

MIN_STEM = 4
"""Minimum length of a stem, in characters. Too many good passwords happen to start with a shorter stem."""


def load_common_passwords(path: Path = LIST) -> frozenset[str]:
    """The casefolded passwords in *path*, plus their stems of at least `MIN_STEM` characters.

    The result has about 46,000 entries, takes 50 ms to load and uses 5 MiB per process. Loading blocks, so
    call this in a thread.
    """
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        listed = frozenset(line.rstrip("\n") for line in lines)
    return listed.union(each for each in map(stem, listed) if len(each) >= MIN_STEM)

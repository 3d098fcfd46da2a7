"""The passwords that are guessed first; nobody may choose one (ASVS 6.2.4).

Where the list comes from and how to use another: `common_passwords.md`. What counts as one: `spellings.py`.
"""

import gzip
from pathlib import Path

from app.users.passwords.spellings import stem

LIST = Path(__file__).with_name("common_passwords.txt.gz")

MIN_STEM = 4
"""Characters. A shorter one is the beginning of too many passwords by chance."""


def load_common_passwords(path: Path = LIST) -> frozenset[str]:
    """The list, casefolded, and its passwords without the digits and signs at their end.

    46,000 texts, 50 ms, 5 MiB for each process. Blocks: call it in a thread.
    """
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        listed = frozenset(line.rstrip("\n") for line in lines)
    return listed.union(each for each in map(stem, listed) if len(each) >= MIN_STEM)

"""The passwords that are guessed first; nobody may choose one (ASVS 6.2.4).

Where the list comes from and how to use another: `common_passwords.md`.
"""

import gzip
from pathlib import Path

LIST = Path(__file__).with_name("common_passwords.txt.gz")


def load_common_passwords(path: Path = LIST) -> frozenset[str]:
    """The list, casefolded: 40,000 passwords, 10 ms, 4 MiB for each process. Blocks: call it in a thread."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return frozenset(line.rstrip("\n") for line in lines)

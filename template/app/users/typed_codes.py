"""Codes that people type. Their letters are easy to tell apart and do not form words (RFC 8628, section 6.1).

You may change how a code is shown. Do not change `LETTERS` while codes are in use.
"""

import secrets

LETTERS = "BCDFGHJKLMNPQRSTVWXZ"
MAX_LENGTH = 200
"""Longer text is not read, because reading it would block the event loop."""
_GROUP = 4


def new_code(length: int) -> str:
    """A random code of *length* letters, each with 4.3 bits of entropy."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def in_groups(code: str) -> str:
    """*code* as it is displayed: `BCDF-GHJK`."""
    return "-".join(code[start : start + _GROUP] for start in range(0, len(code), _GROUP))


def letters_of(typed: str) -> str:
    """The code in *typed*, in upper case and without hyphens and spaces. Returns an empty string if *typed*
    is longer than `MAX_LENGTH`."""
    if len(typed) > MAX_LENGTH:
        return ""
    return "".join(letter for letter in typed.upper() if letter in LETTERS)

"""How people make a password of a word that everybody knows: digits or signs after it, or instead of letters.

Programs that guess try these first, so `check_password` sees through them. Template-owned.
"""

from collections.abc import Iterator

_LETTERS = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}
_TABLES = (str.maketrans(_LETTERS | {"1": "i"}), str.maketrans(_LETTERS | {"1": "l"}))


def readings(text: str) -> list[str]:
    """*text* as it is, and with the letters that digits and signs stand for; all have its length."""
    return [text, *(text.translate(table) for table in _TABLES)]


def stem(text: str) -> str:
    """*text* without the digits and signs at its end."""
    end = len(text)
    while end and not text[end - 1].isalpha():
        end -= 1
    return text[:end]


def spellings(password: str) -> Iterator[str]:
    """What *password*, which is casefolded, may be made of: it as a whole, and what stands before its tail.

    The last digit may belong to either: `pr1nce55` is princess, `prince55` is prince. What has no letter is
    a number, of which the signs at its end are left out.
    """
    yield password
    beginning = stem(password)
    if not beginning:
        yield password.rstrip("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")
        return
    for end in range(len(beginning), len(password) + 1):
        yield from readings(password[:end])

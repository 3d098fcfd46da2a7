"""Common variants of a known word, with digits or symbols added at the end or in place of letters.

Password crackers try these first, so `check_password` recognizes them. Template-owned.
"""

from collections.abc import Iterator

_LETTERS = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}
_TABLES = (str.maketrans(_LETTERS | {"1": "i"}), str.maketrans(_LETTERS | {"1": "l"}))


def readings(text: str) -> list[str]:
    """*text* as is, and with digits and symbols replaced by the letters they stand for. The length does not
    change."""
    return [text, *(text.translate(table) for table in _TABLES)]


def stem(text: str) -> str:
    """*text* without trailing digits and symbols."""
    end = len(text)
    while end and not text[end - 1].isalpha():
        end -= 1
    return text[:end]


def spellings(password: str) -> Iterator[str]:
    """The words that *password* (casefolded) may be a variant of: its `readings`, after removing none, some
    or all of its trailing digits and symbols.

    A trailing digit may or may not stand for a letter: `prince55` may be a variant of princess or of prince.
    A password without letters counts as a number, so only its trailing symbols are removed.
    """
    yield password
    beginning = stem(password)
    if not beginning:
        yield password.rstrip("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")
        return
    for end in range(len(beginning), len(password) + 1):
        yield from readings(password[:end])

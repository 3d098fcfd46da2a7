"""Recognizes secrets that are obviously not random. Template-owned."""

import zlib
from string import ascii_lowercase, digits, hexdigits

_PLACEHOLDERS = ("change", "placeholder", "example", "secret", "password", "your-", "xxxxxx")
_ROWS = "".join([ascii_lowercase, hexdigits, digits, "qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890"])
_KNOWN = f"{_ROWS[::-1]}{_ROWS}".lower().encode()


def looks_random(text: str) -> bool:
    """Returns False for placeholders, repetitions, alphabetical or keyboard sequences, and text with too few
    distinct characters.

    Random text does not compress to less than half its length. For example, 64 random hexadecimal digits
    encode 32 bytes.
    """
    lower = text.lower()
    if any(word in lower for word in _PLACEHOLDERS) or len(set(text)) < 10:
        return False
    if any(text[period:] == text[:-period] for period in range(1, len(text) // 2 + 1)):
        return False
    packer = zlib.compressobj(wbits=-15, zdict=_KNOWN)
    packed = packer.compress(lower.encode()) + packer.flush()
    return 2 * len(packed) >= len(text)

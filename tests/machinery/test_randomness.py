"""Which secrets count as random. Random secrets are never rejected (ASVS 11.5.1)."""

import base64
import random
from string import ascii_lowercase, ascii_uppercase

import pytest

from app.settings_checks.randomness import looks_random


@pytest.mark.parametrize(
    "text",
    [
        "0123456789" * 4,
        "0123456789abcdef" * 4,
        "0123456789" * 3 + "01",
        ascii_lowercase + "012345",
        ascii_uppercase + "012345",
        ascii_lowercase[::-1] + "987654",
        "qwertyuiop" + "asdfghjkl" + "zxcvbnm" + "123456",
        "9f2c47b1d0e8a356" * 2,  # pragma: allowlist secret
        "kT7!x" * 8,
        "a" * 64,
        "abab" * 16,
        "aabbccddeeffaabbccddeeffaabbccddeeff",
        "please-put-your-key-here-0a9f8b7c6d5e",
        "sk_live_xxxxxxxxxxxx_0a9f8b7c6d5e4f3a2b1c",
    ],
)
def test_predictable_secrets_are_detected(text: str):
    assert not looks_random(text)


@pytest.mark.parametrize("size", [32, 48, 64])
def test_random_secrets_are_never_refused(size: int):
    """Each run tests the same 10,000 secrets, in the formats of `token_hex` and `token_urlsafe`."""
    source = random.Random(size)
    drawn = [source.randbytes(size) for _ in range(10_000)]

    spelt = [each.hex() for each in drawn]
    spelt += [base64.urlsafe_b64encode(each).decode().rstrip("=") for each in drawn]

    assert [each for each in spelt if not looks_random(each)] == []

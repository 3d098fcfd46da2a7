"""The keys for a purpose: those derived from earlier secrets are used only to verify and decrypt."""

import pytest

from app.keys import CannotDecrypt, KeyRing
from tests.conftest import make_settings

NEW, OLD, OLDER = "n" * 32, "o" * 32, "r" * 32


@pytest.fixture
def keys():
    return KeyRing(NEW, "parcels", [OLD, OLDER])


@pytest.mark.parametrize("secret", [NEW, OLD, OLDER])
def test_signatures_with_any_of_the_secrets_are_accepted(keys, secret):
    assert keys.has_made(KeyRing(secret, "parcels").mac(b"one"), b"one")


@pytest.mark.parametrize("ring", [KeyRing("x" * 32, "parcels"), KeyRing(NEW, "letters")])
def test_signatures_with_another_secret_or_purpose_are_refused(keys, ring):
    assert not keys.has_made(ring.mac(b"one"), b"one")


@pytest.mark.parametrize("mac", [b"", b"\0", bytes(32)])
def test_no_part_of_a_signature_is_accepted(keys, mac):
    assert not keys.has_made(mac, b"one")
    assert not keys.has_made(keys.mac(b"one")[:8], b"one", 16)


def test_only_the_first_secret_signs_and_encrypts(keys):
    only = KeyRing(NEW, "parcels")

    assert only.has_made(keys.mac(b"one"), b"one")
    assert only.decrypt(keys.encrypt("one")) == "one"


@pytest.mark.parametrize("secret", [NEW, OLD, OLDER])
def test_text_encrypted_with_any_of_the_secrets_is_decrypted(keys, secret):
    sealed = KeyRing(secret, "parcels").encrypt("Zoë")

    assert keys.decrypt(sealed) == "Zoë"
    assert keys.is_current(sealed) == (secret == NEW)


@pytest.mark.parametrize("sealed", ["", "plain", KeyRing("x" * 32, "parcels").encrypt("x")], ids=len)
def test_text_encrypted_with_none_of_the_secrets_is_refused(keys, sealed):
    with pytest.raises(CannotDecrypt):
        keys.decrypt(sealed)
    assert not keys.is_current(sealed)


def test_the_settings_have_the_secrets():
    settings = make_settings(secret_key=NEW, secret_key_fallbacks=f"{OLD}, {OLDER}")

    assert KeyRing.of(settings, "parcels").keys == KeyRing(NEW, "parcels", [OLD, OLDER]).keys

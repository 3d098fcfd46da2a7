"""The test vectors of WebAuthn level 3, section 16, with and without attestation.

`w3c_vectors.json` contains the vectors from https://github.com/w3c/webauthn at 146d0db (2026-07-30), in
hexadecimal.
"""

import json
from pathlib import Path

import pytest
from webauthn.helpers import bytes_to_base64url

from app.passkeys.ceremonies import (
    InvalidResponse,
    RelyingParty,
    can_be_backed_up,
    read,
    verify,
    verify_new,
)
from app.passkeys.models import Passkey

PARTY = RelyingParty("example.org", "Example", ["https://example.org"])
VECTORS = json.loads((Path(__file__).parent / "w3c_vectors.json").read_text("utf-8"))
NOT_OFFERED = {"packed-es384", "packed-es512", "packed-ed448"}
"""Algorithms that the options do not offer. Browsers use only algorithms that are offered."""
IN_A_FRAME = {"none-es256-crossOrigin", "none-es256-topOrigin"}
SUPPORTED = sorted(VECTORS.keys() - NOT_OFFERED - IN_A_FRAME)


def credential_of(vector, ceremony):
    encoded = {name: bytes_to_base64url(bytes.fromhex(value)) for name, value in vector[ceremony].items()}
    name = bytes_to_base64url(bytes.fromhex(vector["registration"]["credential_id"]))
    encoded.pop("credential_id", None)
    return {"id": name, "rawId": name, "type": "public-key", "response": encoded}


def passkey_of(vector):
    new = verify_new(PARTY, read(credential_of(vector, "registration")))
    return Passkey(public_key=new.credential_public_key, can_be_backed_up=can_be_backed_up(new))


def test_every_vector_is_included():
    assert len(VECTORS) == 15
    assert VECTORS.keys() >= NOT_OFFERED | IN_A_FRAME


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_passkey_is_added_and_logs_in(name):
    passkey = passkey_of(VECTORS[name])

    verified = verify(PARTY, read(credential_of(VECTORS[name], "authentication")), passkey, must_verify=False)

    assert verified.credential_id.hex() == VECTORS[name]["registration"]["credential_id"]


@pytest.mark.parametrize("name", SUPPORTED)
def test_a_changed_signature_does_not_log_in(name):
    passkey = passkey_of(VECTORS[name])
    signature = VECTORS[name]["authentication"]["signature"]
    forged = {"signature": signature[:-1] + ("0" if signature[-1] != "0" else "1")}
    vector = VECTORS[name] | {"authentication": VECTORS[name]["authentication"] | forged}

    with pytest.raises(InvalidResponse):
        verify(PARTY, read(credential_of(vector, "authentication")), passkey, must_verify=False)


@pytest.mark.parametrize("name", sorted(NOT_OFFERED))
def test_an_algorithm_that_was_not_offered_is_refused(name):
    with pytest.raises(InvalidResponse):
        passkey_of(VECTORS[name])


@pytest.mark.parametrize("name", sorted(IN_A_FRAME))
@pytest.mark.parametrize("ceremony", ["registration", "authentication"])
def test_a_page_in_a_frame_of_another_site_is_refused(name, ceremony):
    with pytest.raises(InvalidResponse, match="frame"):
        read(credential_of(VECTORS[name], ceremony))

"""Responses that no authenticator sends: each is rejected, and none causes a server error."""

import copy
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from app.passkeys.ceremonies import InvalidResponse, RelyingParty, read, verify, verify_new
from app.passkeys.models import Passkey
from tests.passkeys.authenticator import Authenticator
from tests.passkeys.conftest import begin, log_in

PARTY = RelyingParty("test", "App", ["http://test"])
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(max_size=40),
    st.binary(max_size=40).map(bytes.hex),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)
FIELDS = ["id", "rawId", "type", "response", "transports", "clientDataJSON", "attestationObject", "signature"]


def changed(credential, field, value):
    credential = copy.deepcopy(credential)
    (credential if field in credential else credential["response"])[field] = value
    return credential


def check(credential, passkey):
    """Verify a response of either kind. Raises only `InvalidResponse`."""
    with suppress(InvalidResponse):
        response = read(credential)
        verify_new(PARTY, response)
        verify(PARTY, response, passkey, must_verify=True)


@given(field=st.sampled_from(FIELDS), value=VALUES)
@settings(max_examples=300, deadline=None)
def test_a_field_with_another_value_causes_no_server_error(field, value):
    phone = Authenticator()
    new = phone.create({"user": {"id": "AAAA"}, "challenge": "AAAA"})
    passkey = Passkey(public_key=b"no key", can_be_backed_up=True)

    check(changed(new, field, value), passkey)
    check(changed(phone.get({"challenge": "AAAA"}), field, value), passkey)


@given(at=st.integers(0, 400), byte=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_a_damaged_attestation_causes_no_server_error(at, byte):
    new = Authenticator().create({"user": {"id": "AAAA"}, "challenge": "AAAA"})
    damaged = bytearray(base64url_to_bytes(new["response"]["attestationObject"]))
    damaged[at % len(damaged)] ^= byte

    check(changed(new, "attestationObject", bytes_to_base64url(bytes(damaged))), Passkey())


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", "{" * 100_000, '{"id": 1}', "\x00", '{"id":"a","response":{}}']
)
def test_text_that_is_not_a_response_is_refused(text):
    with pytest.raises(InvalidResponse):
        read(text)


@pytest.mark.parametrize("credential", [{}, {"id": "x"}, {"id": "x", "response": None}, {"a": [[[[]]]]}])
async def test_a_request_without_a_response_is_refused(person, credential):
    await begin(person)

    assert (await log_in(person, credential)).status_code == 401

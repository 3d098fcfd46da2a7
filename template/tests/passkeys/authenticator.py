"""A software authenticator that creates passkeys and signs with them, like a phone or a security key.

It returns what `navigator.credentials` returns in a browser, as JSON. Its attributes can be changed to
imitate other authenticators, including hostile ones.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

PRESENT, VERIFIED, CAN_BE_BACKED_UP, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
"""Flags of authenticator data (WebAuthn level 3, section 6.1)."""
GOOGLE = "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4"

type Json = dict[str, Any]


@dataclass
class Key:
    """A passkey on the authenticator."""

    id: bytes
    private_key: ec.EllipticCurvePrivateKey
    handle: bytes
    count: int = 0


@dataclass
class Authenticator:
    """Stores any number of passkeys for one site."""

    domain: str = "test"
    origin: str = "http://test"
    flags: int = PRESENT | VERIFIED | CAN_BE_BACKED_UP | BACKED_UP
    aaguid: str = GOOGLE
    is_cross_origin: bool = False
    counts: bool = False
    """Whether the authenticator maintains a signature counter for each passkey. Most do not."""
    keys: list[Key] = field(default_factory=list)

    def create(self, options: Json) -> Json:
        """Create a passkey, as `navigator.credentials.create()` does."""
        handle = base64url_to_bytes(options["user"]["id"])
        key = Key(secrets.token_bytes(32), ec.generate_private_key(ec.SECP256R1()), handle)
        self.keys.append(key)
        aaguid = bytes.fromhex(self.aaguid.replace("-", ""))
        attested = aaguid + len(key.id).to_bytes(2, "big") + key.id + _cose(key.private_key)
        data = self._data(key, self.flags | ATTESTED) + attested
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        client_data = self._client_data("webauthn.create", options["challenge"])
        response = {
            "attestationObject": bytes_to_base64url(attestation),
            "transports": ["internal", "hybrid"],
        }
        return _credential(key, client_data, response)

    def get(self, options: Json, key: Key | None = None) -> Json:
        """Sign the challenge, as `navigator.credentials.get()` does."""
        key = key or self._choose(options)
        data = self._data(key, self.flags)
        client_data = self._client_data("webauthn.get", options["challenge"])
        signed = data + hashlib.sha256(client_data).digest()
        response = {
            "authenticatorData": bytes_to_base64url(data),
            "signature": bytes_to_base64url(key.private_key.sign(signed, ec.ECDSA(SHA256()))),
            "userHandle": bytes_to_base64url(key.handle),
        }
        return _credential(key, client_data, response)

    def _choose(self, options: Json) -> Key:
        allowed = [each["id"] for each in options.get("allowCredentials", [])]
        return next(key for key in self.keys if not allowed or bytes_to_base64url(key.id) in allowed)

    def _data(self, key: Key, flags: int) -> bytes:
        if self.counts:
            key.count += 1
        return hashlib.sha256(self.domain.encode()).digest() + bytes([flags]) + key.count.to_bytes(4, "big")

    def _client_data(self, kind: str, challenge: str) -> bytes:
        content = {"type": kind, "challenge": challenge, "origin": self.origin}
        return json.dumps(content | {"crossOrigin": self.is_cross_origin}).encode()


def _credential(key: Key, client_data: bytes, response: Json) -> Json:
    name = bytes_to_base64url(key.id)
    response = {"clientDataJSON": bytes_to_base64url(client_data)} | response
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "response": response,
        "clientExtensionResults": {},
    }


def _cose(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key in COSE format (RFC 9053): ES256."""
    numbers = key.public_key().public_numbers()
    x, y = (each.to_bytes(32, "big") for each in (numbers.x, numbers.y))
    return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y})

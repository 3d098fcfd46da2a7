"""Options for browsers and authenticators, and verification of their responses (WebAuthn level 3, section 7).

The `webauthn` library builds the options and verifies the responses. This module does not use the database.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import bytes_to_base64url, encode_cbor, options_to_json_dict, parse_cbor
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from app.passkeys.challenges import LASTS
from app.passkeys.models import Passkey
from app.settings import Settings
from app.settings_checks.types import origin_of

MAX_LENGTH = 20_000
"""The maximum length of a response as JSON, in characters."""


class InvalidResponse(ValueError):
    """The authenticator's response is malformed, for another site, or not signed by this passkey."""


@dataclass(frozen=True)
class RelyingParty:
    """This application, as authenticators know it. *id*: a domain. *origins*: the origins of pages that can
    ask for passkeys."""

    id: str
    name: str
    origins: list[str]


def relying_party(settings: Settings) -> RelyingParty:
    """The relying party for *settings*. Its origins are those in BASE_URL and CORS_ORIGINS that are within
    PASSKEY_DOMAIN.

    Raises:
        ValueError: none of these origins is in the domain.
    """
    domain = settings.passkey_domain
    candidates = [_named(origin_of(settings.base_url)), *settings.cors_origins]
    origins = [each for each in candidates if _is_within(urlsplit(each).hostname or "", domain)]
    if not origins:
        raise ValueError(
            f"PASSKEY_DOMAIN: must be the host of BASE_URL or of an origin in CORS_ORIGINS, or a parent"
            f" domain of it; no page on {', '.join(candidates)} could use a passkey for {domain}."
        )
    return RelyingParty(domain, settings.app_name, origins)


def _named(origin: str) -> str:
    """*origin* with `localhost` in place of a loopback IP address, because browsers reject passkeys on IP
    addresses."""
    for address in ("//127.0.0.1", "//[::1]"):
        origin = origin.replace(address, "//localhost")
    return origin


def _is_within(host: str, domain: str) -> bool:
    return host == domain or host.endswith(f".{domain}")


# Building the options


def creation_options(
    party: RelyingParty, *, challenge: bytes, handle: str, email: str, existing: Sequence[Passkey]
) -> dict[str, Any]:
    """The options for `navigator.credentials.create()`, as JSON. They request no attestation, because any
    authenticator will do."""
    options = generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_id=base64url_to_bytes(handle),
        user_name=email,
        challenge=challenge,
        timeout=_milliseconds(),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=[_descriptor(each) for each in existing],
    )
    return options_to_json_dict(options)


def request_options(
    party: RelyingParty, *, challenge: bytes, allowed: Sequence[Passkey] = (), must_verify: bool
) -> dict[str, Any]:
    """The options for `navigator.credentials.get()`, as JSON. Without *allowed*, any passkey can be used."""
    options = generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        timeout=_milliseconds(),
        allow_credentials=[_descriptor(each) for each in allowed],
        user_verification=UserVerificationRequirement.REQUIRED
        if must_verify
        else UserVerificationRequirement.PREFERRED,
    )
    return options_to_json_dict(options)


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=base64url_to_bytes(passkey.credential_id),
        transports=msgspec.json.decode(passkey.transports, type=list[AuthenticatorTransport]),
    )


def _milliseconds() -> int:
    return int(LASTS.total_seconds()) * 1000


# Verifying the responses


class _ClientData(msgspec.Struct, rename="camel"):
    challenge: str
    cross_origin: bool = False


class _Parts(msgspec.Struct, rename="camel"):
    client_data: Annotated[str, msgspec.Meta(max_length=MAX_LENGTH)] = msgspec.field(name="clientDataJSON")
    user_handle: str | None = None
    transports: list[str] = []


class _Credential(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(max_length=1364)]
    response: _Parts


@dataclass(frozen=True)
class Response:
    """A browser's response, and the parts of it that are read before verification. Do not trust any part."""

    content: dict[str, Any]
    credential_id: str
    challenge: bytes
    user_handle: str
    transports: str
    """The transports, in the JSON format that the table stores."""


def read(content: dict[str, Any] | str) -> Response:
    """Parse *content*.

    Raises:
        InvalidResponse: *content* is malformed, or comes from a page that another site shows in a frame.
    """
    try:
        if isinstance(content, str):
            content = msgspec.json.decode(content, type=dict[str, Any])
        credential = msgspec.convert(content, _Credential)
        parts = credential.response
        client_data = msgspec.json.decode(base64url_to_bytes(parts.client_data), type=_ClientData)
        challenge = base64url_to_bytes(client_data.challenge)
        # Some password managers add padding.
        user_handle = bytes_to_base64url(base64url_to_bytes(parts.user_handle or ""))
    except (ValueError, RecursionError) as error:
        raise InvalidResponse("the response is malformed") from error
    if client_data.cross_origin:
        raise InvalidResponse("the page is in a frame on another site")
    known = [each.value for each in AuthenticatorTransport if each.value in parts.transports]
    transports = msgspec.json.encode(known).decode()
    return Response(content, credential.id, challenge, user_handle, transports)


def verify_new(party: RelyingParty, response: Response) -> VerifiedRegistration:
    """Verify the response from `navigator.credentials.create()`. The caller must have used up the
    challenge.

    The authenticator's manufacturer does not matter, so attestation is neither requested nor read.

    Raises:
        InvalidResponse: the passkey is rejected and must not be added.
    """
    with _invalid_if_it_fails():
        return verify_registration_response(
            credential=_without_attestation(response.content),
            expected_challenge=response.challenge,
            expected_rp_id=party.id,
            expected_origin=party.origins,
        )


def verify(
    party: RelyingParty, response: Response, passkey: Passkey, *, must_verify: bool
) -> VerifiedAuthentication:
    """Verify the response from `navigator.credentials.get()`. The caller must have used up the challenge.

    *must_verify*: the authenticator must have verified its user with a PIN, a fingerprint or similar.

    Raises:
        InvalidResponse: the response does not come from *passkey*.
    """
    with _invalid_if_it_fails():
        verified = verify_authentication_response(
            credential=response.content,
            expected_challenge=response.challenge,
            expected_rp_id=party.id,
            expected_origin=party.origins,
            credential_public_key=passkey.public_key,
            # Do not pass the stored count: the library would reject a lower one. See `Passkeys._note_use`.
            credential_current_sign_count=0,
            require_user_verification=must_verify,
        )
        if can_be_backed_up(verified) != passkey.can_be_backed_up:
            raise InvalidResponse("the passkey's backup eligibility must not change (section 6.1.3)")
        return verified


def can_be_backed_up(verified: VerifiedRegistration | VerifiedAuthentication) -> bool:
    """Whether the passkey can be copied to other devices."""
    return verified.credential_device_type is CredentialDeviceType.MULTI_DEVICE


def _without_attestation(content: dict[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = content["response"]
    attested = parse_cbor(base64url_to_bytes(sent["attestationObject"]))
    plain = encode_cbor({"fmt": "none", "attStmt": {}, "authData": attested["authData"]})
    return content | {"response": sent | {"attestationObject": bytes_to_base64url(plain)}}


@contextmanager
def _invalid_if_it_fails() -> Generator[None]:
    try:
        yield
    except Exception as error:
        # The library raises many kinds of errors for input from a hostile client.
        raise InvalidResponse("the response cannot be verified") from error

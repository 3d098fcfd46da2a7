"""Signed tokens: the links in mails, and the access token of a login.

JWTs made by hawkapi-auth. Each purpose has its own key, derived from the one secret, and its own `type` and
audience, so a token is of use for what it was made for alone. `pv` binds it to the user's
`password_version`: a new password or address ends every older token. Mail tokens also carry a digest of the
address they were sent to. You may change lifetimes (settings) and add claims; keep the checks.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from hawkapi_auth import JWTConfig, TokenError, TokenIssuer

VERIFY_TYPE = "email_verify"
RESET_TYPE = "password_reset"
ACCESS_TYPE = "access"

MIN_SECRET_LENGTH = 32
"""Characters (RFC 7518, section 3.2)."""

__all__ = [
    "ACCESS_TYPE",
    "RESET_TYPE",
    "VERIFY_TYPE",
    "TokenError",
    "UserTokenConfig",
    "UserTokens",
]


@dataclass(slots=True)
class UserTokenConfig:
    """How tokens are signed and how long they live (seconds)."""

    secret: str = field(repr=False)
    algorithm: str = "HS256"
    verify_ttl_seconds: int = 60 * 60
    reset_ttl_seconds: int = 60 * 60
    access_ttl_seconds: int = 15 * 60
    issuer: str | None = "app"
    audience: str | None = "app"


class UserTokens:
    """Issues and checks the tokens of users.

    Raises:
        ValueError: the secret is shorter than 32 characters.
    """

    def __init__(self, config: UserTokenConfig) -> None:
        if len(config.secret) < MIN_SECRET_LENGTH:
            raise ValueError(
                f"UserTokenConfig.secret must be at least {MIN_SECRET_LENGTH} characters"
                " (RFC 7518, section 3.2)"
            )
        self.config = config
        self._verify = self._issuer(VERIFY_TYPE, config.verify_ttl_seconds)
        self._reset = self._issuer(RESET_TYPE, config.reset_ttl_seconds)
        self._access = self._issuer(ACCESS_TYPE, config.access_ttl_seconds)

    # Verification of an address

    def issue_verify(self, user_id: str, *, password_version: int = 0, email: str | None = None) -> str:
        """A token that verifies *email*, the address it is mailed to."""
        return _issue(self._verify, user_id, password_version, email)

    def peek_email_token_sub(self, token: str) -> str:
        """The user id of a token whose signature, type and lifetime are right; `pv` is NOT checked.

        Load the user with it, then call `verify_email_token`.
        """
        return _checked(self._verify, token)["sub"]

    def verify_email_token(
        self, token: str, *, expected_password_version: int = 0, expected_email: str | None = None
    ) -> str:
        """The user id of a token that is good in every respect; raises `TokenError` otherwise."""
        return _bound(self._verify, token, expected_password_version, expected_email)

    # Reset of a password

    def issue_reset(self, user_id: str, *, password_version: int = 0, email: str | None = None) -> str:
        """A token that sets a new password, once, mailed to *email*."""
        return _issue(self._reset, user_id, password_version, email)

    def peek_reset_token_sub(self, token: str) -> str:
        """As `peek_email_token_sub`, for a reset."""
        return _checked(self._reset, token)["sub"]

    def verify_reset_token(
        self, token: str, *, expected_password_version: int = 0, expected_email: str | None = None
    ) -> str:
        """As `verify_email_token`, for a reset."""
        return _bound(self._reset, token, expected_password_version, expected_email)

    # Access

    def issue_access(self, user_id: str, *, password_version: int) -> str:
        """An access token for `Authorization: Bearer`; good for `access_ttl_seconds`."""
        return _issue(self._access, user_id, password_version, None)

    def verify_access(self, token: str) -> tuple[str, int]:
        """User id and password version of an access token. The caller sees whether the user may act."""
        claims = _checked(self._access, token)
        return claims["sub"], claims["pv"]

    def _issuer(self, purpose: str, ttl: int) -> TokenIssuer:
        config = self.config
        return TokenIssuer(
            config=JWTConfig(
                secret=_derived_key(config.secret, purpose),
                algorithm=config.algorithm,
                access_ttl_seconds=ttl,
                issuer=config.issuer,
                audience=f"{config.audience or 'app'}:{purpose}",
                access_type=purpose,
            )
        )


def _derived_key(secret: str, purpose: str) -> str:
    """HMAC as a key derivation function; the label keeps the keys of other uses of the secret apart."""
    return hmac.new(secret.encode(), f"user-tokens:{purpose}".encode(), hashlib.sha256).hexdigest()


def _address_digest(email: str) -> str:
    """Links end up in logs and histories; the address itself has no place there."""
    return base64.urlsafe_b64encode(hashlib.sha256(email.encode()).digest()[:16]).decode()


def _issue(issuer: TokenIssuer, user_id: str, password_version: int, email: str | None) -> str:
    claims: dict[str, Any] = {"pv": password_version}
    if email is not None:
        claims["adr"] = _address_digest(email)
    return issuer.issue_access(user_id, **claims)


def _checked(issuer: TokenIssuer, token: str) -> dict[str, Any]:
    """Claims of a token whose signature, type, audience and lifetime are right.

    hawkapi-auth accepts tokens without `exp` and `sub`; ours always have both, and `pv`.
    """
    claims = issuer.verify_access(token)
    if not isinstance(claims.get("exp"), int) or not isinstance(claims.get("pv"), int):
        raise TokenError("token misses a claim")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise TokenError("token missing sub")
    return claims


def _bound(issuer: TokenIssuer, token: str, password_version: int, email: str | None) -> str:
    claims = _checked(issuer, token)
    if claims["pv"] != password_version:
        raise TokenError("token password_version mismatch")
    if email is not None and claims.get("adr") != _address_digest(email):
        raise TokenError("token was sent to another address")
    return claims["sub"]

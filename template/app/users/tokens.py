"""Signed tokens: those in e-mailed links, and access tokens.

Each purpose has its own key (`app/keys.py`) and its own audience, so a token works only for its purpose.
E-mailed links contain short tokens (`mail_tokens.py`). Access tokens are JWTs created by hawkapi-auth. Their
`sid` identifies the session, which is looked up on each request. You may change the lifetimes (in the
settings) and add claims, but keep the checks.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import jwt
from hawkapi_auth import JWTConfig, TokenIssuer

from app.keys import KeyRing
from app.users.exceptions import TokenError
from app.users.mail_tokens import MailTokens

VERIFY_TYPE = "email_verify"
RESET_TYPE = "password_reset"
EMAIL_CHANGE_TYPE = "email_change"
INVITATION_TYPE = "invitation"
ACCESS_TYPE = "access"

MAX_KNOWN = 4096
"""Maximum number of verified access tokens kept in memory, at half a kilobyte each."""
MIN_SECRET_LENGTH = 32
"""Minimum length of a secret, in characters (RFC 7518, section 3.2)."""


@dataclass(slots=True)
class UserTokenConfig:
    """How tokens are signed and how long they live, in seconds."""

    secret: str = field(repr=False)
    fallbacks: Sequence[str] = field(default=(), repr=False, kw_only=True)
    """Earlier secrets, whose tokens are still accepted."""
    algorithm: str = "HS256"
    """The signature algorithm for access tokens."""
    verify_ttl_seconds: int = 60 * 60
    reset_ttl_seconds: int = 60 * 60
    email_change_ttl_seconds: int = 60 * 60
    invitation_ttl_seconds: int = 7 * 24 * 60 * 60
    access_ttl_seconds: int = 15 * 60
    issuer: str | None = "app"
    audience: str | None = "app"


class UserTokens:
    """Issues and checks users' tokens.

    Raises:
        ValueError: the secret is shorter than 32 characters.
    """

    def __init__(self, config: UserTokenConfig) -> None:
        if any(len(each) < MIN_SECRET_LENGTH for each in (config.secret, *config.fallbacks)):
            raise ValueError(
                f"UserTokenConfig.secret and fallbacks must be at least {MIN_SECRET_LENGTH} characters"
                " (RFC 7518, section 3.2)"
            )
        self.config = config
        self._verify = self._mail_tokens(VERIFY_TYPE, config.verify_ttl_seconds)
        self._reset = self._mail_tokens(RESET_TYPE, config.reset_ttl_seconds)
        self._email_change = self._mail_tokens(EMAIL_CHANGE_TYPE, config.email_change_ttl_seconds)
        self._invitation = self._mail_tokens(INVITATION_TYPE, config.invitation_ttl_seconds)
        keys = self.keys_for(ACCESS_TYPE).keys
        self._access, *self._older = [self._issuer(ACCESS_TYPE, each) for each in keys]
        # Access tokens whose signatures have been verified. A client sends the same token for minutes, and
        # verifying it takes longer than the session query. That query still runs on every request.
        self._known: dict[str, tuple[str, str, int]] = {}

    # Address verification

    def issue_verify(self, user_id: str, *, password_version: int = 0, email: str | None = None) -> str:
        """A token that verifies *email*, the address that it is sent to."""
        return self._verify.issue(user_id, password_version=password_version, email=email)

    def peek_email_token_sub(self, token: str) -> str:
        """The user id in a token with a valid signature, type and lifetime. Nothing else is checked.

        Use it to load the user, then call `verify_email_token`.
        """
        return self._verify.peek(token)

    def verify_email_token(
        self, token: str, *, expected_password_version: int = 0, expected_email: str | None = None
    ) -> str:
        """The user id in *token*. Raises `TokenError` unless the token is fully valid."""
        return self._verify.verify(token, password_version=expected_password_version, email=expected_email)

    # Password reset

    def issue_reset(self, user_id: str, *, password_version: int = 0, email: str | None = None) -> str:
        """A token that sets a new password. It is sent to *email* and works only once."""
        return self._reset.issue(user_id, password_version=password_version, email=email)

    def peek_reset_token_sub(self, token: str) -> str:
        """Like `peek_email_token_sub`, but for a password reset."""
        return self._reset.peek(token)

    def verify_reset_token(
        self, token: str, *, expected_password_version: int = 0, expected_email: str | None = None
    ) -> str:
        """Like `verify_email_token`, but for a password reset."""
        return self._reset.verify(token, password_version=expected_password_version, email=expected_email)

    # Address change

    def issue_email_change(self, user_id: str, *, password_version: int, email: str) -> str:
        """A token that changes the account's address to *email*. It is sent to that address."""
        return self._email_change.issue(user_id, password_version=password_version, email=email)

    def peek_email_change_token_sub(self, token: str) -> str:
        """Like `peek_email_token_sub`, but for an address change."""
        return self._email_change.peek(token)

    def verify_email_change_token(
        self, token: str, *, expected_password_version: int, expected_email: str
    ) -> str:
        """Like `verify_email_token`, but for an address change."""
        return self._email_change.verify(
            token, password_version=expected_password_version, email=expected_email
        )

    # Invitations

    def issue_invitation(self, invitation_id: str, *, email: str) -> str:
        """A token that creates an account for *email*. It is sent to that address."""
        return self._invitation.issue(invitation_id, email=email)

    def peek_invitation_token_sub(self, token: str) -> str:
        """Like `peek_email_token_sub`, but returns the id of the invitation."""
        return self._invitation.peek(token)

    def verify_invitation_token(self, token: str, *, expected_email: str) -> str:
        """Like `verify_email_token`, but for an invitation."""
        return self._invitation.verify(token, password_version=0, email=expected_email)

    # Access

    def issue_access(self, user_id: str, *, session_id: str) -> str:
        """An access token for `Authorization: Bearer`. It expires after `access_ttl_seconds`."""
        return self._access.issue_access(user_id, sid=session_id)

    def verify_access(self, token: str) -> tuple[str, str]:
        """The user id and session id in an access token. The caller must check that the session is alive."""
        known = self._known.get(token)
        if known is None:
            claims = self._claims_of(token)
            known = claims["sub"], claims["sid"], claims["exp"]
            if len(self._known) >= MAX_KNOWN:
                self._known.pop(next(iter(self._known)))
            self._known[token] = known
        user_id, session_id, expires = known
        if expires <= time.time():
            raise TokenError("token expired")
        return user_id, session_id

    def _claims_of(self, token: str) -> dict[str, Any]:
        try:
            return _checked(self._access, token)
        except TokenError:
            for older in self._older:
                with suppress(TokenError):
                    return _checked(older, token)
            raise

    def keys_for(self, purpose: str) -> KeyRing:
        """The keys for *purpose*."""
        return KeyRing(self.config.secret, purpose, self.config.fallbacks)

    def _mail_tokens(self, purpose: str, ttl: int) -> MailTokens:
        config = self.config
        return MailTokens(
            keys=self.keys_for(purpose),
            audience=f"{config.issuer or 'app'}:{config.audience or 'app'}:{purpose}",
            lifetime=ttl,
        )

    def _issuer(self, purpose: str, key: str) -> TokenIssuer:
        config = self.config
        return TokenIssuer(
            config=JWTConfig(
                secret=key,
                algorithm=config.algorithm,
                access_ttl_seconds=config.access_ttl_seconds,
                issuer=config.issuer,
                audience=f"{config.audience or 'app'}:{purpose}",
                access_type=purpose,
            )
        )


def _checked(issuer: TokenIssuer, token: str) -> dict[str, Any]:
    """The claims of a token with a valid signature, type, audience and lifetime.

    hawkapi-auth accepts tokens without `exp`, `iat` or `sub`, and rejects tokens from a machine whose clock
    is a fraction of a second ahead. Our tokens always contain all three claims, and `sid`.
    """
    config = issuer.config
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            config.secret,
            algorithms=[config.algorithm],
            audience=config.audience,
            issuer=config.issuer,
            # The clock of the machine that issued the token may be slightly ahead of this machine's.
            options={"verify_iat": False},
        )
    except jwt.InvalidTokenError as error:
        raise TokenError(str(error)) from error
    if claims.get("type") != config.access_type:
        raise TokenError("token has another type")
    required = {"exp": int, "iat": int, "sub": str, "sid": str}
    if not all(isinstance(claims.get(name), kind) for name, kind in required.items()) or not claims["sub"]:
        raise TokenError("token lacks a claim")
    return claims

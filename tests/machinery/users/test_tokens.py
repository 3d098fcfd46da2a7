"""UserTokens: what a token is bound to, and what makes one worthless."""

import base64
import json
from dataclasses import replace
from itertools import permutations

import jwt
import pytest

from app.users import RESET_TYPE, VERIFY_TYPE, TokenError, UserTokenConfig, UserTokens

SECRET = "0123456789abcdef" * 4

CONFIG = UserTokenConfig(secret=SECRET)

ISSUE = {
    "verify": lambda tokens: tokens.issue_verify("u-1", password_version=3, email="ada@example.com"),
    "reset": lambda tokens: tokens.issue_reset("u-1", password_version=3, email="ada@example.com"),
    "email_change": lambda tokens: tokens.issue_email_change(
        "u-1", password_version=3, email="ada@example.com"
    ),
    "invitation": lambda tokens: tokens.issue_invitation("u-1", email="ada@example.com"),
    "access": lambda tokens: tokens.issue_access("u-1", session_id="s-1"),
}

CHECK = {
    "verify": lambda tokens, token: tokens.verify_email_token(
        token, expected_password_version=3, expected_email="ada@example.com"
    ),
    "reset": lambda tokens, token: tokens.verify_reset_token(
        token, expected_password_version=3, expected_email="ada@example.com"
    ),
    "email_change": lambda tokens, token: tokens.verify_email_change_token(
        token, expected_password_version=3, expected_email="ada@example.com"
    ),
    "invitation": lambda tokens, token: tokens.verify_invitation_token(
        token, expected_email="ada@example.com"
    ),
    "access": lambda tokens, token: tokens.verify_access(token)[0],
}

PAIRS = list(permutations(ISSUE, 2))

EACH = pytest.mark.parametrize("purpose", list(ISSUE))


@pytest.fixture
def tokens():
    return UserTokens(CONFIG)


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def key_of(tokens, purpose):
    """The key that signs; each purpose has its own."""
    return getattr(tokens, f"_{purpose}").config.secret


@EACH
def test_a_token_gives_its_user_back(tokens, purpose):
    assert CHECK[purpose](tokens, ISSUE[purpose](tokens)) == "u-1"


@pytest.mark.parametrize(("made_for", "used_for"), PAIRS)
def test_each_purpose_has_its_own_key(tokens, made_for, used_for):
    """Checklist 36: the right claims under another purpose's key are worth nothing."""
    claims = claims_of(ISSUE[used_for](tokens))

    with pytest.raises(TokenError):
        CHECK[used_for](tokens, jwt.encode(claims, key_of(tokens, made_for), "HS256"))


@EACH
def test_no_purpose_is_signed_with_the_secret_itself(tokens, purpose):
    claims = claims_of(ISSUE[purpose](tokens))

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, jwt.encode(claims, SECRET, "HS256"))


@EACH
def test_changed_claims_are_refused(tokens, purpose):
    header, _, signature = ISSUE[purpose](tokens).split(".")
    forged = json.dumps(claims_of(ISSUE[purpose](tokens)) | {"sub": "u-2"}).encode()
    payload = base64.urlsafe_b64encode(forged).decode().rstrip("=")

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, f"{header}.{payload}.{signature}")


LACKING = [
    (purpose, claim)
    for purpose in ISSUE
    for claim in ("exp", "iat", "sub", "aud", "iss", "type", "sid" if purpose == "access" else "pv")
]


@pytest.mark.parametrize(("purpose", "claim"), LACKING)
def test_a_token_that_lacks_a_claim_is_refused(tokens, purpose, claim):
    """Checklist 36: hawkapi-auth accepts tokens without exp and sub."""
    claims = claims_of(ISSUE[purpose](tokens))
    del claims[claim]

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, jwt.encode(claims, key_of(tokens, purpose), "HS256"))


@pytest.mark.parametrize("purpose", ["verify", "reset"])
@pytest.mark.parametrize(
    "bound_to",
    [
        {"password_version": 4, "email": "ada@example.com"},
        {"password_version": 3, "email": "eve@example.com"},
    ],
    ids=str,
)
def test_a_mail_token_is_bound_to_password_version_and_address(tokens, purpose, bound_to):
    """A token works for the password and the address that it was issued for only."""
    issue = {"verify": tokens.issue_verify, "reset": tokens.issue_reset}[purpose]

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, issue("u-1", **bound_to))


@pytest.mark.parametrize("purpose", ["verify", "reset"])
def test_a_mail_token_of_no_address_is_refused_where_one_is_expected(tokens, purpose):
    issue = {"verify": tokens.issue_verify, "reset": tokens.issue_reset}[purpose]

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, issue("u-1", password_version=3))


@EACH
def test_a_token_shows_no_address(tokens, purpose):
    """Links end up in histories and logs. Random hex can spell "ada", but never an "@"."""
    assert "@" not in json.dumps(claims_of(ISSUE[purpose](tokens)))


@EACH
def test_no_two_tokens_are_the_same(tokens, purpose):
    assert ISSUE[purpose](tokens) != ISSUE[purpose](tokens)


@pytest.mark.parametrize(
    ("purpose", "lifetime"),
    [("verify", 11), ("reset", 22), ("email_change", 33), ("access", 44), ("invitation", 55)],
)
def test_each_purpose_has_its_lifetime(purpose, lifetime):
    lifetimes = {"verify": 11, "reset": 22, "email_change": 33, "access": 44, "invitation": 55}
    config = replace(CONFIG, **{f"{each}_ttl_seconds": seconds for each, seconds in lifetimes.items()})

    claims = claims_of(ISSUE[purpose](UserTokens(config)))

    assert claims["exp"] - claims["iat"] == lifetime


def test_the_types_are_those_of_the_library():
    assert (VERIFY_TYPE, RESET_TYPE) == ("email_verify", "password_reset")


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_short_secret_is_refused(secret):
    with pytest.raises(ValueError, match="32 characters"):
        UserTokens(UserTokenConfig(secret=secret))

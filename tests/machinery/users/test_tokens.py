"""UserTokens: what a token is bound to and what invalidates it."""

import base64
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import jwt
import pytest

from app import clock
from app.users import RESET_TYPE, VERIFY_TYPE, TokenError, UserTokenConfig, UserTokens
from app.users.mail_tokens import PREFIX

SECRET = "0123456789abcdef" * 4

CONFIG = UserTokenConfig(secret=SECRET)

UUID = "7b9e0a4e-3f2f-4b7e-9f6a-0d7e5c1b2a39"

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

MAILED = [purpose for purpose in ISSUE if purpose != "access"]

EACH_MAILED = pytest.mark.parametrize("purpose", MAILED)


@pytest.fixture
def tokens():
    return UserTokens(CONFIG)


def claims_of(token):
    return jwt.decode(token, options={"verify_signature": False})


def bytes_of(token):
    """The content of an e-mailed token."""
    return base64.urlsafe_b64decode(token.removeprefix(PREFIX) + "==")


def token_of(content):
    return PREFIX + base64.urlsafe_b64encode(content).decode().rstrip("=")


@EACH
def test_a_token_returns_its_user(tokens, purpose):
    assert CHECK[purpose](tokens, ISSUE[purpose](tokens)) == "u-1"


@EACH_MAILED
@pytest.mark.parametrize(
    "subject", ["7b9e0a4e-3f2f-4b7e-9f6a-0d7e5c1b2a39", "A" * 16, "ä", "0" * 36, "0" * 32]
)
def test_a_mail_token_can_hold_any_id(tokens, purpose, subject):
    issuer = getattr(tokens, f"_{purpose}")

    assert issuer.peek(issuer.issue(subject)) == subject


@EACH_MAILED
def test_a_mail_token_is_short(tokens, purpose):
    """A link fits on a line or two; as a JWT it had 430 characters."""
    issuer = getattr(tokens, f"_{purpose}")

    token = issuer.issue(UUID, password_version=7, email="a" * 200)

    assert len(token) == 83
    assert re.fullmatch(r"mt_[A-Za-z0-9_-]{80}", token)


@pytest.mark.parametrize(("made_for", "used_for"), PAIRS)
def test_no_purpose_accepts_a_token_for_another(tokens, made_for, used_for):
    with pytest.raises(TokenError):
        CHECK[used_for](tokens, ISSUE[made_for](tokens))


@pytest.mark.parametrize(("made_for", "used_for"), [pair for pair in PAIRS if "access" not in pair])
def test_each_purpose_has_its_own_key(tokens, made_for, used_for):
    """Checklist 36: the right content signed with another purpose's key is invalid."""
    getattr(tokens, f"_{made_for}")._audience = getattr(tokens, f"_{used_for}")._audience

    with pytest.raises(TokenError):
        CHECK[used_for](tokens, ISSUE[made_for](tokens))


@pytest.mark.parametrize(("made_for", "used_for"), [pair for pair in PAIRS if "access" not in pair])
def test_each_purpose_has_its_own_audience(tokens, made_for, used_for):
    """A second line of defense: even with one key, tokens of two purposes would differ."""
    getattr(tokens, f"_{made_for}")._keys = getattr(tokens, f"_{used_for}")._keys

    with pytest.raises(TokenError):
        CHECK[used_for](tokens, ISSUE[made_for](tokens))


@EACH
@pytest.mark.parametrize("other", [{"issuer": "other"}, {"audience": "other"}, {"secret": "s" * 32}], ids=str)
def test_another_application_accepts_nothing(tokens, purpose, other):
    token = ISSUE[purpose](UserTokens(replace(CONFIG, **other)))

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, token)


@EACH_MAILED
def test_a_mail_token_with_any_byte_changed_is_refused(tokens, purpose):
    """Checklist 36: expiry, user, version and address are all signed."""
    content = bytes_of(ISSUE[purpose](tokens))
    changed = [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(len(content))]

    for each in changed:
        with pytest.raises(TokenError):
            CHECK[purpose](tokens, token_of(each))


@EACH_MAILED
@pytest.mark.parametrize(
    "changed", ["", PREFIX, "u-1", f"{PREFIX}!!!!", f"{PREFIX}ä", f"{PREFIX}A", "\0", "{token}"]
)
def test_a_malformed_mail_token_is_refused(tokens, purpose, changed):
    with pytest.raises(TokenError):
        CHECK[purpose](tokens, changed)


@EACH_MAILED
@pytest.mark.parametrize("length", [*range(0, 47, 6), 44, 45, 46])
def test_a_mail_token_cut_short_is_refused(tokens, purpose, length):
    with pytest.raises(TokenError):
        CHECK[purpose](tokens, token_of(bytes_of(ISSUE[purpose](tokens))[:length]))


@EACH_MAILED
def test_a_mail_token_is_refused_without_its_prefix(tokens, purpose):
    with pytest.raises(TokenError):
        CHECK[purpose](tokens, ISSUE[purpose](tokens).removeprefix(PREFIX))


def test_no_access_token_is_signed_with_the_secret_itself(tokens):
    claims = claims_of(ISSUE["access"](tokens))

    with pytest.raises(TokenError):
        tokens.verify_access(jwt.encode(claims, SECRET, "HS256"))


def test_changed_claims_of_an_access_token_are_refused(tokens):
    header, _, signature = ISSUE["access"](tokens).split(".")
    forged = json.dumps(claims_of(ISSUE["access"](tokens)) | {"sub": "u-2"}).encode()
    payload = base64.urlsafe_b64encode(forged).decode().rstrip("=")

    with pytest.raises(TokenError):
        tokens.verify_access(f"{header}.{payload}.{signature}")


def test_an_access_token_from_a_machine_whose_clock_is_ahead_is_accepted(tokens):
    claims = claims_of(ISSUE["access"](tokens))
    claims["iat"] += 2

    token = jwt.encode(claims, tokens._access.config.secret, "HS256")

    assert tokens.verify_access(token)[0] == claims["sub"]


@pytest.mark.parametrize("claim", ["exp", "iat", "sub", "aud", "iss", "type", "sid"])
def test_an_access_token_that_lacks_a_claim_is_refused(tokens, claim):
    """Checklist 36: hawkapi-auth accepts tokens without exp and sub."""
    claims = claims_of(ISSUE["access"](tokens))
    del claims[claim]

    with pytest.raises(TokenError):
        tokens.verify_access(jwt.encode(claims, tokens._access.config.secret, "HS256"))


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
    """A token works only for the password and address it was issued for."""
    issue = {"verify": tokens.issue_verify, "reset": tokens.issue_reset}[purpose]

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, issue("u-1", **bound_to))


@pytest.mark.parametrize("purpose", ["verify", "reset"])
def test_a_mail_token_without_an_address_is_refused_where_one_is_expected(tokens, purpose):
    issue = {"verify": tokens.issue_verify, "reset": tokens.issue_reset}[purpose]

    with pytest.raises(TokenError):
        CHECK[purpose](tokens, issue("u-1", password_version=3))


@EACH
def test_a_token_does_not_reveal_the_address(tokens, purpose):
    """Links end up in histories and logs."""
    token = ISSUE[purpose](tokens)
    content = json.dumps(claims_of(token)).encode() if purpose == "access" else bytes_of(token)

    assert b"@example" not in content


@EACH
def test_no_two_tokens_are_the_same(tokens, purpose):
    assert ISSUE[purpose](tokens) != ISSUE[purpose](tokens)


@pytest.mark.parametrize(
    ("purpose", "lifetime"), [("verify", 11), ("reset", 22), ("email_change", 33), ("invitation", 55)]
)
def test_each_mailed_link_has_its_lifetime(purpose, lifetime, monkeypatch):
    lifetimes = {"verify": 11, "reset": 22, "email_change": 33, "invitation": 55}
    config = replace(CONFIG, **{f"{each}_ttl_seconds": seconds for each, seconds in lifetimes.items()})
    tokens, now = UserTokens(config), datetime(2030, 5, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: now)
    token = ISSUE[purpose](tokens)

    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=lifetime - 1))
    assert CHECK[purpose](tokens, token) == "u-1"
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(seconds=lifetime))
    with pytest.raises(TokenError, match="expired"):
        CHECK[purpose](tokens, token)


def test_an_access_token_has_its_lifetime():
    claims = claims_of(ISSUE["access"](UserTokens(replace(CONFIG, access_ttl_seconds=44))))

    assert claims["exp"] - claims["iat"] == 44


def test_the_types_match_the_library():
    assert (VERIFY_TYPE, RESET_TYPE) == ("email_verify", "password_reset")


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_short_secret_is_refused(secret):
    with pytest.raises(ValueError, match="32 characters"):
        UserTokens(UserTokenConfig(secret=secret))

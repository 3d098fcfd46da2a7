"""Tokens over HTTP: valid for one purpose and one account, and visible only in their e-mail."""

import base64
import hmac
import json
import logging
import socket
import struct
from itertools import permutations

import jwt
import pytest

from app.keys import derived_key
from app.users import UserTokenConfig, UserTokens
from app.users.mail_tokens import PREFIX
from app.users.tokens import (
    ACCESS_TYPE,
    EMAIL_CHANGE_TYPE,
    INVITATION_TYPE,
    RESET_TYPE,
    VERIFY_TYPE,
)

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
PASSWORD = ADA["password"]
NEW = {"password": "a brand new password"}
PATHS = {
    "verify": "verify",
    "reset": "password-reset",
    "email-change": "email-change",
    "invitation": "invitation",
}
BODIES = {"verify": {}, "reset": NEW, "email-change": {"password": PASSWORD}, "invitation": NEW}


@pytest.fixture(params=["in the path", "in the body"])
def attempt(client, request):
    """`await attempt("reset", token)`: the status of using a token for a purpose. Each test runs twice,
    because each link can be used in two ways.
    """

    async def use(purpose, token):
        if purpose == "access":
            return await client.get("/users/me", headers={"Authorization": f"Bearer {token}"})
        path, body = f"/users/{PATHS[purpose]}", BODIES[purpose]
        if request.param == "in the path":
            return await client.post(f"{path}/{token}", json=body)
        return await client.post(path, json=body | {"token": token})

    async def status(purpose, token):
        return (await use(purpose, token)).status_code

    return status


@pytest.fixture
def issue(db, manager, begin_session):
    """`await issue(tokens, "reset", user)`: a token as the application creates it. An invitation is not for
    *user* but for someone without an account. *mailed_to*: the address, if it differs from the current one.
    """

    async def make(tokens, purpose, user, mailed_to=None):
        version = user.password_version
        if purpose == "access":
            return tokens.issue_access(user.id, session_id=(await begin_session(user)).session.id)
        if purpose == "invitation":
            async with db.session() as session:
                guest = f"guest-of-{user.email}"
                row, _ = await manager.invitations.make(session, guest, invited_by=user.id)
            return tokens.issue_invitation(row.id, email=mailed_to or row.email)
        email = mailed_to or user.email
        return {
            "verify": tokens.issue_verify(user.id, password_version=version, email=email),
            "reset": tokens.issue_reset(user.id, password_version=version, email=email),
            "email-change": tokens.issue_email_change(
                user.id, password_version=version, email=mailed_to or "new@example.com"
            ),
        }[purpose]

    return make


@pytest.fixture
def key_of(settings):
    """`key_of("reset")`: the key that signs tokens of this purpose."""
    secret = settings.secret_key.get_secret_value()
    types = {"verify": VERIFY_TYPE, "reset": RESET_TYPE, "email-change": EMAIL_CHANGE_TYPE}
    types |= {"invitation": INVITATION_TYPE, "access": ACCESS_TYPE}
    return lambda purpose: derived_key(secret, types[purpose])


def signed(header, claims, key):
    """A token created without any checks, with HS256 and the fields in *header*."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"} | header, claims)]
    text = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    signature = hmac.digest(key.encode(), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def content_of(token):
    """The bytes of an e-mailed token: its claims, the id and the signature."""
    return base64.urlsafe_b64decode(token.removeprefix(PREFIX))


def token_of(content):
    return PREFIX + base64.urlsafe_b64encode(content).decode()


@pytest.fixture
def mac_of(key_of, manager):
    """`mac_of("reset", content)`: the full signature of an e-mailed token."""
    types = {"verify": VERIFY_TYPE, "reset": RESET_TYPE, "email-change": EMAIL_CHANGE_TYPE}
    types |= {"invitation": INVITATION_TYPE}
    config = manager.tokens.config

    def mac(purpose, content, algorithm="sha256"):
        audience = f"{config.issuer}:{config.audience}:{types[purpose]}".encode()
        return hmac.digest(key_of(purpose).encode(), audience + b"\0" + content, algorithm)

    return mac


REFUSED = {"verify": 400, "reset": 400, "email-change": 400, "invitation": 400, "access": 401}
EACH = pytest.mark.parametrize(("purpose", "status"), REFUSED.items())
MAILED = pytest.mark.parametrize("purpose", PATHS)
OF_AN_ACCOUNT = pytest.mark.parametrize(
    ("purpose", "status"), [each for each in REFUSED.items() if each[0] != "invitation"]
)


@pytest.mark.parametrize("purpose", REFUSED)
async def test_a_token_works_for_its_purpose(manager, make_user, issue, attempt, purpose):
    """This shows that the tokens in the tests below are rejected only because of their changes."""
    token = await issue(manager.tokens, purpose, await make_user(pending_email="new@example.com"))

    assert await attempt(purpose, token) in (200, 201)


@pytest.mark.parametrize(
    ("made_for", "used_for", "status"),
    [(made, used, REFUSED[used]) for made, used in permutations(REFUSED, 2)],
)
async def test_a_token_is_refused_for_another_purpose(
    manager, make_user, stored, issue, attempt, made_for, used_for, status
):
    """Checklist 27; ASVS 9.2.2."""
    user = await make_user(pending_email="new@example.com")

    assert await attempt(used_for, await issue(manager.tokens, made_for, user)) == status
    assert (await stored(user)).password_version == 0
    assert not (await stored(user)).is_verified


@EACH
async def test_a_token_signed_with_another_secret_is_refused(make_user, issue, attempt, purpose, status):
    """Checklist 36; ASVS 9.1.1."""
    foreign = UserTokens(UserTokenConfig(secret="another secret of 32 characters!"))

    assert await attempt(purpose, await issue(foreign, purpose, await make_user())) == status


@pytest.mark.parametrize(("purpose", "status"), [("access", 401)])
async def test_an_unsigned_token_is_refused(manager, make_user, issue, attempt, purpose, status):
    """Checklist 36."""
    payload = (await issue(manager.tokens, purpose, await make_user())).split(".")[1]
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")

    assert await attempt(purpose, f"{header}.{payload}.") == status


@pytest.mark.parametrize(("purpose", "status"), [("access", 401)])
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_another_algorithm_is_refused(
    manager, make_user, issue, attempt, key_of, purpose, status, algorithm
):
    """Checklist 36; ASVS 9.1.2: even with the right key and the right claims."""
    claims = jwt.decode(
        await issue(manager.tokens, purpose, await make_user()), options={"verify_signature": False}
    )

    assert await attempt(purpose, jwt.encode(claims, key_of(purpose), algorithm)) == status


@pytest.fixture
def attackers_server():
    """A server named by an attacker; nothing may connect to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


OWN_KEY = "a key of the attacker's, of 32 characters and more"
OWN_JWK = {"kty": "oct", "alg": "HS256", "k": base64.urlsafe_b64encode(OWN_KEY.encode()).decode().rstrip("=")}


HEADERS = {
    "jwk": {"jwk": OWN_JWK},
    "jwk and kid": {"jwk": OWN_JWK, "kid": "own"},
    "jku": {"jku": "{url}/keys.json"},
    "x5u": {"x5u": "{url}/certificate.pem"},
    "x5c": {"x5c": [base64.b64encode(OWN_KEY.encode()).decode()]},
    "kid of a URL": {"kid": "{url}/keys.json"},
    "kid of a file": {"kid": "../../../../../dev/null"},
    "kid of SQL": {"kid": "own' UNION SELECT 'a key of the attacker"},
    "kid that is empty": {"kid": ""},
    "kid that is a number": {"kid": 1},
    "kid that is null": {"kid": None},
}


@pytest.mark.parametrize(("purpose", "status"), [("access", 401)])
@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
async def test_a_token_cannot_bring_its_own_key(
    manager, make_user, issue, attempt, attackers_server, purpose, status, header
):
    """Advisory 5: Authlib CVE-2026-27962, RFC 8725 3.10. Keys in the header are neither used nor fetched."""
    user = await make_user(pending_email="new@example.com")
    claims = jwt.decode(await issue(manager.tokens, purpose, user), options={"verify_signature": False})
    url = f"http://127.0.0.1:{attackers_server.getsockname()[1]}"
    named = json.loads(json.dumps(header).replace("{url}", url))

    assert await attempt(purpose, signed(named, claims, OWN_KEY)) == status
    with pytest.raises(BlockingIOError):
        attackers_server.accept()


@pytest.mark.parametrize(("purpose", "status"), [("access", 401)])
@pytest.mark.parametrize(
    "header",
    [{"crit": ["x"], "x": 1}, {"crit": ["x"]}, {"crit": ["exp", "x"], "exp": 1}],
    ids=["unknown", "unknown and missing", "unknown beside exp"],
)
async def test_an_unknown_critical_header_is_refused(
    manager, make_user, issue, attempt, key_of, purpose, status, header
):
    """Advisory 7: PyJWT CVE-2026-32597, RFC 7515 4.1.11. The token has the right key and claims."""
    user = await make_user(pending_email="new@example.com")
    claims = jwt.decode(await issue(manager.tokens, purpose, user), options={"verify_signature": False})

    assert await attempt(purpose, signed(header, claims, key_of(purpose))) == status
    assert await attempt(purpose, signed({}, claims, key_of(purpose))) in (200, 201)


CHANGES = {
    "a later expiry": lambda content: content[:1] + struct.pack(">I", 2**32 - 1) + content[5:],
    "another version": lambda content: content[:5] + struct.pack(">I", 1) + content[9:],
    "another address": lambda content: content[:12] + bytes(16) + content[28:],
    "another id": lambda content: content[:28] + bytes(16) + content[44:],
    "no id": lambda content: content[:28] + content[44:],
    "an id as text": lambda content: b"\0" + content[1:],
}


@MAILED
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_no_claim_of_a_mailed_token_may_differ(manager, make_user, issue, attempt, purpose, change):
    """Checklist 36; ASVS 9.1.1, 9.2.1: the whole token is signed."""
    user = await make_user("ada@example.com", pending_email="new@example.com")
    content = content_of(await issue(manager.tokens, purpose, user))

    assert await attempt(purpose, token_of(change(content))) == 400


@MAILED
async def test_only_the_original_signature_of_a_mailed_token_is_valid(
    manager, make_user, issue, attempt, mac_of, purpose
):
    """Checklist 36; ASVS 9.1.2: even with the right key and the right content."""
    user = await make_user("ada@example.com", pending_email="new@example.com")
    content = content_of(await issue(manager.tokens, purpose, user))[:-16]
    others = [mac_of(purpose, content, name)[:16] for name in ("sha1", "sha512")]
    others += [b"", bytes(16), mac_of(purpose, content)[:8], mac_of(purpose, content)]

    statuses = [await attempt(purpose, token_of(content + each)) for each in others]

    assert statuses == [400] * len(others)
    assert await attempt(purpose, token_of(content + mac_of(purpose, content)[:16])) in (200, 201)


@MAILED
async def test_a_mailed_token_with_the_id_of_another_account_is_refused(
    manager, make_user, issue, attempt, purpose
):
    """Checklist 27."""
    eve, ada = await make_user("eve@example.com"), await make_user("ada@example.com")
    of_eve = content_of(await issue(manager.tokens, purpose, eve))
    of_ada = content_of(await issue(manager.tokens, purpose, ada))

    assert await attempt(purpose, token_of(of_ada[:-16] + of_eve[-16:])) == 400


async def test_an_access_token_rewritten_for_another_account_is_refused(manager, make_user, issue, attempt):
    """Checklist 27."""
    eve, ada = await make_user("eve@example.com"), await make_user("ada@example.com")
    header, _, signature = (await issue(manager.tokens, "access", eve)).split(".")
    payload = (await issue(manager.tokens, "access", ada)).split(".")[1]

    assert await attempt("access", f"{header}.{payload}.{signature}") == 401


async def test_a_token_acts_on_its_own_account_whoever_sends_it(client, manager, make_user, login, stored):
    """Checklist 27: another user's login does not change this."""
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")

    answer = await client.post(f"/users/verify/{manager.verify_token(ada)}", headers=login(eve))

    assert answer.json()["id"] == ada.id
    assert not (await stored(eve)).is_verified


@EACH
async def test_an_expired_token_is_refused(
    expired_tokens, make_user, issue, attempt, stored, purpose, status
):
    """Checklist 27; ASVS 6.6.2."""
    user = await make_user(pending_email="new@example.com")

    assert await attempt(purpose, await issue(expired_tokens, purpose, user)) == status
    assert (await stored(user)).password_version == 0


@pytest.fixture
def move(manager, db, begin_session):
    """`await move(user)`: the owner changes the address in another session."""

    async def change_email(user):
        elsewhere = await begin_session(user)
        async with db.session() as session:
            owner = await manager.require(session, user.id)
            owner.pending_email = "moved@example.com"
            await session.flush()
            token = manager.email_change_token(owner, "moved@example.com")
            await manager.change_email(session, token=token, login=(owner, elsewhere.session))

    return change_email


@OF_AN_ACCOUNT
async def test_a_token_issued_before_an_email_change_is_refused(
    manager, make_user, issue, attempt, move, change, stored, purpose, status
):
    """Checklist 27."""
    user = await make_user(pending_email="new@example.com")
    token = await issue(manager.tokens, purpose, user)
    await move(user)
    await change(user, pending_email="new@example.com", is_verified=False)

    assert await attempt(purpose, token) == status
    assert (await stored(user)).email == "moved@example.com"
    assert (await stored(user)).password_version == 1


@pytest.mark.parametrize("purpose", PATHS)
async def test_a_token_works_only_for_the_address_it_was_mailed_to(
    manager, make_user, issue, attempt, accounts, purpose
):
    """Checklist 27: this applies even if the address was changed in the database."""
    user = await make_user(pending_email="new@example.com")
    token = await issue(manager.tokens, purpose, user, mailed_to="another@example.com")

    assert await attempt(purpose, token) == 400
    [now] = await accounts()
    assert (now.email, now.is_verified, now.password_version) == (user.email, False, 0)


async def test_an_application_with_another_secret_accepts_nothing(other_client, manager, make_user, login):
    """Checklist 36."""
    client = await other_client(secret_key="another secret of 32 characters!")
    user = await make_user()

    answers = [
        await client.get("/users/me", headers=login(user)),
        await client.post(f"/users/verify/{manager.verify_token(user)}"),
        await client.post(f"/users/password-reset/{manager.reset_token(user)}", json=NEW),
    ]

    assert [answer.status_code for answer in answers] == [401, 400, 400]


@pytest.mark.parametrize("path", ["/users/verify/request", "/users/password-reset/request"])
async def test_no_response_has_a_mailed_token(client, make_user, mailed_token, path):
    await make_user("ada@example.com")

    answer = await client.post(path, json={"email": "ada@example.com"})

    assert await mailed_token() not in answer.text + str(answer.headers)


async def test_neither_tokens_nor_passwords_reach_the_log(client, mailed_token, caplog):
    """Checklist 39; ASVS 16.2.5."""
    caplog.set_level(logging.INFO)

    await client.post("/users/register", json=ADA)
    verification = await mailed_token()
    await client.post(f"/users/verify/{verification}", json={"password": ADA["password"]})
    access = (await client.post("/users/login", json=ADA)).json()["access_token"]
    await client.post("/users/password-reset/request", json={"email": "ada@example.com"})
    reset = await mailed_token()
    await client.post(f"/users/password-reset/{reset}", json=NEW)
    await client.post(f"/users/password-reset/{reset}", json=NEW)

    log = "".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    secrets = [verification, access, reset, ADA["password"], NEW["password"]]
    assert not any(secret in log for secret in secrets)


async def test_the_secret_is_in_no_repr(app, manager, settings):
    """Checklist 39: `repr(JWTConfig)` of hawkapi-auth prints the secret."""
    secret = settings.secret_key.get_secret_value()

    for_people = repr((settings, manager, manager.tokens, manager.tokens.config, app.state))

    assert secret not in for_people
    assert manager.tokens._access.config.secret not in for_people


async def test_the_repr_of_an_account_has_no_hash(make_user):
    """Checklist 39."""
    user = await make_user()

    assert user.hashed_password not in repr(user)

"""Passwords that are easy to guess, and only those, are rejected on every route. Each rejection has its own
message, hashes nothing and keeps an e-mailed link valid.
"""

import logging
import random
import sqlite3
import string
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from pydantic import ValidationError
from typer.testing import CliRunner

from app.cli import cli
from app.settings import Settings
from app.users import InvalidPassword, User, UserManager
from app.users.passwords.common import LIST, load_common_passwords
from app.users.passwords.policy import check_password, context_words
from app.users.passwords.pwned import BreachCheck
from tests.users.breach_server import BreachServer, digest_of, line_of

PROJECT = Path(__file__).parent.parent.parent
ADDRESS = "ada.lovelace@example.com"
OLD, NEW = "correct horse battery", "a brand new password"
ON_THE_LIST = "is too common"
LITTLE_MORE = "is little more than your name"
BREACHED = "is known from a data breach"
WAYS = pytest.mark.parametrize("way", ["register", "reset", "reset by form", "change"])
COMMON = ["1q2w3e4r5t6y", "QWERTYqwerty", "123456789987654321", "unbelievable"]
KEY = "0123456789abcdef" * 4


@pytest.fixture
def set_password(client, manager, make_user, visit):
    """`await set_password("reset", password)`: the response to setting it in that way."""

    async def register(password):
        return await client.post("/users/register", json={"email": ADDRESS, "password": password})

    async def reset(password):
        token = manager.reset_token(await make_user(ADDRESS))
        return await client.post(f"/users/password-reset/{token}", json={"password": password})

    async def reset_by_form(password):
        token = manager.reset_token(await make_user(ADDRESS))
        return await client.post(f"/users/password-reset/{token}", data={"password": password})

    async def change(password):
        headers = (await visit(await make_user(ADDRESS))).headers
        body = {"current_password": OLD, "new_password": password}
        return await client.post("/users/me/password", json=body, headers=headers)

    ways = {"register": register, "reset": reset, "reset by form": reset_by_form, "change": change}

    async def set_(way, password):
        return await ways[way](password)

    return set_


@pytest.fixture
def log_in(client):
    """`await log_in(password)`: the status of the login."""

    async def send(password):
        answer = await client.post("/users/login", json={"email": ADDRESS, "password": password})
        return answer.status_code

    return send


@pytest.fixture
def create_by_cli(app, migrated, monkeypatch):
    """`create_by_cli(password)`: `app users create --password-stdin`, on the database of the tests."""
    for name, value in {
        "ENVIRONMENT": "test",
        "SECRET_KEY": KEY,
        "DATABASE_URL": migrated,
        "MAIL_BACKEND": "memory",
        # The project's `.env` requires longer passwords.
        "PASSWORD_MIN_LENGTH": "12",
    }.items():
        monkeypatch.setenv(name, value)

    def create(password):
        return CliRunner().invoke(
            cli, ["users", "create", ADDRESS, "--password-stdin"], input=password + "\n"
        )

    return create


# Length and characters


@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_minimum_below_eight_cannot_be_set(length):
    """Checklist 1: a password of fewer than 8 characters is rejected, whatever the setting (ASVS 6.2.1)."""
    with pytest.raises(ValidationError, match="greater than or equal to 8"):
        Settings(_env_file=None, secret_key=KEY, password_min_length=length)  # type: ignore[call-arg]


@WAYS
@pytest.mark.parametrize("password", ["", "pqzrvmw", "pqzrvmwkdhs"], ids=len)
async def test_a_short_password_is_refused_every_way(set_password, hash_calls, way, password):
    """Checklist 1: it has fewer than 12 characters, the default minimum."""
    answer = await set_password(way, password)

    assert answer.status_code == 400
    assert "use at least 12 characters" in answer.text
    assert "hash" not in hash_calls


@WAYS
@pytest.mark.parametrize("password", ["pqzrvmwkd" * 14 + "pqz", "pqzrvmwkd" * 10_000], ids=len)
async def test_an_overlong_password_is_refused_every_way(set_password, hash_calls, way, password):
    """Checklist 1: a password of more than 128 characters is not hashed."""
    answer = await set_password(way, password)

    assert answer.status_code == 400
    assert "use at most 128 characters" in answer.text
    assert "hash" not in hash_calls


@WAYS
@pytest.mark.parametrize("password", ["pq zrvmw" * 8, "pqzrv mwkd" * 10, "pq☃zrvmw" * 16], ids=len)
async def test_a_long_password_is_not_truncated_anywhere(set_password, log_in, way, password):
    """Checklist 1: it may have 64 or more characters, all of them significant (ASVS 6.2.9, 6.2.8)."""
    answer = await set_password(way, password)

    assert answer.status_code in (200, 201)
    assert await log_in(password) == 200
    assert await log_in(password[:-1]) == 401


@WAYS
@pytest.mark.parametrize(
    ("chosen", "typed"),
    [
        ("A brand new password", "a brand new password"),
        ("a brand new password ", "a brand new password"),
        ("a brand new password", " a brand new password"),
        ("a brand  new password", "a brand new password"),
        ("pqzrvmwkdh" * 9 + "pqzrvmwkdx", "pqzrvmwkdh" * 10),
        ("ef\ufb01cient passwords", "efficient passwords"),
        ("re\u0301sume\u0301 of the year", "r\u00e9sum\u00e9 of the year"),
    ],
    ids=["case", "space after", "space before", "two spaces", "last of 100", "ligature", "composed"],
)
async def test_lookalike_passwords_are_different(set_password, log_in, way, chosen, typed):
    """Checklist 1: there is no NFKC normalization, trimming or case folding."""
    await set_password(way, chosen)

    assert [await log_in(chosen), await log_in(typed)] == [200, 401]


@pytest.mark.usefixtures("real_hashing")
async def test_a_password_is_stored_as_argon2id(client, accounts):
    """Checklist 1: the hash uses 64 MiB, 3 passes and 4 lanes (ASVS 11.4.2)."""
    await client.post("/users/register", json={"email": ADDRESS, "password": NEW})

    (user,) = await accounts()
    assert user.hashed_password.startswith("$argon2id$v=19$m=65536,t=3,p=4$")


@WAYS
@pytest.mark.parametrize("password", ["pqzrvmwkdhsjgtbxlcnf", "48105937261850394726", "    !!!!    ????    "])
async def test_no_kind_of_character_is_required(set_password, way, password):
    """Checklist 2: 20 lower-case letters are accepted, as are 20 digits."""
    answer = await set_password(way, password)

    assert answer.status_code in (200, 201)


# Common passwords


@pytest.fixture(scope="module")
def common():
    return load_common_passwords()


def is_refused(password, **rule):
    try:
        check_password(password, **rule)
    except InvalidPassword as error:
        return ON_THE_LIST in str(error)
    return False


def is_little_more(password, words):
    try:
        check_password(password, words=words)
    except InvalidPassword as error:
        return LITTLE_MORE in str(error)
    return False


def test_every_common_password_is_refused(common):
    """Checklist 3: there are at least 3,000 of the default length, in lower, upper and title case."""
    long = [password for password in common if len(password) >= 12]
    spelt = [*long, *map(str.upper, filter(str.isascii, long)), *map(str.title, filter(str.isascii, long))]

    assert len(long) >= 3000
    assert [each for each in spelt if not is_refused(each, common=common)] == []


def test_a_lower_minimum_has_its_own_list(common):
    """Checklist 3: it has at least 3,000 of 8 to 11 characters, for PASSWORD_MIN_LENGTH=8."""
    short = [password for password in common if 8 <= len(password) < 12]

    assert len(short) >= 3000
    assert [each for each in short if not is_refused(each, min_length=8, common=common)] == []


def test_the_list_is_stored_normalized(common):
    assert [each for each in common if each != each.casefold() or not 4 <= len(each) <= 128] == []
    assert LIST.is_relative_to(PROJECT / "app")


VARIANTS = [
    "password1234",
    "Password123456!",
    "PASSWORD!!!!",
    "password 2026",
    "password£2026",
    "p@ssw0rd1234",
    "P4$$w0rd!2026",
    "pa55word-12345",
    "qwerty123456!",
    "QWERTYuiop??1",
    "welcome2026!!",
    "1l0vey0u!1!1",
    "ilov3you2026",
    "sun5h1ne4444",
    "pr1nce55-2026",
    "4dm1n12345678",
    "letmein00000000",
    "m0nkey!12345",
    "1q2w3e4r5t6y!",
    "q1w2e3r4t5y6789",
    "123456789012!",
    "michael19871224",
    "unbelievable1!",
    "UNBEL1EVABLE",
]


def test_a_common_password_is_no_better_with_digits_and_signs(common):
    """Checklist 3: digits and signs may follow the password, replace its letters, or both."""
    assert [each for each in VARIANTS if not is_refused(each, common=common)] == []


@WAYS
@pytest.mark.parametrize("password", ["password1234!", "P@55w0rd-2026", "qwerty123456!"])
async def test_a_decorated_common_password_is_refused_every_way(set_password, hash_calls, way, password):
    """Checklist 3."""
    answer = await set_password(way, password)

    assert answer.status_code == 400
    assert ON_THE_LIST in answer.text
    assert "hash" not in hash_calls


@pytest.mark.parametrize("password", ["password1234!", "P@55w0rd-2026", "qwerty123456!"])
def test_a_decorated_common_password_is_refused_by_the_command_line(create_by_cli, password):
    """Checklist 3: it is entered with --password-stdin."""
    result = create_by_cli(password)

    assert (result.exit_code, result.stdout) == (1, "")
    assert ON_THE_LIST in result.stderr


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery 7",
        "correct horse battery staple 2026",
        "7 dragons love monkeys",
        "password of the monkey 1",
        "monkeydragonsunshinesummer1",
        "summer-winter-sunshine-77",
        "qwertz und sonnenschein 3",
        "48105937261850394726",
        "2026-11-28 12:30:59",
        "a1b2c3d4e5f6g7h8!",
        "☃☃☃☃☃☃☃☃☃☃☃☃1!",
        "            1",
        "!!!!!!!!!!!! 1",
    ],
)
def test_a_good_password_may_have_digits_and_signs(common, password):
    """Checklist 2 and 3: passwords of several words are not on the list."""
    check_password(password, common=common)


ALPHABETS = {
    "letters": string.ascii_letters,
    "lower case and digits": string.ascii_lowercase + string.digits,
    "letters and digits": string.ascii_letters + string.digits,
    "all that can be typed": string.ascii_letters + string.digits + string.punctuation,
    "digits": string.digits,
    "hexadecimal digits": string.hexdigits,
}


@pytest.mark.parametrize("alphabet", ALPHABETS.values(), ids=ALPHABETS)
@pytest.mark.parametrize("length", [12, 20])
def test_generated_passwords_are_accepted(common, alphabet, length):
    """Checklist 2: 2,000 of each kind, the same in each run, checked against names of the owner and app."""
    source = random.Random(length)
    drawn = ["".join(source.choices(alphabet, k=length)) for _ in range(2000)]
    words = context_words(ADDRESS, {"name": "Ada Lovelace"}) | {"HawkAPI app", "hawkapi"}

    assert [each for each in drawn if is_refused(each, common=common)] == []
    assert [each for each in drawn if is_little_more(each, words)] == []


@pytest.mark.parametrize("between", [" ", "-", ""])
def test_four_random_words_with_a_digit_are_accepted(common, between):
    """Checklist 2: they are accepted even though each word is common."""
    words = sorted(each for each in common if each.isascii() and each.isalpha() and len(each) < 8)
    source = random.Random(len(between))
    drawn = [between.join(source.choices(words, k=4)) + str(source.randrange(10)) for _ in range(2000)]

    assert len(words) > 1000
    assert [each for each in drawn if is_refused(each, common=common, min_length=8)] == []


@WAYS
@pytest.mark.parametrize("password", COMMON)
async def test_a_common_password_is_refused_every_way(set_password, hash_calls, way, password):
    """Checklist 3: this applies to registration, reset and change, and nothing is hashed."""
    answer = await set_password(way, password)

    assert answer.status_code == 400
    assert ON_THE_LIST in answer.text
    assert "hash" not in hash_calls


@pytest.mark.parametrize("password", COMMON)
def test_a_common_password_is_refused_by_the_command_line(create_by_cli, password):
    """Checklist 3: it is entered with --password-stdin."""
    result = create_by_cli(password)

    assert (result.exit_code, result.stdout) == (1, "")
    assert ON_THE_LIST in result.stderr


async def test_a_common_password_is_refused_by_an_update(manager, db, make_user):
    """Checklist 3: this applies even to custom code."""
    async with db.session() as session:
        user = await manager.get_by_id(session, (await make_user()).id)
        with pytest.raises(InvalidPassword, match=ON_THE_LIST):
            await manager.update(session, user, password=COMMON[0])


async def test_an_eight_character_common_password_is_refused_at_that_minimum(other_client):
    client = await other_client(password_min_length=8)

    answer = await client.post("/users/register", json={"email": ADDRESS, "password": "baseball"})

    assert answer.status_code == 400
    assert ON_THE_LIST in answer.text


async def test_the_list_is_read_once(manager, monkeypatch):
    calls = []
    manager.policy = replace(manager.policy, load_common=lambda: calls.append("read") or {"the common one"})

    for password in [NEW, OLD]:
        await manager.policy.check(password, min_length=12)
    with pytest.raises(InvalidPassword, match=ON_THE_LIST):
        await manager.policy.check("The Common One", min_length=12)

    assert calls == ["read"]


async def test_a_manager_without_a_policy_has_no_list(manager, db, quick_hashing):
    """A manager built as for hawkapi-users checks only the length and the characters."""
    bare = UserManager(model=User, tokens=manager.tokens)

    async with db.session() as session:
        user = await bare.create(session, email=ADDRESS, password=COMMON[0])
        with pytest.raises(InvalidPassword, match="at least 12"):
            await bare.update(session, user, password="short")

    bare.hasher.close()


# Known words about the owner


@WAYS
@pytest.mark.parametrize(
    "password",
    [
        "ada.lovelace@example.com",
        "ada.lovelace@example.com1",
        "Ada Lovelace 2026",
        "lovelace-lovelace",
        "!example!example!",
        "hawkapi-app-2026",
        "HawkAPI_HawkAPI_1",
        "hawkapi lovelace",
        "HawkAPI 123456789",
        "h4wk4p1-4pp-2026!",
        "H@wk@p!@pp123456789",
        "l0v3l4c3!18151852",
    ],
)
async def test_a_password_close_to_a_known_word_is_refused_every_way(set_password, hash_calls, way, password):
    """Checklist 4: the words are the application's name, the owner's address and its parts (ASVS 6.2.11)."""
    answer = await set_password(way, password)

    assert answer.status_code == 400
    assert LITTLE_MORE in answer.text
    assert "hash" not in hash_calls


def test_a_password_close_to_a_known_word_is_refused_by_the_command_line(create_by_cli):
    """Checklist 4: it is entered with --password-stdin."""
    result = create_by_cli("Ada.Lovelace.1815")

    assert result.exit_code == 1
    assert LITTLE_MORE in result.stderr


@WAYS
@pytest.mark.parametrize(
    "password",
    [
        "lovelace rides a horse",
        "hawkapi horses 12",
        "Example: four words",
        "ada ada ada ada ada",
        "com.com.com.com",
        "hawkapi 1234 horses",
        "☃☃☃☃☃☃☃☃☃☃☃☃",
        "!!!!!!!!!!!! 1",
    ],
)
async def test_longer_passwords_may_contain_the_words(set_password, way, password):
    """Checklist 4: eight other characters are enough, and a password without such a word needs none."""
    answer = await set_password(way, password)

    assert answer.status_code in (200, 201)


@pytest.mark.parametrize("password", ["my-app-my-app-2026", "MYAPPmyapp1234567", "m.y.a.p.p. 1234567"])
def test_a_word_counts_in_any_spelling(password):
    with pytest.raises(InvalidPassword, match=LITTLE_MORE):
        check_password(password, words=["My app"])


@pytest.mark.parametrize("words", [[], [""], ["app"], ["☃☃☃☃"], ["something else"]])
def test_a_password_without_known_words_is_accepted(words):
    check_password("app-1-app-2-app-3", words=words)


def test_the_known_words_are_extracted():
    """Checklist 4: app/users/passwords/policy.py documents the list (ASVS 6.1.2)."""
    names = {"full_name": "Grace Hopper", "username": "amazing_grace", "nickname": None, "phone": "12345678"}

    assert context_words("g.hopper@mail.navy.mil", names) >= {
        "g.hopper@mail.navy.mil",
        "g.hopper",
        "hopper",
        "mail.navy",
        "navy",
        "Grace Hopper",
        "Grace",
        "amazing_grace",
    }
    assert not context_words("g.hopper@mail.navy.mil", names) & {"mil", "12345678"}


async def test_names_are_checked_when_an_account_is_created(manager, db):
    """Checklist 4: the names are in custom columns."""
    async with db.session() as session:
        with pytest.raises(InvalidPassword, match=LITTLE_MORE):
            await manager.create(
                session, email=ADDRESS, password="Hopper Grace 1906", full_name="Grace Hopper"
            )


async def test_names_are_checked_when_a_password_is_changed(manager, db, make_user):
    """Checklist 4: the names are stored in the account."""
    async with db.session() as session:
        user = await manager.get_by_id(session, (await make_user()).id)
        user.first_name, user.last_name = "Grace", "Hopper"
        with pytest.raises(InvalidPassword, match=LITTLE_MORE):
            await manager.update(session, user, password="Hopper Grace 1906")


async def test_the_submitted_address_is_checked(manager, db, make_user):
    async with db.session() as session:
        user = await manager.get_by_id(session, (await make_user()).id)
        with pytest.raises(InvalidPassword, match=LITTLE_MORE):
            await manager.update(session, user, email="grace@navy.example", password="grace@navy.example")


# Passwords from data breaches


@pytest.fixture
async def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    async with BreachServer() as server:
        yield server


@pytest.fixture
async def asking(server, manager):
    """Makes the application query the server."""
    check = BreachCheck(server.url, timeout=5)
    manager.policy = replace(manager.policy, breaches=check)
    yield
    await check.close()


@pytest.mark.usefixtures("asking")
@WAYS
async def test_a_breached_password_is_refused_every_way(server, set_password, hash_calls, way):
    """Checklist 5: it is not even hashed (ASVS 6.2.12)."""
    server.body = line_of(NEW)

    answer = await set_password(way, NEW)

    assert answer.status_code == 400
    assert BREACHED in answer.text
    assert "hash" not in hash_calls


@pytest.mark.usefixtures("asking")
@WAYS
async def test_only_five_digits_of_a_hash_are_sent(server, set_password, way):
    """Checklist 5: the server learns neither the password nor who uses it."""
    await set_password(way, NEW)

    (request,) = server.requests
    assert request.startswith(f"GET /range/{digest_of(NEW)[:5]} HTTP/1.1\r\n")
    assert digest_of(NEW)[:6] not in request
    assert "lovelace" not in request


@pytest.mark.usefixtures("asking")
@WAYS
async def test_an_outage_does_not_prevent_setting_a_password(server, set_password, log_in, caplog, way):
    """Checklist 5: the check fails open and logs one line (ASVS 16.5.2)."""
    server.status = "503 Service Unavailable"

    with caplog.at_level(logging.INFO):
        answer = await set_password(way, NEW)

    (line,) = [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]
    assert answer.status_code in (200, 201)
    assert await log_in(NEW) == 200
    assert line == "a new password passed without the breach check: the server returned 503"
    assert digest_of(NEW)[:5] not in caplog.text


@pytest.mark.usefixtures("asking")
@WAYS
async def test_no_connection_is_held_during_the_breach_check(app, server, set_password, way):
    held = []

    async def look():
        held.append(sum(each.engine.pool.checkedout() for each in app.state.db.engines.values()))

    server.before_answer = look

    await set_password(way, NEW)

    assert held == [0]


@pytest.mark.usefixtures("asking")
@WAYS
@pytest.mark.parametrize("password", ["short", COMMON[0], "Ada Lovelace 2026"])
async def test_an_already_refused_password_is_not_looked_up(server, set_password, way, password):
    await set_password(way, password)

    assert server.requests == []


@pytest.mark.usefixtures("asking")
async def test_a_dead_link_or_wrong_password_triggers_no_lookup(server, client, make_user, visit):
    here = await visit(await make_user())
    change = {"current_password": "wrong", "new_password": NEW}

    answers = [
        await client.post("/users/password-reset/x", json={"password": NEW}),
        await client.post("/users/me/password", json=change, headers=here.headers),
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert server.requests == []


@pytest.mark.usefixtures("asking")
async def test_taken_and_free_addresses_trigger_the_same_lookup(server, client, make_user, hash_calls):
    """Neither the server's log nor the response time reveals which addresses have an account."""
    await make_user("taken@example.com")

    for email in ["taken@example.com", "free@example.com"]:
        await client.post("/users/register", json={"email": email, "password": NEW})

    assert len(server.requests) == 2
    assert hash_calls == ["hash", "hash"]


async def test_the_setting_turns_the_check_on(server, other_client):
    """Checklist 5: the setting is PASSWORD_BREACH_URL."""
    server.body = line_of(NEW)
    client = await other_client(password_breach_url=server.url)

    answer = await client.post("/users/register", json={"email": ADDRESS, "password": NEW})

    assert BREACHED in answer.text
    assert server.requests[0].startswith(f"GET /range/{digest_of(NEW)[:5]} ")


async def test_no_lookup_happens_without_the_setting(app):
    """Checklist 5: the check is off by default."""
    assert app.state.users.policy.breaches is None


def test_the_command_line_checks_too_and_tolerates_an_outage(create_by_cli, monkeypatch):
    """Checklist 5: nothing is listening on this port."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("PASSWORD_BREACH_URL", "http://127.0.0.1:9/range/")

    result = create_by_cli(NEW)

    assert (result.exit_code, result.stdout) == (0, f"Created {ADDRESS}.\n")


# Changing and resetting


@pytest.mark.parametrize(
    "body",
    [
        {"new_password": NEW},
        {"new_password": NEW, "current_password": None},
        {"new_password": NEW, "current_password": ""},
        {"new_password": NEW, "current_password": NEW},
        {"new_password": NEW, "current_password": OLD.upper()},
    ],
    ids=["missing", "null", "empty", "new", "upper case"],
)
async def test_the_current_password_is_required_even_after_a_login(client, make_user, visit, stored, body):
    """Checklist 6: a recent login is no substitute for it (ASVS 6.2.3)."""
    user = await make_user()
    here = await visit(user)
    await client.post("/users/me/confirm", json={"password": OLD}, headers=here.headers)

    answer = await client.post("/users/me/password", json=body, headers=here.headers)

    assert answer.status_code == 400
    assert "current_password" in answer.text
    assert (await stored(user)).hashed_password == user.hashed_password


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize("password", ["short", COMMON[0], "Ada Lovelace 2026", NEW])
async def test_a_refused_change_names_the_new_password(server, set_password, password):
    server.body = line_of(NEW)

    answer = await set_password("change", password)

    assert [error["field"] for error in answer.json()["errors"]] == ["new_password"]


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize("password", ["short", "x" * 129, COMMON[0], "Ada Lovelace 2026", NEW])
@pytest.mark.parametrize("sent_as", ["json", "data"])
async def test_a_refused_password_keeps_the_link_valid(
    server, client, manager, make_user, log_in, session_rows, password, sent_as
):
    """Checklist 28: the reason does not matter. A reset does not log the user in."""
    server.body = line_of(NEW)
    path = f"/users/password-reset/{manager.reset_token(await make_user(ADDRESS))}"

    refused = await client.post(path, **{sent_as: {"password": password}})
    sessions = await session_rows()
    answer = await client.post(path, json={"password": "yet another password"})

    assert (refused.status_code, answer.status_code) == (400, 200)
    assert sessions == await session_rows() == []
    assert await log_in("yet another password") == 200


# Deliberately missing features


async def test_passwords_do_not_expire(client, make_user, set_clock, log_in):
    """Checklist 8: passwords need not be changed periodically (ASVS 6.2.10)."""
    await make_user(ADDRESS)
    set_clock(datetime(2060, 1, 1, tzinfo=UTC))

    assert await log_in(OLD) == 200


def test_there_are_no_hints_and_no_secret_questions(app):
    """Checklist 8: no column stores one, and no request or response has a field for one (ASVS 6.4.2)."""
    schemas = app.openapi()["components"]["schemas"].values()
    names = {
        *User.__table__.columns.keys(),
        *(name for each in schemas for name in each.get("properties", {})),
    }

    assert {"email", "hashed_password", "new_password"} <= names
    assert [name for name in names if "hint" in name or "question" in name] == []


def test_a_fresh_database_has_no_account(tmp_path):
    """Checklist 8: nobody can log in before someone registers (ASVS 6.3.2)."""
    config = Config(toml_file=PROJECT / "pyproject.toml")
    config.attributes["database_url"] = f"sqlite+aiosqlite:///{tmp_path / 'fresh.db'}"

    command.upgrade(config, "heads")

    (count,) = sqlite3.connect(tmp_path / "fresh.db").execute("SELECT count(*) FROM users").fetchone()
    assert count == 0

"""A new SECRET_KEY: tokens from the earlier key work while that key is in SECRET_KEY_FALLBACKS."""

from datetime import timedelta
from hashlib import sha256

import pytest
from pydantic import SecretStr

from app.settings import Settings
from app.users import TokenError
from app.users.exceptions import OwnerRequired

OLD = SecretStr(sha256(b"the secret of the tests").hexdigest())
"""The SECRET_KEY of the application that `client` uses."""
NEW = SecretStr(sha256(b"a new secret").hexdigest())
ROTATED = {"secret_key": NEW, "secret_key_fallbacks": [OLD]}
GONE = {"secret_key": NEW}
BEFORE = {"secret_key": OLD, "secret_key_fallbacks": [NEW]}
"""An application that already accepts the new key but does not use it yet."""
EACH = pytest.mark.parametrize(("changes", "works"), [(ROTATED, True), (GONE, False)], ids=["kept", "gone"])
PASSWORD = "correct horse battery"


@pytest.fixture
async def ada(make_user):
    return await make_user("ada@example.com")


@pytest.fixture
def browser(session_cookie, log_in_by_cookie):
    """`await browser(client)`: the session cookie that the application of *client* gives to Ada's browser."""

    async def log_in(client):
        answer = await log_in_by_cookie(client)
        return session_cookie(answer).partition(";")[0]

    return log_in


@pytest.fixture
def log_in_by_cookie():
    async def log_in(client, **headers):
        body = {"email": "ada@example.com", "password": PASSWORD}
        answer = await client.post(
            "/users/login/cookie", json=body, headers={"Sec-Fetch-Site": "same-origin"} | headers
        )
        client.cookies.clear()
        return answer

    return log_in


async def me(client, **headers):
    return await client.get("/users/me", headers={"Sec-Fetch-Site": "same-origin"} | headers)


async def tokens(client):
    body = {"email": "ada@example.com", "password": PASSWORD}
    return (await client.post("/users/login", json=body)).json()


# E-mailed links


@EACH
@pytest.mark.parametrize("kind", ["verify", "reset", "email change", "invitation"])
async def test_a_mailed_link_works_while_the_earlier_key_is_kept(
    ada, change, db, manager, other_app, kind, changes, works
):
    await change(ada, pending_email="new@example.com")
    async with db.session() as session:
        _, invitation = await manager.invitations.make(session, "guest@example.com", invited_by="cli")
    token = {
        "verify": manager.verify_token(ada),
        "reset": manager.reset_token(ada),
        "email change": manager.email_change_token(ada, "new@example.com"),
        "invitation": invitation,
    }[kind]
    users = other_app(**changes).state.users
    check = {
        "verify": users.check_verify_token,
        "reset": users.check_reset_token,
        "email change": users.change_email,
        "invitation": users.invitations.of_token,
    }[kind]

    async with db.session(commit=False) as session:
        assert await is_accepted(check(session, token=token)) == works


async def is_accepted(check):
    try:
        await check
    except OwnerRequired:
        # The link is valid, and the page asks for the password.
        return True
    except TokenError:
        return False
    return True


# Access and refresh tokens


@EACH
async def test_an_access_token_works_while_the_earlier_key_is_kept(client, other_client, ada, changes, works):
    token = (await tokens(client))["access_token"]

    answer = await me(await other_client(**changes), Authorization=f"Bearer {token}")

    assert answer.status_code == (200 if works else 401)


async def test_an_access_token_keeps_its_expiry(client, other_client, ada, set_clock, settings):
    token = (await tokens(client))["access_token"]
    users = (await other_client(**ROTATED))._transport.app.state.users
    users.tokens._known.clear()
    config = users.tokens._older[0].config

    assert config.access_ttl_seconds == settings.access_ttl
    assert config.audience == users.tokens._access.config.audience
    assert users.tokens.verify_access(token)[0] == ada.id


@EACH
async def test_a_refresh_token_works_while_the_earlier_key_is_kept(client, other_client, ada, changes, works):
    pair = {"refresh_token": (await tokens(client))["refresh_token"]}
    other = await other_client(**changes)

    answer = await other.post("/users/token/refresh", json=pair)

    assert answer.status_code == (200 if works else 401)


async def test_a_refresh_returns_tokens_signed_with_the_new_key(client, other_client, ada):
    pair = {"refresh_token": (await tokens(client))["refresh_token"]}
    fresh = (await (await other_client(**ROTATED)).post("/users/token/refresh", json=pair)).json()
    gone = await other_client(**GONE)

    assert (await me(gone, Authorization=f"Bearer {fresh['access_token']}")).status_code == 200
    again = await gone.post("/users/token/refresh", json={"refresh_token": fresh["refresh_token"]})
    assert again.status_code == 200


@pytest.mark.parametrize("repeats", [1, 3])
async def test_a_refresh_that_is_repeated_across_the_change(client, other_client, ada, repeats):
    """Two tabs refresh at about the same time, and the application is restarted in between."""
    first = pair = {"refresh_token": (await tokens(client))["refresh_token"]}
    for _ in range(repeats):
        answer = await client.post("/users/token/refresh", json=pair)
        pair = {"refresh_token": answer.json()["refresh_token"]}
    rotated = await other_client(**ROTATED)
    later = await rotated.post("/users/token/refresh", json=pair)

    answer = await rotated.post("/users/token/refresh", json=first)

    assert answer.status_code == 200
    assert answer.json()["refresh_token"] == later.json()["refresh_token"]


# Cookies


@EACH
async def test_a_session_cookie_works_while_the_earlier_key_is_kept(
    client, other_client, ada, browser, changes, works
):
    cookie = await browser(client)

    answer = await me(await other_client(**changes), Cookie=cookie)

    assert answer.status_code == (200 if works else 401)


async def test_using_a_session_cookie_seals_it_with_the_new_key(
    client, other_client, ada, browser, session_cookie
):
    """A returning browser therefore stays logged in after the earlier key has been removed."""
    cookie = await browser(client)

    answer = await me(await other_client(**ROTATED), Cookie=cookie)

    fresh, _, rest = session_cookie(answer).partition(";")
    lasts = timedelta(seconds=int(rest.partition("Max-Age=")[2].partition(";")[0]))
    assert (await me(await other_client(**GONE), Cookie=fresh)).status_code == 200
    assert timedelta(days=89) < lasts <= timedelta(days=90)
    assert {"HttpOnly", "Secure", "SameSite=Lax"} <= {each.strip() for each in rest.split(";")}


async def test_a_current_session_cookie_is_not_set_again(client, ada, browser):
    answer = await me(client, Cookie=await browser(client))

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


@EACH
async def test_a_browser_stays_known_while_the_earlier_key_is_kept(
    client, other_app, ada, log_in_by_cookie, browser_of_answer, changes, works
):
    cookie = browser_of_answer(await log_in_by_cookie(client))["Cookie"].partition("=")[2]

    assert other_app(**changes).state.users.is_known_browser(cookie, ada) == works


async def test_a_browser_that_logs_in_is_known_with_the_new_key(
    client, other_client, other_app, ada, log_in_by_cookie, browser_of_answer
):
    device = browser_of_answer(await log_in_by_cookie(client))

    again = await log_in_by_cookie(await other_client(**ROTATED), **device)

    fresh = browser_of_answer(again)["Cookie"].partition("=")[2]
    assert fresh.count(".") == 2, "the mark with the earlier key has been replaced"
    assert other_app(**GONE).state.users.is_known_browser(fresh, ada)


# The order of the rollout


async def test_a_process_can_accept_the_new_key_before_it_is_used(client, other_client, ada, browser):
    """While the processes are restarted one by one, old and new ones run side by side."""
    before, rotated = await other_client(**BEFORE), await other_client(**ROTATED)

    assert (await me(before, Cookie=await browser(rotated))).status_code == 200
    assert (await me(rotated, Cookie=await browser(before))).status_code == 200


# The setting


def test_no_secret_is_shown():
    settings = Settings(_env_file=None, **ROTATED)  # type: ignore[call-arg]

    assert OLD.get_secret_value() not in repr(settings) + str(settings.model_dump())


def test_no_secret_is_in_the_repr_of_the_configuration(other_app):
    config = other_app(**ROTATED).state.users.tokens.config

    assert OLD.get_secret_value() not in repr(config)
    assert config.fallbacks == [OLD.get_secret_value()]

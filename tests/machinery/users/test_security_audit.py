"""Each action is audited once, and no password or token gets into a log, a repr or a traceback.

Checklist 39; ASVS 14.2.1, 16.2.1, 16.2.5, 16.3.1, 16.3.2. test_audit.py tests what each event records.
"""

import logging
from datetime import UTC, timedelta

import pytest

from app import clock
from app.database import session_of
from app.users import User

ADA = {"email": "ada@example.com", "password": "correct horse battery"}

SECRET = "s3cr3t-and-nobodys-business"

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def log():
    """`log()`: everything logged by anything but the test client, including DEBUG lines and tracebacks. The
    fixture uses its own handler, because a level that a fixture sets with `caplog` is reset when the test
    starts.
    """
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(handler.format(record))
    handler.addFilter(lambda record: not record.name.startswith("http"))
    logging.getLogger().addHandler(handler)
    yield lambda: "\n".join(lines)
    logging.getLogger().removeHandler(handler)


async def test_a_login_and_a_failed_login_are_audited_once_each(client, make_user, events):
    """Checklist 39: each event has the time in UTC, user, IP address, browser, method and outcome."""
    user = await make_user()
    client.headers["User-Agent"] = FIREFOX
    begun = clock.now()

    await client.post("/users/login", json=ADA)
    await client.post("/users/login", json=ADA | {"password": "wrong"})

    login, failure = await events()
    assert (login.event, login.outcome, login.method) == ("login", "success", "password")
    assert (failure.event, failure.outcome, failure.method) == ("login", "failure", "password")
    assert (login.user_id, failure.user_id) == (user.id, user.id)
    assert (login.actor, failure.actor) == (user.id, "")
    assert (login.ip_address, login.user_agent, login.browser) == (
        "203.0.113.9",
        FIREFOX,
        "Firefox on Windows",
    )
    assert begun <= login.at <= failure.at <= clock.now()
    assert login.at.astimezone(UTC).utcoffset() == timedelta()


async def test_a_failed_login_with_an_unknown_address_does_not_store_it(client, events):
    """Checklist 39: the input may be a password."""
    await client.post("/users/login", json={"email": SECRET, "password": SECRET})

    (event,) = await events()
    assert event.user_id is None
    assert SECRET not in str(vars(event))


async def test_the_life_of_an_account_leaves_no_secret_in_the_audit_log(
    client, make_user, visit, outbox, log
):
    """Checklist 39."""
    user = await make_user()
    here, browser = await visit(user), await visit(user, "cookie")

    await client.post("/users/login", json=ADA | {"password": "a wrong password"})
    await client.post("/users/token/refresh", json={"refresh_token": here.issued.token})
    await client.post("/users/me/confirm", json={"password": ADA["password"]}, headers=browser.headers)
    await client.post("/users/me/email", json={"new_email": "new@example.com"}, headers=here.headers)
    await client.post("/users/password-reset/request", json={"email": ADA["email"]})
    await client.post(
        "/users/me/password",
        json={"current_password": ADA["password"], "new_password": "a brand new password"},
        headers=here.headers,
    )
    await client.delete("/users/me", headers=here.headers)

    said = log()
    assert len(await outbox()) == 4
    assert "a wrong password" not in said
    assert ADA["password"] not in said
    assert "a brand new password" not in said
    assert here.issued.token not in said
    assert browser.issued.token not in said
    assert "argon2" not in said
    assert "ey" + "J" not in said
    assert "@example.com" not in said


async def test_a_database_error_is_logged_without_the_values(client, manager, make_user, log):
    """Checklist 39: these are the hash of a password, the hash of a session and the link in an e-mail."""

    async def hook(user):
        session_of(user).add(User(email=None, hashed_password=SECRET))

    manager.on_after_login = hook
    await make_user()

    answer = await client.post("/users/login", json=ADA)

    assert answer.status_code == 500
    assert "IntegrityError" in log()
    assert SECRET not in log()
    assert SECRET not in answer.text


async def test_a_hook_error_is_logged_without_password_and_token(client, manager, make_user, log):
    """Checklist 39; a traceback shows lines of code but no values."""

    async def hook(user, token):
        raise RuntimeError("the hook failed")

    manager.on_after_forgot_password = hook
    manager.on_after_register = hook
    await make_user()

    await client.post("/users/password-reset/request", json={"email": ADA["email"]})
    await client.post("/users/register", json=ADA | {"email": "new@example.com"})

    assert "the hook failed" in log()
    assert ADA["password"] not in log()
    assert "argon2" not in log()
    assert "ey" + "J" not in log()


async def test_the_repr_of_a_session_does_not_show_its_token(make_user, visit):
    """Checklist 39."""
    issued = (await visit(await make_user())).issued

    assert issued.token not in repr(issued)
    assert issued.session.secret_hash not in repr(issued) + repr(issued.session)


async def test_the_repr_of_the_settings_does_not_show_the_key(settings):
    """Checklist 39."""
    assert settings.secret_key.get_secret_value() not in repr(settings)


@pytest.mark.parametrize("parameter", ["password", "access_token", "refresh_token", "token"])
async def test_no_secret_is_accepted_in_a_url(client, make_user, visit, parameter):
    """Checklist 39; ASVS 14.2.1: URLs end up in logs and histories."""
    here = await visit(await make_user())
    values = {"password": ADA["password"], "refresh_token": here.issued.token}
    token = here.headers["Authorization"].removeprefix("Bearer ")

    me = await client.get("/users/me", params={parameter: values.get(parameter, token)})
    login = await client.post("/users/login", params=ADA)
    refresh = await client.post("/users/token/refresh", params={"refresh_token": here.issued.token})

    assert (me.status_code, login.status_code, refresh.status_code) == (401, 400, 400)

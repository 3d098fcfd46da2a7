"""Security notices: each is sent once, to the right address. Each states the time, IP address and browser,
and contains no secret.
"""

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from app.database import act_as, act_for
from app.users import audit
from app.users.emails import NOTICES
from app.users.manager import MAX_FAILED_LOGINS
from app.users.models import User
from app.web.client_ip import Client

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
NEW = "a brand new password"
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
FIREFOX_LATER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:152.0) Gecko/20100101 Firefox/152.0"
SAFARI = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/17.4 Safari/605.1.15"
)


@pytest.fixture
def log_in(client):
    """`await log_in(SAFARI)` logs Ada in with that browser."""

    async def send(user_agent, path="/users/login", **changes):
        headers = {"User-Agent": user_agent, "Origin": "http://test"}
        return await client.post(path, json=ADA | changes, headers=headers)

    return send


@pytest.fixture
def subjects(outbox):
    """`await subjects()`: the subjects and recipients of the waiting e-mails."""

    async def read():
        return [
            (mail.subject.removeprefix("HawkAPI app: "), *mail.all_recipients()) for mail in await outbox()
        ]

    return read


# Events and who is notified


async def changes_the_password(it):
    body = {"current_password": ADA["password"], "new_password": NEW}
    await it.client.post("/users/me/password", json=body, headers=it.headers)


async def resets_the_password(it):
    await it.client.post(f"/users/password-reset/{it.manager.reset_token(it.user)}", json={"password": NEW})


async def moves_to_another_address(it):
    await it.change(it.user, pending_email="new@example.com")
    token = it.manager.email_change_token(it.user, "new@example.com")
    await it.client.post(f"/users/email-change/{token}", headers=it.headers)


async def asks_for_a_taken_address(it):
    await it.make_user("eve@example.com")
    await it.client.post("/users/me/email", json={"new_email": "eve@example.com"}, headers=it.headers)


async def signs_in_with_another_browser(it):
    await it.client.post("/users/login", json=ADA, headers={"User-Agent": SAFARI})
    await it.client.post("/users/login", json=ADA)


async def has_a_hundred_wrong_passwords_entered(it):
    await it.change(it.user, failed_logins=MAX_FAILED_LOGINS - 1)
    await it.client.post("/users/login", json=ADA | {"password": NEW})


async def registers_once_more(it):
    await it.change(it.user, is_verified=True)
    client = await it.other_client(registration="private")
    await client.post("/users/register", json=ADA | {"password": NEW}, headers={"User-Agent": FIREFOX})


async def deletes_the_account(it):
    await it.client.delete("/users/me", headers=it.headers)


async def deletes_the_account_with_a_grace(it):
    it.manager.deletion_grace = timedelta(days=7)
    await it.client.delete("/users/me", headers=it.headers)


async def is_deleted_by_a_superuser(it):
    admin = await it.visit(await it.make_user("root@example.com", is_superuser=True))
    await it.client.delete(f"/users/{it.user.id}", headers=admin.headers)


async def is_moved_by_a_superuser(it):
    """No route in the template changes another user's address, but one of yours may."""
    async with it.app.state.db.session() as db:
        act_for(db, Client("203.0.113.9", FIREFOX))
        act_as(db, "the id of a superuser")
        await it.manager.update(db, await db.get_one(User, it.user.id), email="new@example.com")


async def has_a_refresh_token_used_twice(it):
    body = {"refresh_token": it.here.issued.token}
    it.set_clock(NOON - timedelta(seconds=30))
    await it.client.post("/users/token/refresh", json=body)
    it.set_clock(NOON)
    await it.client.post("/users/token/refresh", json=body)
    await it.client.post("/users/token/refresh", json=body)


async def logs_in_at_one_place_too_many(it):
    client = await it.other_client(max_sessions=1)
    await client.post("/users/login", json=ADA, headers={"User-Agent": FIREFOX})


@pytest.fixture
def it(app, client, other_client, manager, make_user, visit, change, set_clock):
    """The context for the flows above: the owner is logged in, and every request comes from Firefox."""
    client.headers["User-Agent"] = FIREFOX
    names = SimpleNamespace(
        app=app,
        client=client,
        other_client=other_client,
        manager=manager,
        make_user=make_user,
        visit=visit,
        change=change,
        set_clock=set_clock,
    )

    async def prepare():
        set_clock(NOON - timedelta(minutes=1))
        names.user = await make_user()
        names.here = await visit(names.user)
        names.headers = names.here.headers
        set_clock(NOON)
        return names

    return prepare


FLOWS = pytest.mark.parametrize(
    ("happens", "notice"),
    [
        (changes_the_password, "password_changed"),
        (resets_the_password, "password_changed"),
        (moves_to_another_address, "email_changed"),
        (asks_for_a_taken_address, "email_change_requested"),
        (registers_once_more, "already_registered"),
        (has_a_hundred_wrong_passwords_entered, "login_locked"),
        (signs_in_with_another_browser, "new_sign_in"),
        (deletes_the_account, "account_deleted"),
        (deletes_the_account_with_a_grace, "deletion_scheduled"),
        (is_deleted_by_a_superuser, "account_deleted"),
        (is_moved_by_a_superuser, "email_changed"),
        (has_a_refresh_token_used_twice, "session_reuse"),
        (logs_in_at_one_place_too_many, "session_limit"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)


@pytest.fixture
def flows():
    """The notices that the flows above trigger."""
    return {notice for _, notice in FLOWS.args[1]}


@FLOWS
async def test_the_owner_is_notified_once(it, subjects, happens, notice):
    await happens(await it())

    assert await subjects() == [(NOTICES[notice].heading, "ada@example.com")]


@FLOWS
async def test_a_notice_has_time_address_and_browser(it, outbox, happens, notice):
    """The owner does not learn a superuser's IP address and browser."""
    await happens(await it())

    (mail,) = await outbox()
    client = "203\\.0\\.113\\.9, (Firefox on Windows|Safari on Mac OS X)"
    of_the_owner = happens not in (is_deleted_by_a_superuser, is_moved_by_a_superuser)
    for body in (mail.text_body, mail.html_body):
        assert "2030-05-01 12:00 UTC" in body
        assert bool(re.search(client, body)) is of_the_owner
        assert of_the_owner or ("203.0.113" not in body and "Firefox" not in body)


@FLOWS
async def test_a_notice_has_no_secret_and_no_link(it, outbox, happens, notice):
    names = await it()

    await happens(names)

    (mail,) = await outbox()
    text = mail.subject + mail.text_body + mail.html_body
    assert ADA["password"] not in text
    assert NEW not in text
    assert "argon2" not in text
    assert names.here.issued.token not in text
    assert "ey" + "J" not in text
    assert "http" not in text
    assert "new@example.com" not in text
    assert "eve@example.com" not in text


def test_every_notice_has_a_flow_tested_here(flows):
    assert set(NOTICES) == flows


async def test_the_notice_states_the_end_of_the_grace_period(it, outbox):
    await deletes_the_account_with_a_grace(await it())

    (mail,) = await outbox()
    assert "2030-05-08 12:00 UTC" in mail.text_body


async def test_the_owner_is_notified_when_the_worker_deletes_the_account(it, set_clock, do_task, subjects):
    await deletes_the_account_with_a_grace(await it())
    set_clock(NOON + timedelta(days=7))

    await do_task("delete due accounts")

    assert await subjects() == [(NOTICES["account_deleted"].heading, "ada@example.com")]


async def test_a_refused_change_sends_no_notice(it, outbox):
    names = await it()

    await names.client.post("/users/login", json=ADA | {"password": "wrong"})
    await names.client.post(
        "/users/me/password", json={"current_password": "x", "new_password": NEW}, headers=names.headers
    )
    await names.client.post("/users/me/email", json={"new_email": "x"}, headers=names.headers)
    await names.client.post("/users/password-reset/x", json={"password": NEW})

    assert await outbox() == []


async def test_a_rolled_back_change_sends_no_notice(it, manager, outbox):
    async def hook(user):
        raise RuntimeError

    manager.on_after_change_password = hook

    await changes_the_password(await it())

    assert await outbox() == []


# A new login


async def test_the_first_login_sends_no_notice(make_user, log_in, outbox):
    await make_user()

    await log_in(FIREFOX)

    assert await outbox() == []


@pytest.mark.parametrize("again", [FIREFOX, FIREFOX_LATER], ids=["the same", "a later version of it"])
@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
async def test_a_known_browser_sends_no_notice(make_user, log_in, outbox, again, path):
    await make_user()
    await log_in(FIREFOX)

    await log_in(again, path)

    assert await outbox() == []


@pytest.mark.parametrize("path", ["/users/login", "/users/login/cookie"])
async def test_a_new_browser_is_notified_once(make_user, log_in, outbox, path):
    await make_user()
    await log_in(FIREFOX)

    await log_in(SAFARI, path)
    await log_in(SAFARI, path)
    await log_in(FIREFOX, path)

    (mail,) = await outbox()
    assert "Safari on Mac OS X" in mail.text_body


async def test_a_failed_login_does_not_make_the_browser_known(make_user, log_in, subjects):
    await make_user()
    await log_in(FIREFOX)
    await log_in(SAFARI, password="wrong")

    await log_in(SAFARI)

    assert await subjects() == [(NOTICES["new_sign_in"].heading, "ada@example.com")]


async def test_only_the_latest_logins_make_a_browser_known(make_user, log_in, subjects, monkeypatch):
    """Otherwise, each login would have to read all of the account's earlier logins."""
    monkeypatch.setattr(audit, "LOGINS", 2)
    await make_user()
    await log_in(FIREFOX)
    await log_in(SAFARI)
    await log_in(FIREFOX)
    await log_in(FIREFOX)

    await log_in(SAFARI)

    assert await subjects() == [(NOTICES["new_sign_in"].heading, "ada@example.com")] * 2


async def test_another_users_browser_is_unknown(make_user, log_in, subjects):
    await make_user()
    await make_user("eve@example.com")
    await log_in(FIREFOX)
    await log_in(SAFARI, email="eve@example.com")

    await log_in(SAFARI)

    assert await subjects() == [(NOTICES["new_sign_in"].heading, "ada@example.com")]


# The user agent


@pytest.fixture
def notice_for(make_user, log_in, outbox):
    """`await notice_for(agent)` logs in with that user agent and returns the resulting notice."""

    async def read(user_agent):
        await make_user()
        await log_in(FIREFOX)
        await log_in(user_agent)
        (mail,) = await outbox()
        return mail

    return read


@pytest.mark.parametrize(
    "agent", ["<script>alert(1)</script>", '<img src="x">', "<a href=x>", "&lt;b&gt;", "\"'><b>"]
)
async def test_markup_in_the_user_agent_is_escaped(notice_for, agent):
    mail = await notice_for(agent)

    assert not re.search(r"<(script|img|a|b)\b", mail.html_body)
    assert "&lt;" in mail.html_body or "&amp;lt;" in mail.html_body


async def test_a_long_user_agent_is_shortened(notice_for):
    mail = await notice_for("y" * 5000)

    assert "y" * 80 in mail.text_body
    assert "y" * 81 not in mail.text_body + mail.html_body


async def test_a_user_agent_cannot_add_lines(notice_for):
    mail = await notice_for(b"Nice\x0b\x1b\x85\xe2\x80\xa8Account: x\tBrowser")

    line = re.search(r"^From: (.*)$", mail.text_body, re.MULTILINE)[1]
    assert line.startswith("203.0.113.9, Nice")
    assert line.isprintable()


async def test_an_empty_user_agent_is_an_unknown_browser(notice_for):
    mail = await notice_for("")

    assert "203.0.113.9, an unknown browser" in mail.text_body


# The client's address


@pytest.mark.parametrize(
    ("proxies", "address"),
    [("", "203.0.113.9"), ("203.0.113.0/24", "198.51.100.7")],
    ids=["nobody", "a proxy"],
)
async def test_a_forwarded_address_is_trusted_only_from_a_trusted_proxy(
    other_client, make_user, log_in, outbox, proxies, address
):
    """Checklist 10."""
    await make_user()
    await log_in(FIREFOX)
    client = await other_client(trusted_proxies=proxies)
    forwarded = {"X-Forwarded-For": "192.0.2.66, 198.51.100.7", "User-Agent": SAFARI}

    await client.post("/users/login", json=ADA, headers=forwarded)

    (mail,) = await outbox()
    assert f"From: {address}, Safari" in mail.text_body


# Your own tests go below; template updates never touch them.

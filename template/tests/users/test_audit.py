"""The audit log records each event once, including failures, with its actor and origin but no secrets."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from app.database import session_of
from app.users import record
from app.users.rate_limits import LIMITS
from tests.users.conftest import runs_out_first

ADA = {"email": "ada@example.com", "password": "correct horse battery"}
WRONG = {"password": "a wrong password"}
NEW = {"password": "a brand new password"}
ORIGIN = {"Origin": "http://test"}
NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


# Events for the account "ada", caused by its owner or by the superuser "root"


async def logs_in(it):
    await it.client.post("/users/login", json=ADA)


async def logs_in_with_a_cookie(it):
    await it.client.post("/users/login/cookie", json=ADA, headers=ORIGIN)


async def fails_to_log_in(it):
    await it.client.post("/users/login", json=ADA | WRONG)


async def fails_to_log_in_with_a_cookie(it):
    await it.client.post("/users/login/cookie", json=ADA | WRONG, headers=ORIGIN)


async def tries_an_unknown_address(it):
    await it.client.post("/users/login", json=ADA | {"email": "nobody@example.com"})


async def logs_in_while_disabled(it):
    await it.change(it.ada, is_active=False)
    await it.client.post("/users/login", json=ADA)


async def logs_in_after_the_grace(it):
    await it.change(it.ada, delete_after=NOON)
    await it.client.post("/users/login", json=ADA)


async def asks_to_verify(it):
    await it.client.post("/users/verify/request", json={"email": ADA["email"]})


async def asks_to_verify_an_unknown_address(it):
    await it.client.post("/users/verify/request", json={"email": "nobody@example.com"})


async def verifies(it):
    await it.client.post(f"/users/verify/{it.manager.verify_token(it.ada)}")


async def verifies_twice(it):
    await verifies(it)
    await verifies(it)


async def asks_for_a_reset(it):
    await it.client.post("/users/password-reset/request", json={"email": ADA["email"]})


async def asks_for_a_reset_of_an_unknown_address(it):
    await it.client.post("/users/password-reset/request", json={"email": "nobody@example.com"})


async def resets(it):
    await it.client.post(f"/users/password-reset/{it.manager.reset_token(it.ada)}", json=NEW)


async def resets_twice(it):
    await resets(it)
    await resets(it)


async def logs_out(it):
    await it.client.post("/users/logout", headers=it.bearer)


async def logs_out_with_a_cookie(it):
    await it.client.post("/users/logout", headers=it.cookie)


async def logs_out_with_the_refresh_token(it):
    await it.client.post("/users/logout", json={"refresh_token": it.refresh_token})


async def logs_out_twice(it):
    await logs_out(it)
    await logs_out(it)


async def confirms(it):
    await it.client.post("/users/me/confirm", json={"password": ADA["password"]}, headers=it.bearer)


async def confirms_with_a_cookie(it):
    await it.client.post("/users/me/confirm", json={"password": ADA["password"]}, headers=it.cookie)


async def fails_to_confirm(it):
    await it.client.post("/users/me/confirm", json=WRONG, headers=it.bearer)


async def changes_the_password(it):
    body = {"current_password": ADA["password"], "new_password": NEW["password"]}
    await it.client.post("/users/me/password", json=body, headers=it.bearer)


async def fails_to_change_the_password(it):
    body = {"current_password": WRONG["password"], "new_password": NEW["password"]}
    await it.client.post("/users/me/password", json=body, headers=it.cookie)


async def asks_for_another_address(it):
    await it.client.post("/users/me/email", json={"new_email": "new@example.com"}, headers=it.bearer)


async def asks_for_a_taken_address(it):
    await it.client.post("/users/me/email", json={"new_email": "root@example.com"}, headers=it.cookie)


async def moves_while_logged_in(it):
    await it.client.post(await it.email_link(), headers=it.bearer)


async def moves_with_the_password(it):
    await it.client.post(await it.email_link(), json={"password": ADA["password"]})


async def fails_to_move(it):
    await it.client.post(await it.email_link(), json=WRONG)


async def exports(it):
    await it.client.get("/users/me/export", headers=it.bearer)


async def ends_a_session(it):
    await it.client.delete(f"/users/me/sessions/{it.other_session}", headers=it.bearer)


async def ends_the_other_sessions(it):
    await it.client.delete("/users/me/sessions", headers=it.cookie)


async def uses_a_refresh_token_too_late(it):
    await it.client.post("/users/token/refresh", json={"refresh_token": it.refresh_token})
    it.set_clock(NOON + timedelta(seconds=30))
    await it.client.post("/users/token/refresh", json={"refresh_token": it.refresh_token})
    await it.client.post("/users/token/refresh", json={"refresh_token": it.refresh_token})


async def deletes_the_account(it):
    await it.client.delete("/users/me", headers=it.bearer)


async def deletes_the_account_with_a_grace(it):
    it.manager.deletion_grace = timedelta(days=7)
    await it.client.delete("/users/me", headers=it.bearer)


async def is_changed_by_an_administrator(it):
    await it.client.patch("/users/ada", json={"is_active": False}, headers=it.root)


async def is_changed_to_what_it_is(it):
    await it.client.patch("/users/ada", json={"is_active": True}, headers=it.root)


async def has_its_sessions_ended_by_an_administrator(it):
    await it.client.delete("/users/ada/sessions", headers=it.root)


async def is_sent_a_reset_by_an_administrator(it):
    await it.client.post("/users/ada/password-reset", headers=it.root)


async def is_deleted_by_an_administrator(it):
    await it.client.delete("/users/ada", headers=it.root)


async def only_looks(it):
    await it.client.get("/users/me", headers=it.bearer)
    await it.client.get("/users/me/sessions", headers=it.bearer)
    await it.client.get(f"/users/verify/{it.manager.verify_token(it.ada)}")


async def sends_what_is_malformed(it):
    await it.client.post("/users/register", json={"email": "x", "password": "x" * 12})
    await it.client.post("/users/login", content=b"{")
    await it.client.post("/users/verify/x")


async def asks_from_another_site(it):
    await it.client.post("/users/logout", headers=it.cookie | {"Origin": "http://evil.example"})


async def guesses_again_and_again(it):
    for _ in range(PER_STRANGER + 2):
        await fails_to_log_in(it)


ROW = LIMITS["wrong_password"]
PER_STRANGER = runs_out_first(ROW.ip, ROW.account, ROW.ip_and_account).count
GUESSES = ["login failure ada by nobody password"] * PER_STRANGER + [
    "guessing_blocked failure ada by nobody password"
]
LIFE = [
    (logs_in, ["login success ada by ada password"]),
    (logs_in_with_a_cookie, ["login success ada by ada password"]),
    (fails_to_log_in, ["login failure ada by nobody password"]),
    (fails_to_log_in_with_a_cookie, ["login failure ada by nobody password"]),
    (tries_an_unknown_address, ["login failure None by nobody password"]),
    (logs_in_while_disabled, ["login failure ada by nobody password"]),
    (logs_in_after_the_grace, ["login failure ada by nobody password"]),
    (asks_to_verify, ["verify_request success ada by nobody -"]),
    (asks_to_verify_an_unknown_address, ["verify_request success None by nobody -"]),
    (verifies, ["verify success ada by ada link"]),
    (verifies_twice, ["verify success ada by ada link", "link_refused failure None by nobody link"]),
    (asks_for_a_reset, ["password_reset_request success ada by nobody -"]),
    (asks_for_a_reset_of_an_unknown_address, ["password_reset_request success None by nobody -"]),
    (resets, ["password_reset success ada by ada link"]),
    (resets_twice, ["password_reset success ada by ada link", "link_refused failure None by nobody link"]),
    (logs_out, ["logout success ada by ada bearer"]),
    (logs_out_with_a_cookie, ["logout success ada by ada cookie"]),
    (logs_out_with_the_refresh_token, ["logout success ada by ada bearer"]),
    (logs_out_twice, ["logout success ada by ada bearer"]),
    (confirms, ["confirm success ada by ada password"]),
    (confirms_with_a_cookie, ["confirm success ada by ada password"]),
    (fails_to_confirm, ["confirm failure ada by ada password"]),
    (changes_the_password, ["password_change success ada by ada password"]),
    (fails_to_change_the_password, ["password_change failure ada by ada password"]),
    (asks_for_another_address, ["email_change_request success ada by ada bearer"]),
    (asks_for_a_taken_address, ["email_change_request success ada by ada cookie"]),
    (moves_while_logged_in, ["email_change success ada by ada link"]),
    (moves_with_the_password, ["email_change success ada by ada link"]),
    (fails_to_move, ["email_change failure ada by nobody password"]),
    (exports, ["export success ada by ada bearer"]),
    (ends_a_session, ["session_end success ada by ada bearer"]),
    (ends_the_other_sessions, ["session_end success ada by ada cookie"]),
    (uses_a_refresh_token_too_late, ["session_reuse failure ada by nobody -"]),
    (deletes_the_account, ["delete success ada by ada bearer"]),
    (deletes_the_account_with_a_grace, ["delete_request success ada by ada bearer"]),
    (is_changed_by_an_administrator, ["update success ada by root bearer"]),
    (is_changed_to_what_it_is, []),
    (has_its_sessions_ended_by_an_administrator, ["session_end success ada by root bearer"]),
    (is_sent_a_reset_by_an_administrator, ["password_reset_request success ada by root bearer"]),
    (is_deleted_by_an_administrator, ["delete success ada by root bearer"]),
    (only_looks, []),
    (sends_what_is_malformed, ["link_refused failure None by nobody link"]),
    (asks_from_another_site, ["cross_site_refused failure None by nobody cookie"]),
    (guesses_again_and_again, GUESSES),
]
FLOWS = pytest.mark.parametrize(
    ("happens", "expected"), LIFE, ids=lambda value: getattr(value, "__name__", "")
)


class Life:
    """The context for the flows above: it is noon, and every request comes from Firefox."""

    def __init__(self, client, manager, change, set_clock):
        self.client, self.manager, self.change, self.set_clock = client, manager, change, set_clock

    async def begin(self, make_user, visit):
        self.set_clock(NOON)
        self.client.headers["User-Agent"] = FIREFOX
        self.ada = await make_user(id="ada")
        root = await make_user("root@example.com", id="root", is_superuser=True)
        here, there = await visit(self.ada), await visit(self.ada, "cookie")
        self.bearer, self.cookie = here.headers, there.headers
        self.root = (await visit(root)).headers
        self.refresh_token, self.other_session = here.issued.token, there.issued.session.id
        self.secrets = [
            self.refresh_token,
            there.issued.token,
            self.bearer["Authorization"].partition(" ")[2],
        ]
        self.secrets += [each.partition(".")[2] for each in self.secrets]
        self.secrets += [ADA["password"], WRONG["password"], NEW["password"], "argon2", "@example.com"]
        self.secrets += [self.ada.hashed_password, here.issued.session.secret_hash]
        return self

    async def email_link(self):
        await self.change(self.ada, pending_email="new@example.com")
        token = self.manager.email_change_token(self.ada, "new@example.com")
        return f"/users/email-change/{token}"


@pytest.fixture
def begin(client, manager, change, set_clock, make_user, visit):
    """`it = await begin()` creates two accounts with sessions at noon and leaves the audit log empty."""

    async def prepare():
        return await Life(client, manager, change, set_clock).begin(make_user, visit)

    return prepare


@pytest.fixture
def lines(events):
    """`await lines()`: the audit log, one line per event, with outcome, account, actor and credential."""

    async def read():
        return [
            f"{row.event} {row.outcome} {row.user_id} by {row.actor or 'nobody'} {row.method or '-'}"
            for row in await events()
        ]

    return read


# Each event


@FLOWS
async def test_each_event_is_audited_once(begin, lines, happens, expected):
    """Checklist 39: failures are also audited, even though their status is 400 or 401."""
    await happens(await begin())

    assert await lines() == expected


@FLOWS
async def test_an_event_has_time_address_and_browser_but_no_secret(begin, events, happens, expected):
    """Checklist 39; ASVS 16.2.1 and 16.2.5: no column contains a password, token, hash or e-mail address."""
    it = await begin()

    await happens(it)

    rows = await events()
    text = "\n".join(str(vars(row)) for row in rows)
    assert {row.at for row in rows} <= {NOON, NOON + timedelta(seconds=30)}
    assert {(row.ip_address, row.user_agent) for row in rows} <= {("203.0.113.9", FIREFOX)}
    assert {row.browser for row in rows} <= {"Firefox on Windows"}
    assert [secret for secret in it.secrets if secret in text] == []


async def test_a_registration_is_audited(client, lines):
    answer = await client.post("/users/register", json=ADA)

    user_id = answer.json()["id"]
    assert await lines() == [f"register success {user_id} by {user_id} -"]


async def test_a_cancelled_deletion_is_audited(begin, change, lines):
    it = await begin()
    await change(it.ada, delete_after=NOON + INSTANT)

    await logs_in(it)

    assert await lines() == [
        "delete_cancelled success ada by ada password",
        "login success ada by ada password",
    ]


async def test_a_deletion_by_the_worker_is_audited(begin, change, do_task, events, lines):
    it = await begin()
    await change(it.ada, delete_after=NOON)

    await do_task("delete due accounts")

    (event,) = await events()
    assert await lines() == ["delete success ada by worker -"]
    assert (event.ip_address, event.user_agent, event.at) == ("", "", NOON)


async def test_the_details_list_the_changed_fields(begin, events):
    await is_changed_by_an_administrator(await begin())

    (event,) = await events()
    assert msgspec.json.decode(event.details) == {"changed": ["is_active"], "is_active": False}


async def test_the_details_identify_the_session(begin, events):
    it = await begin()

    await ends_a_session(it)

    (event,) = await events()
    assert msgspec.json.decode(event.details) == {"session": it.other_session}


async def test_a_long_user_agent_is_cut(client, make_user, events):
    await make_user()

    await client.post("/users/login", json=ADA, headers={"User-Agent": "x" * 5000})

    (event,) = await events()
    assert (event.user_agent, event.browser) == ("x" * 512, "x" * 80)


# Rolled-back changes


@pytest.mark.parametrize(
    ("hook", "happens"),
    [
        ("on_after_login", logs_in),
        ("on_after_logout", logs_out),
        ("on_after_verify", verifies),
        ("on_after_forgot_password", asks_for_a_reset),
        ("on_after_reset_password", resets),
        ("on_after_change_password", changes_the_password),
        ("on_after_request_email_change", asks_for_another_address),
        ("on_after_change_email", moves_while_logged_in),
        ("on_after_update", is_changed_by_an_administrator),
        ("on_before_delete", deletes_the_account),
    ],
)
async def test_a_rolled_back_change_is_not_audited(begin, lines, manager, hook, happens):
    async def refuse(*arguments):
        raise RuntimeError

    setattr(manager, hook, refuse)

    await happens(await begin())

    assert await lines() == []


# Retention


@pytest.mark.parametrize(
    ("age", "kept"), [(timedelta(days=365), 1), (timedelta(days=365) + INSTANT, 0)], ids=str
)
async def test_events_are_kept_for_the_configured_time(db, set_clock, do_task, events, age, kept):
    set_clock(NOON)
    async with db.session() as session:
        record(session, "login", "ada")
    set_clock(NOON + age)

    await do_task("clean")

    assert len(await events()) == kept


# Custom events


async def test_a_project_can_record_its_own_events(client, manager, make_user, lines):
    async def hook(user):
        record(session_of(user), "greeted", user.id)

    manager.on_after_login = hook
    await make_user(id="ada")

    await client.post("/users/login", json=ADA)

    assert await lines() == ["login success ada by ada password", "greeted success ada by ada -"]


# Your own tests go below; template updates never touch them.

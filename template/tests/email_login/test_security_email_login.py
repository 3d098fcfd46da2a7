"""Attacks on login by e-mailed code: account enumeration, guessing, other browsers, races and leaks."""

import asyncio
import logging
import re
from datetime import timedelta
from hashlib import sha256

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.email_login.login_codes import LENGTH, Answer
from app.email_login.schemas import CodeRequested, CookieLoginCodeAnswer
from app.users.emails import NOTICES_OF_FEATURES
from app.users.rate_limits import LIMITS, Limit, Limits
from app.users.typed_codes import LETTERS, new_code
from tests.email_login.conftest import EMAIL, START

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])
WRONG = "BBBB-BBBB"
NOTICE = NOTICES_OF_FEATURES["login_code_refused"]
SILENT = pytest.mark.parametrize(
    "account",
    [
        None,
        {"is_active": False},
        {"is_verified": False},
        {"must_reset_password": True},
        {"delete_after": START - timedelta(days=1)},
    ],
    ids=["unknown", "inactive", "unverified", "must reset", "deleted"],
)
"""Accounts to which no code is sent."""


@pytest.fixture
def make_silent(make_user):
    """`email = await make_silent(account)`: an address to which no code is sent."""

    async def make(account):
        email = "silent@example.com"
        if account is not None:
            await make_user(email, **{"is_verified": True} | account)
        return email

    return make


def visible(answer):
    """Everything in a response that a client can see, except random values."""
    headers = {name: value for name, value in answer.headers.multi_items() if name != "x-request-id"}
    headers["set-cookie"] = re.sub(r"=[\w-]{43}\.[\w-]{43};", "=…;", headers.get("set-cookie", ""))
    return answer.status_code, re.sub(r"[\w-]{43}", "…", answer.text), headers


async def asked(person, email):
    return await person.client.post("/users/login/email", json={"email": email})


# Who has an account


@SILENT
async def test_every_address_gets_the_same_response(ada, person, make_person, make_silent, account):
    """Checklist 13: the status, body, headers and cookies are the same (CWE-204)."""
    silent = await make_silent(account)

    answers = [await asked(make_person(), each) for each in (EMAIL, silent, "no address")]

    assert answers[0].status_code == 202
    assert "__Host-login-code=…;" in visible(answers[0])[2]["set-cookie"]
    assert visible(answers[0]) == visible(answers[1]) == visible(answers[2])


@SILENT
async def test_every_address_costs_the_same_work(
    ada, person, make_silent, rendered, outbox_rows, statements, account
):
    """Checklist 14: the e-mails rendered, rows written and statements sent are the same (CWE-208)."""
    silent = await make_silent(account)
    statements.clear()
    await person.ask()
    known = (list(rendered), await outbox_rows(), list(statements))
    rendered.clear()
    statements.clear()

    await person.ask(silent)

    assert (list(rendered), await outbox_rows() - 1, list(statements)) == known


@SILENT
async def test_only_an_account_that_may_log_in_gets_a_mail(person, make_silent, outbox, account):
    """Checklist 29: in particular, no code is sent to an unverified address registered by a stranger."""
    await person.ask(await make_silent(account))

    assert await outbox() == []


@SILENT
async def test_wrong_codes_get_the_same_response_and_cost_the_same(
    ada, make_person, make_silent, rendered, outbox_rows, statements, account
):
    """Checklist 13 and 14: the same is true of the fifth wrong code, which is reported to the owner."""

    async def try_all(email):
        person = make_person()
        request_id = await person.ask(email)
        before = await outbox_rows()
        rendered.clear()
        statements.clear()
        answers = [visible(await person.enter(request_id, WRONG)) for _ in range(6)]
        done = (len(rendered), list(statements))
        return answers, done, await outbox_rows() - before

    assert await try_all(EMAIL) == await try_all(await make_silent(account))


@SILENT
async def test_wrong_codes_are_limited_for_every_address(ada, make_person, make_silent, account):
    """Checklist 13: a 429 does not reveal whether an address has an account."""

    async def statuses(email):
        found = []
        for _ in range(3):
            person = make_person()
            request_id = await person.ask(email)
            found += [(await person.enter(request_id, WRONG)).status_code for _ in range(4)]
        return found

    assert await statuses(EMAIL) == await statuses(await make_silent(account)) == [401] * 10 + [429] * 2


async def test_wrong_codes_for_an_ended_request_are_counted_too(ada, make_person, wait):
    """Checklist 13: a request for an address without an account behaves the same way."""

    async def statuses(email):
        people = [make_person() for _ in range(5)]
        requests = []
        for each in people:
            requests.append(await each.ask(email))
            wait(timedelta(seconds=1))
        return [
            (await each.enter(request_id, WRONG)).status_code
            for each, request_id in zip(people, requests, strict=True)
            for _ in range(3)
        ]

    assert await statuses(EMAIL) == await statuses("eve@example.com") == [401] * 10 + [429] * 5


async def test_mails_to_a_mailbox_are_limited_silently(ada, make_person, outbox):
    """Checklist 12."""
    answers = [visible(await asked(make_person(), EMAIL)) for _ in range(7)]

    assert answers == [answers[0]] * 7
    assert len(await outbox()) == 5


async def test_requests_are_limited_per_ip_address_before_the_body_is_read(app, manager, person):
    """Checklist 12."""
    manager.limits = Limits(app.state.limiter, {"request_login_code": Limit(ip="1/h")})
    await person.ask()

    assert (await person.client.post("/users/login/email", content=b"{")).status_code == 429


# A code works once


@KINDS
async def test_a_code_works_once(ada, person, kind):
    """Checklist 26: a code used for one kind of session cannot start the other kind (GHSA-jpq4-7fmq-q5fj)."""
    request_id, key = await person.ask(), person.client.cookies["__Host-login-code"]
    code = await person.code()
    first = await person.enter(request_id, code, kind)
    person.client.cookies.set("__Host-login-code", key, domain="test.local", path="/")

    answers = [await person.enter(request_id, code, each) for each in ("", "/cookie")]

    assert first.status_code == 200
    assert [each.json().get("code") for each in answers] == ["login_code_refused"] * 2


@KINDS
async def test_eight_simultaneous_uses_start_one_session(
    ada, person, number_of_sessions, outbox, monkeypatch, kind
):
    """Checklist 26 (CVE-2026-31875, CVE-2025-67507). The limit is raised so that all eight are checked."""
    monkeypatch.setattr("app.email_login.login_codes.MAX_TRIES", 8)
    request_id = await person.ask()
    code = await person.code()

    answers = await asyncio.gather(*(person.enter(request_id, code, kind) for _ in range(8)))

    assert sorted(each.status_code for each in answers) == [200] + [401] * 7
    assert await number_of_sessions() == 1
    # None of the codes was wrong, so the owner is not warned.
    assert NOTICE.heading not in [mail.subject.partition(": ")[2] for mail in await outbox()]


async def test_a_code_lasts_ten_minutes(ada, make_person, wait):
    """Checklist 27 (ASVS 6.5.5)."""
    early, late = make_person(), make_person()
    requests = [(early, await early.ask(), await early.code()), (late, await late.ask(), await late.code())]
    wait(timedelta(minutes=10) - timedelta(seconds=1))
    first = await early.enter(*requests[0][1:])
    wait(timedelta(seconds=1))
    second = await late.enter(*requests[1][1:])

    assert (first.status_code, second.status_code) == (200, 401)


async def test_a_code_for_another_account_is_refused(ada, make_user, make_person):
    """Checklist 27."""
    await make_user("eve@example.com", is_verified=True)
    eve, person = make_person(), make_person()
    await eve.ask("eve@example.com")
    code = await eve.code()

    assert (await person.enter(await person.ask(), code)).status_code == 401


@pytest.mark.parametrize(
    "columns",
    [
        {"is_active": False},
        {"is_verified": False},
        {"must_reset_password": True},
        {"delete_after": START - timedelta(days=1)},
    ],
    ids=lambda columns: next(iter(columns)),
)
async def test_an_account_that_may_no_longer_log_in_cannot_use_the_code(ada, person, change, columns):
    """Checklist 27: the code is refused even if the change to the account bypassed the manager."""
    request_id = await person.ask()
    code = await person.code()
    await change(ada, **columns)

    answer = await person.enter(request_id, code)

    assert (answer.status_code, answer.json().get("code")) == (401, "login_code_refused")


async def test_a_new_address_ends_the_request(ada, person, manager, db):
    """Checklist 27: the code was e-mailed to the previous address."""
    request_id = await person.ask()
    code = await person.code()
    async with db.session() as session:
        user = await manager.get_by_id(session, ada.id)
        await manager.update(session, user, email="new@example.com", is_verified=True)

    assert (await person.enter(request_id, code)).status_code == 401


async def test_a_new_password_ends_the_request(ada, person, manager, db, client):
    """Checklist 21."""
    request_id = await person.ask()
    code = await person.code()
    reset = {"token": manager.reset_token(ada), "password": "a brand new password"}
    assert (await client.post("/users/password-reset", json=reset)).status_code == 200

    assert (await person.enter(request_id, code)).status_code == 401


# Guessing


@KINDS
async def test_five_wrong_codes_end_the_request_and_notify_the_owner(ada, person, outbox, kind):
    """Checklist 9."""
    request_id = await person.ask()
    code = await person.code()
    wrong = [(await person.enter(request_id, WRONG, kind)).status_code for _ in range(5)]

    right = await person.enter(request_id, code, kind)

    assert [*wrong, right.status_code] == [401] * 6
    assert [mail.subject.partition(": ")[2] for mail in await outbox()] == ["", NOTICE.heading]


async def test_simultaneous_guesses_are_counted(ada, person, events):
    """Checklist 9: only five of eight simultaneous guesses are checked."""
    request_id = await person.ask()

    await asyncio.gather(*(person.enter(request_id, WRONG) for _ in range(8)))

    assert len([each for each in await events() if each.event == "login"]) == 5


async def test_wrong_codes_count_across_requests(ada, make_person):
    """Checklist 9: a new request does not grant more attempts."""
    for _ in range(2):
        person = make_person()
        request_id = await person.ask()
        for _ in range(5):
            await person.enter(request_id, WRONG)

    answer = await (owner := make_person()).enter(await owner.ask(), await owner.code())

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_right_codes_are_not_counted(app, ada, person, manager):
    """Checklist 9: people can log in as often as they like."""
    manager.limits = Limits(app.state.limiter, {"wrong_login_code": LIMITS["wrong_login_code"]})

    assert [(await person.log_in()).status_code for _ in range(12)] == [200] * 12


async def test_guesses_are_limited_per_ip_address_before_the_body_is_read(app, manager, person):
    """Checklist 9."""
    manager.limits = Limits(app.state.limiter, {"login_code": Limit(ip="1/h")})
    await person.enter("x", WRONG)

    paths = ("/users/login/email/x", "/users/login/email/x/cookie")
    answers = [await person.client.post(path, content=b"{") for path in paths]

    assert [each.status_code for each in answers] == [429, 429]


# Other browsers, other sites


@KINDS
async def test_another_browser_cannot_use_the_code(ada, person, make_person, kind):
    """Checklist 17: neither attacker nor victim can use a code that the other requested (CVE-2026-7507)."""
    request_id = await person.ask()
    code = await person.code()
    stranger, with_a_key = make_person("another browser"), make_person()
    await with_a_key.ask("eve@example.com")

    answers = [await each.enter(request_id, code, kind) for each in (stranger, with_a_key)]

    assert [each.json().get("code") for each in answers] == ["login_code_refused"] * 2
    # These requests did not use up any attempts, so the owner can still log in.
    assert (await person.enter(request_id, code, kind)).status_code == 200


async def test_a_cookie_session_needs_the_cookie_of_the_request(ada, person, make_person):
    """Checklist 17: a matching User-Agent is not enough."""
    request_id = await person.ask()

    answer = await make_person(keeps_cookies=False).enter(request_id, await person.code(), "/cookie")

    assert answer.status_code == 401


async def test_a_client_without_cookies_is_recognized_by_its_user_agent(ada, make_person):
    app, other = (make_person(agent, keeps_cookies=False) for agent in ("an app", "another app"))
    request_id = await app.ask()
    code = await app.code()

    answers = [await each.enter(request_id, code) for each in (other, app)]

    assert [each.status_code for each in answers] == [401, 200]


async def test_another_site_cannot_log_a_browser_in(ada, person):
    """Checklist 35."""
    request_id = await person.ask()
    person.client.headers["Sec-Fetch-Site"] = "cross-site"

    assert (await person.enter(request_id, await person.code(), "/cookie")).status_code == 403


async def test_the_cookie_is_protected_from_scripts_sites_and_hosts(ada, person):
    """Checklist 34."""
    answer = await asked(person, EMAIL)

    name, *attributes = answer.headers["set-cookie"].split("; ")
    assert name.startswith("__Host-login-code=")
    assert sorted(attributes) == ["HttpOnly", "Path=/", "SameSite=Lax", "Secure"]


# Leaks


async def test_no_part_of_a_request_is_a_credential(ada, person):
    """Checklist 27: routes that accept credentials refuse the code, id and cookie (CVE-2026-45690)."""
    request_id = await person.ask()
    cookie = person.client.cookies["__Host-login-code"]
    parts = [request_id, cookie.partition(".")[2], cookie, await person.code()]
    person.client.cookies.clear()

    answers = [
        answer
        for part in parts
        for answer in (
            await person.client.get("/users/me", headers={"Authorization": f"Bearer {part}"}),
            await person.client.get("/users/me", headers={"Cookie": f"__Host-session={part}"}),
            await person.client.post("/users/token/refresh", json={"refresh_token": part}),
            await person.client.post("/users/password-reset", json={"token": part, "password": "x" * 20}),
        )
    ]

    assert [each.status_code for each in answers] == [401, 401, 401, 400] * 4


async def test_the_database_has_no_code_no_id_and_no_key(ada, person, db):
    """Checklist 15."""
    request_id = await person.ask()
    code, key = await person.code(), person.client.cookies["__Host-login-code"].partition(".")[2]
    async with db.session(commit=False) as session:
        stored = str((await session.execute(text("SELECT * FROM login_codes"))).all())

    assert ada.id in stored
    assert [each for each in (code, code.replace("-", ""), request_id, key, EMAIL) if each in stored] == []


async def test_a_copy_of_the_database_does_not_help_guessing(ada, person, other_client):
    """Checklist 15: the stored value depends on SECRET_KEY, so a new key makes the code invalid."""
    request_id = await person.ask()
    client = await other_client(secret_key=SecretStr(sha256(b"another secret").hexdigest()))
    client.headers["User-Agent"] = person.client.headers["User-Agent"]

    path, code = f"/users/login/email/{request_id}", {"code": await person.code()}

    assert [(await each.post(path, json=code)).status_code for each in (client, person.client)] == [401, 200]


async def test_no_code_is_in_a_log_or_the_export(ada, person, make_person, events, caplog, login):
    """Checklist 39."""
    caplog.set_level(logging.DEBUG)
    request_id = await person.ask()
    code, key = await person.code(), person.client.cookies["__Host-login-code"].partition(".")[2]
    await person.enter(request_id, WRONG)
    await make_person("another browser").enter(request_id, code)
    export = await person.client.get("/users/me/export", headers=login(ada))
    await person.enter(request_id, code)

    audited = " ".join(str(vars(each)) for each in await events())
    secrets = [code, code.replace("-", ""), key]
    assert len(export.json()["related_records"]["login_codes"]) == 1
    assert [each for each in secrets if each in caplog.text + audited + export.text] == []


def test_no_repr_shows_a_code():
    """Checklist 39."""
    shown = [Answer("ID", "KEY", "CODE", "bearer"), CodeRequested("ID"), CookieLoginCodeAnswer("CODE")]

    assert [each for each in ("ID", "KEY", "CODE") if each in repr(shown)] == []


def test_a_code_is_random_and_has_34_bits():
    """Checklist 15 (ASVS 6.5.4)."""
    codes = {new_code(LENGTH) for _ in range(100)}

    assert len(codes) == 100
    assert len(LETTERS) ** LENGTH > 2**34
    assert {len(each) for each in codes} == {LENGTH}


# Your own tests go below; template updates never touch them.

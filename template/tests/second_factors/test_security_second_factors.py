"""Checklist 31 and 32: attacks on accounts with a second factor."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, text

from app.database import batches
from app.second_factors.factors import remove_expired
from app.second_factors.models import PendingLogin
from app.users import UserSession
from app.users.audit import AuditEvent
from app.users.emails import NOTICES_OF_FEATURES
from tests.conftest import PASSWORD

KINDS = pytest.mark.parametrize("kind", ["", "/cookie"], ids=["bearer", "cookie"])
WRONG = "000000"


@pytest.fixture
def number_of_sessions(db):
    async def count():
        async with db.session(commit=False) as session:
            return await session.scalar(select(func.count()).select_from(UserSession))

    return count


# An answer works once


async def test_an_answer_works_once(owner, person):
    """Checklist 31."""
    code = owner.code()
    first = await person.answer(await person.ticket(), code=code)
    second = await person.answer(await person.ticket(), code=code)

    assert (first.status_code, second.status_code) == (200, 401)


async def test_one_ticket_starts_one_session(owner, person, number_of_sessions, factors, monkeypatch):
    """Checklist 31."""
    ticket = await person.ticket()
    before = await number_of_sessions()
    everyone = asyncio.Barrier(5)
    check = factors._check

    async def check_together(*arguments):
        await everyone.wait()
        return await check(*arguments)

    monkeypatch.setattr(factors, "_check", check_together)
    answers = await asyncio.gather(
        person.answer(ticket, code=owner.code()),
        *(person.answer(ticket, recovery_code=code) for code in owner.recovery_codes[:4]),
    )

    assert sorted(each.status_code for each in answers) == [200] + [401] * 4
    assert await number_of_sessions() == before + 1


# A ticket has no other use


async def test_a_ticket_is_not_a_credential(owner, person):
    """Checklist 31. Routes that accept credentials refuse the ticket (CVE-2026-45690)."""
    ticket = await person.ticket()
    bearer = await person.client.get("/users/me", headers={"Authorization": f"Bearer {ticket}"})
    cookie = await person.client.get("/users/me", headers={"Cookie": f"__Host-session={ticket}"})
    refresh = await person.client.post("/users/token/refresh", json={"refresh_token": ticket})

    assert [each.status_code for each in (bearer, cookie, refresh)] == [401, 401, 401]


@KINDS
async def test_a_used_ticket_no_longer_works(owner, person, kind):
    ticket = await person.ticket(kind)
    first = await person.answer(ticket, kind, code=owner.code())
    second = await person.answer(ticket, kind, code=owner.code())

    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["code"] == "login_expired"


async def test_a_ticket_lasts_five_minutes(owner, person, wait):
    early, late = await person.ticket(), await person.ticket()
    wait(timedelta(minutes=5) - timedelta(seconds=1))
    first = await person.answer(early, code=owner.code())
    wait(timedelta(seconds=1))
    second = await person.answer(late, recovery_code=owner.recovery_codes[0])

    assert (first.status_code, second.status_code) == (200, 401)


async def test_expired_logins_are_removed_in_batches(owner, person, app, wait, db, monkeypatch):
    monkeypatch.setattr(batches, "BATCH", 1)
    for _ in range(3):
        await person.ticket()
    wait(timedelta(minutes=5))
    [task] = [each for each in app.state.tasks if each.name == "remove expired logins"]
    async with db.session() as session:
        removed = await remove_expired(session)

    await task.do()

    async with db.session(commit=False) as session:
        left = await session.scalar(select(func.count()).select_from(PendingLogin))
    assert (removed, left) == (1, 0)


@KINDS
async def test_another_browser_cannot_finish_the_login(owner, person, make_person, kind):
    """Checklist 31. An attacker could start a login and have a victim finish it (CVE-2026-7507)."""
    ticket = await person.ticket(kind)

    answer = await make_person("another browser").answer(ticket, kind, code=owner.code())

    assert answer.status_code == 401
    assert answer.json()["code"] == "login_expired"


@pytest.mark.parametrize("logs_out", ["of nothing", "of a session"])
async def test_logging_out_cancels_the_browsers_unfinished_login(owner, person, make_user, logs_out):
    """Checklist 19: the next person at the browser cannot finish the login."""
    await make_user("eve@example.com", is_verified=True)
    if logs_out == "of a session":
        await person.password("eve@example.com", "/cookie")
    ticket = await person.ticket("/cookie")
    done = await person.client.post("/users/logout")
    answer = await person.answer(ticket, "/cookie", code=owner.code())

    assert (done.status_code, answer.status_code) == (204, 401)
    assert "__Host-login" not in person.client.cookies


async def test_another_site_cannot_cancel_a_login(owner, person):
    ticket = await person.ticket("/cookie")
    await person.client.post("/users/logout", headers={"Sec-Fetch-Site": "cross-site"})
    answer = await person.answer(ticket, "/cookie", code=owner.code())

    assert answer.status_code == 200


async def test_a_ticket_starts_only_the_kind_of_session_it_is_for(owner, person):
    bearer, cookie = await person.ticket(), await person.ticket("/cookie")

    answers = [
        await person.answer(bearer, "/cookie", code=owner.code()),
        await person.answer(cookie, "", code=owner.code()),
    ]

    assert [each.json()["code"] for each in answers] == ["login_expired", "login_expired"]


async def test_a_new_login_replaces_an_unfinished_login_to_another_account(owner, make_owner, person):
    """The same browser starts both logins (allauth 65.21.0)."""
    other = await make_owner("eve@example.com")
    first = await person.ticket("/cookie")
    second = (await person.password("eve@example.com", "/cookie")).json()["ticket"]

    abandoned = await person.answer(first, "/cookie", code=owner.code())
    entered = await person.answer(second, "/cookie", code=other.code())

    assert abandoned.status_code == 401
    assert (entered.status_code, entered.json()["email"]) == (200, "eve@example.com")


@pytest.mark.parametrize(
    "change",
    [{"is_active": False}, {"is_verified": False}, {"must_reset_password": True}],
    ids=lambda change: next(iter(change)),
)
async def test_a_change_of_the_account_ends_the_ticket(owner, person, manager, db, change):
    ticket = await person.ticket()
    async with db.session() as session:
        await manager.update(session, await manager.get_by_id(session, owner.user.id), **change)

    answer = await person.answer(ticket, code=owner.code())

    assert (answer.status_code, answer.json()["code"]) == (401, "login_expired")


# Guessing


async def test_five_wrong_codes_end_the_ticket_and_notify_the_owner(owner, person, headings, db):
    ticket = await person.ticket()
    wrong = [(await person.answer(ticket, code=WRONG)).json()["code"] for _ in range(5)]

    right = await person.answer(ticket, code=owner.code())

    assert wrong == ["wrong_second_factor"] * 5
    assert right.json()["code"] == "login_expired"
    assert (await headings())[-1] == NOTICES_OF_FEATURES["second_factor_refused"].heading
    async with db.session(commit=False) as session:
        failed = select(func.count()).where(
            AuditEvent.event == "second_factor", AuditEvent.outcome == "failure"
        )
        assert await session.scalar(failed) == 5


async def test_wrong_codes_in_several_logins_notify_the_owner_too(owner, person, headings, db):
    """Otherwise, an attacker could avoid the notice by starting a new login after four wrong codes."""
    for tries in (4, 1):
        ticket = await person.ticket()
        for _ in range(tries):
            await person.answer(ticket, code=WRONG)

    assert (await headings()).count(NOTICES_OF_FEATURES["second_factor_refused"].heading) == 1
    async with db.session(commit=False) as session:
        asked = select(func.count()).where(AuditEvent.event == "second_factor_request")
        assert await session.scalar(asked) == 2


async def test_wrong_codes_count_across_tickets_and_sessions(client, owner, person):
    """Checklist 31: a new login does not grant more attempts."""
    for _ in range(2):
        ticket = await person.ticket()
        for _ in range(5):
            await person.answer(ticket, code=WRONG)

    answers = [
        await person.answer(await person.ticket(), code=owner.code()),
        await client.post(
            "/users/me/confirm/second-factor", json={"code": owner.code()}, headers=owner.headers
        ),
    ]

    assert [each.status_code for each in answers] == [429, 429]


async def test_wrong_codes_do_not_use_up_the_attempts_for_recovery_codes(owner, person):
    """Wrong answers for one factor must not use up the attempts for another (allauth 65.20.0)."""
    for _ in range(2):
        ticket = await person.ticket()
        for _ in range(5):
            await person.answer(ticket, code=WRONG)

    answer = await person.answer(await person.ticket(), recovery_code=owner.recovery_codes[0])

    assert answer.status_code == 200


async def test_right_codes_are_not_counted(owner, person):
    for _ in range(12):
        assert (await person.answer(await person.ticket(), code=owner.code())).status_code == 200


# Ways around the factor


async def test_a_password_reset_does_not_bypass_the_factor(client, owner, person, manager):
    """Checklist 31."""
    token = manager.reset_token(owner.user)
    reset = await client.post(f"/users/password-reset/{token}", json={"password": "a brand new password"})

    answer = await person.password(password="a brand new password")

    assert (reset.status_code, answer.status_code) == (200, 401)
    assert answer.json()["code"] == "second_factor_required"


async def test_a_new_password_does_not_make_the_login_recent(client, owner, wait):
    """Checklist 31: otherwise, knowing the password would be enough to remove the factor."""
    wait(timedelta(hours=1))
    change = {"current_password": PASSWORD, "new_password": "quiet harbour stone"}
    tokens = (await client.post("/users/me/password", json=change, headers=owner.headers)).json()

    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    refused = await client.post("/users/me/recovery-codes", headers=headers)

    assert refused.status_code == 403, refused.text
    assert refused.json()["code"] == "recent_login_required"


async def test_a_wrong_password_reveals_nothing_about_the_factor(owner, make_user, person):
    await make_user("eve@example.com")

    answers = [
        await person.password(email, password="not the password")
        for email in ("ada@example.com", "eve@example.com", "nobody@example.com")
    ]

    assert len({answer.text for answer in answers}) == 1


async def test_a_login_without_a_factor_makes_no_extra_query(make_user, person, app, manager):
    """A query that every login makes anyway also returns the number of factors."""
    engine = app.state.db.get().engine.sync_engine
    await make_user("eve@example.com")
    counted = []
    for factors in (manager.second_factors, None):
        manager.second_factors = factors
        statements = []

        def note(connection, cursor, statement, *_, statements=statements):
            statements.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        assert (await person.password("eve@example.com")).status_code == 200
        event.remove(engine, "before_cursor_execute", note)
        counted.append(len(statements))

    assert counted[0] == counted[1]


# Recovery codes


async def test_ten_codes_are_shown_once(client, owner):
    """Checklist 32. The codes are never cached, and no route shows them again (allauth 65.22.0)."""
    listed = await client.get("/users/me/factors", headers=owner.headers)
    renewed = await client.post("/users/me/recovery-codes", headers=owner.headers)

    assert len(set(owner.recovery_codes)) == 10
    assert all(len(code.replace("-", "")) == 28 for code in owner.recovery_codes)
    assert listed.json() == {"factors": ["sample"], "recovery_codes": 10}
    assert renewed.headers.get("cache-control") == "no-store"


async def test_a_recovery_code_works_once_and_is_mailed(client, owner, person, headings):
    """Checklist 32."""
    code = owner.recovery_codes[0]
    first = await person.answer(await person.ticket(), recovery_code=code.lower().replace("-", " "))
    second = await person.answer(await person.ticket(), recovery_code=code)

    assert (first.status_code, second.status_code) == (200, 401)
    assert (await client.get("/users/me/factors", headers=owner.headers)).json()["recovery_codes"] == 9
    assert NOTICES_OF_FEATURES["recovery_code_used"].heading in await headings()


@KINDS
async def test_eight_simultaneous_uses_of_a_recovery_code_start_one_session(
    owner, make_person, number_of_sessions, kind
):
    """Checklist 32. Each use has the correct password and its own ticket (CVE-2026-31875, CVE-2025-67507)."""
    people = [make_person() for _ in range(8)]
    tickets = [await person.ticket(kind) for person in people]
    before = await number_of_sessions()

    answers = await asyncio.gather(
        *(
            person.answer(ticket, kind, recovery_code=owner.recovery_codes[0])
            for person, ticket in zip(people, tickets, strict=True)
        )
    )

    assert sorted(each.status_code for each in answers) == [200] + [401] * 7
    assert await number_of_sessions() == before + 1


async def test_new_codes_make_the_earlier_ones_invalid(client, owner, person):
    """Checklist 32."""
    renewed = (await client.post("/users/me/recovery-codes", headers=owner.headers)).json()["recovery_codes"]

    answers = [
        await person.answer(await person.ticket(), recovery_code=code)
        for code in (owner.recovery_codes[0], renewed[0])
    ]

    assert [answer.status_code for answer in answers] == [401, 200]


async def test_simultaneous_renewals_leave_ten_codes(client, owner):
    """Renewals lock the account's row first. Otherwise, a simultaneous login with a code would deadlock."""
    renewals = (client.post("/users/me/recovery-codes", headers=owner.headers) for _ in range(5))
    answers = await asyncio.gather(*renewals)

    left = (await client.get("/users/me/factors", headers=owner.headers)).json()
    assert {answer.status_code for answer in answers} == {201}
    assert left["recovery_codes"] == 10


async def test_recovery_codes_of_another_account_are_refused(owner, make_owner, person):
    other = await make_owner("eve@example.com")

    answer = await person.answer(await person.ticket(), recovery_code=other.recovery_codes[0])

    assert answer.status_code == 401


async def test_the_database_stores_only_hashes_of_recovery_codes(owner, db):
    """Checklist 32."""
    async with db.session(commit=False) as session:
        stored = str((await session.execute(text("SELECT * FROM recovery_codes"))).all())

    assert not any(code.replace("-", "") in stored or code in stored for code in owner.recovery_codes)


async def test_without_a_factor_there_are_no_recovery_codes(client, make_user, login):
    ada = await make_user(is_verified=True)

    answer = await client.post("/users/me/recovery-codes", headers=login(ada))

    assert (answer.status_code, answer.json()["code"]) == (404, "no_second_factor")


# Requests


@pytest.mark.parametrize("answer", [{}, {"code": "1", "recovery_code": "B"}], ids=["none", "two"])
async def test_a_request_must_contain_exactly_one_answer(owner, person, answer):
    assert (await person.answer(await person.ticket(), **answer)).status_code == 400


async def test_another_site_cannot_finish_a_login(owner, person):
    ticket = await person.ticket("/cookie")
    person.client.headers["Sec-Fetch-Site"] = "cross-site"

    assert (await person.answer(ticket, "/cookie", code=owner.code())).status_code == 403


# Your own tests go below; template updates never touch them.

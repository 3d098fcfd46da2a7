"""POST /users/me/confirm: entering the password again makes the login recent."""

from datetime import UTC, datetime, timedelta

import pytest

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
RECENT = timedelta(minutes=10)
MICROSECOND = timedelta(microseconds=1)
KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])
PASSWORD = {"password": "correct horse battery"}


@pytest.fixture(autouse=True)
def start(set_clock):
    """Every test in this module starts at START."""
    set_clock(START)


@pytest.fixture
def confirm(client):
    """`await confirm(headers, password="...")` confirms the password and returns the response."""

    async def send(headers, **body):
        return await client.post("/users/me/confirm", json=PASSWORD | body, headers=headers)

    return send


@pytest.fixture
def status_of_export(client):
    """`await status_of_export(headers)`: the status of a route that requires a recent login."""

    async def ask(headers):
        return (await client.get("/users/me/export", headers=headers)).status_code

    return ask


@pytest.fixture
def headers_of_session(headers_of, headers_of_answer):
    """`headers_of_session(issued, answer)`: the headers that the client sends after receiving *answer*."""

    def headers(issued, answer):
        return headers_of_answer(answer) if issued.session.kind == "cookie" else headers_of(issued)

    return headers


async def test_a_bearer_session_becomes_recent_and_keeps_its_tokens(
    confirm, make_user, begin_session, headers_of, status_of_export, set_clock
):
    headers = headers_of(await begin_session(await make_user()))
    set_clock(START + DAY)
    before = await status_of_export(headers)

    answer = await confirm(headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert "set-cookie" not in answer.headers
    assert (before, await status_of_export(headers)) == (403, 200)


async def test_a_cookie_session_becomes_recent_and_gets_a_new_cookie(
    confirm, make_user, begin_session, headers_of, headers_of_answer, status_of_export, set_clock
):
    headers = headers_of(await begin_session(await make_user(), kind="cookie"))
    set_clock(START + DAY)
    before = await status_of_export(headers)

    answer = await confirm(headers)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (before, await status_of_export(headers_of_answer(answer))) == (403, 200)


@KINDS
@pytest.mark.parametrize(("age", "status"), [(RECENT - MICROSECOND, 200), (RECENT, 403)], ids=str)
async def test_a_confirmation_lasts_ten_minutes(
    confirm,
    make_user,
    begin_session,
    headers_of,
    headers_of_session,
    status_of_export,
    set_clock,
    kind,
    age,
    status,
):
    issued = await begin_session(await make_user(), kind=kind)
    set_clock(START + DAY)
    headers = headers_of_session(issued, await confirm(headers_of(issued)))

    set_clock(START + DAY + age)

    assert await status_of_export(headers) == status


async def test_the_old_cookie_stops_working(confirm, make_user, begin_session, headers_of, status_of):
    """Checklist 16."""
    headers = headers_of(await begin_session(await make_user(), kind="cookie"))

    await confirm(headers)

    assert await status_of(headers) == 401


async def test_the_new_cookie_expires_when_the_old_one_would_have(
    confirm, make_user, begin_session, headers_of, session_rows, set_clock
):
    """Checklist 18."""
    issued = await begin_session(await make_user(), kind="cookie")
    set_clock(START + 10 * DAY)

    [cookie] = (await confirm(headers_of(issued))).headers.get_list("set-cookie")

    [row] = [each for each in await session_rows() if each.revoked_at is None]
    assert (row.created_at, row.expires_at) == (START, START + 90 * DAY)
    assert set(cookie.split("; ")[1:]) == {
        "Path=/",
        "SameSite=Lax",
        "Secure",
        "HttpOnly",
        f"Max-Age={80 * 24 * 3600}",
    }


async def test_a_session_cookie_stays_a_session_cookie(
    confirm, make_user, begin_session, headers_of, headers_of_answer, status_of, set_clock
):
    issued = await begin_session(await make_user(), kind="cookie", remember=False)
    set_clock(START + HOUR)

    answer = await confirm(headers_of(issued))

    set_clock(START + DAY)
    assert "Max-Age" not in answer.headers["set-cookie"]
    assert await status_of(headers_of_answer(answer)) == 401


@KINDS
async def test_other_sessions_do_not_become_recent(
    confirm, make_user, begin_session, headers_of, status_of, status_of_export, set_clock, kind
):
    user = await make_user()
    confirmed, other = await begin_session(user, kind=kind), await begin_session(user, kind=kind)
    set_clock(START + DAY)

    await confirm(headers_of(confirmed))

    assert await status_of(headers_of(other)) == 200
    assert await status_of_export(headers_of(other)) == 403


@KINDS
async def test_a_confirmation_is_audited_once(
    confirm, make_user, begin_session, headers_of, events, outbox, kind
):
    user = await make_user()

    await confirm(headers_of(await begin_session(user, kind=kind)))

    [event] = await events()
    assert (event.event, event.outcome, event.method) == ("confirm", "success", "password")
    assert (event.user_id, event.actor) == (user.id, user.id)
    assert await outbox() == []


# Refused


@KINDS
@pytest.mark.parametrize("password", ["", "x", "correct horse batterY", "correct horse battery "])
async def test_a_wrong_password_changes_nothing(
    confirm, make_user, begin_session, headers_of, status_of, status_of_export, set_clock, kind, password
):
    """The status is 400, not 401, because the session itself is valid."""
    headers = headers_of(await begin_session(await make_user(), kind=kind))
    set_clock(START + DAY)

    answer = await confirm(headers, password=password)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "password"
    assert "set-cookie" not in answer.headers
    assert await status_of(headers) == 200
    assert await status_of_export(headers) == 403


async def test_a_wrong_password_is_audited(confirm, make_user, begin_session, headers_of, events):
    """The event is committed even though the response is an error."""
    user = await make_user()

    await confirm(headers_of(await begin_session(user)), password="x")

    [event] = await events()
    assert (event.event, event.outcome, event.user_id) == ("confirm", "failure", user.id)


async def test_the_password_of_another_account_is_wrong(
    confirm, manager, db, make_user, begin_session, headers_of
):
    async with db.session() as session:
        await manager.create(session, email="eve@example.com", password="the password of Eve")
    headers = headers_of(await begin_session(await make_user("ada@example.com")))

    assert (await confirm(headers, password="the password of Eve")).status_code == 400


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}], ids=str)
async def test_no_password_is_checked_without_a_login(confirm, make_user, hash_calls, headers):
    await make_user()

    assert (await confirm(headers)).status_code == 401
    assert hash_calls == []


@KINDS
async def test_an_ended_session_cannot_be_confirmed(
    confirm, make_user, begin_session, headers_of, hash_calls, set_clock, kind
):
    headers = headers_of(await begin_session(await make_user(), kind=kind))

    set_clock(START + 14 * DAY)

    assert (await confirm(headers)).status_code == 401
    assert hash_calls == []


@pytest.mark.parametrize("body", [{"password": None}, {"password": 1}, {"password": "x" * 1025}], ids=str)
async def test_an_invalid_body_is_refused_without_hashing(
    confirm, make_user, begin_session, headers_of, hash_calls, body
):
    answer = await confirm(headers_of(await begin_session(await make_user())), **body)

    assert answer.status_code == 400
    assert hash_calls == []


# Races


async def test_only_one_of_six_concurrent_confirmations_gets_a_new_cookie(
    confirm, make_user, begin_session, headers_of, at_once, session_rows
):
    issued = await begin_session(await make_user(), kind="cookie")

    statuses = await at_once(6, lambda: confirm(headers_of(issued)))

    assert statuses == [204, 401, 401, 401, 401, 401]
    assert sum(row.revoked_at is None for row in await session_rows()) == 1


async def test_concurrent_confirmations_of_a_bearer_session_all_succeed(
    confirm, make_user, begin_session, headers_of, at_once, status_of
):
    headers = headers_of(await begin_session(await make_user()))

    assert await at_once(4, lambda: confirm(headers)) == [204] * 4
    assert await status_of(headers) == 200


@pytest.fixture
def meanwhile(manager, monkeypatch):
    """`meanwhile(act)` makes `act()` run while the password is being verified."""

    def arrange(act):
        verify = manager.hasher.verify

        async def act_and_verify(password, hashed):
            await act()
            return await verify(password, hashed)

        monkeypatch.setattr(manager.hasher, "verify", act_and_verify)

    return arrange


async def test_a_concurrently_logged_out_cookie_is_not_replaced(
    client, confirm, make_user, begin_session, headers_of, meanwhile, session_rows
):
    headers = headers_of(await begin_session(await make_user(), kind="cookie"))
    meanwhile(lambda: client.post("/users/logout", headers=headers))

    answer = await confirm(headers)

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert all(row.revoked_at is not None for row in await session_rows())


async def test_a_concurrently_logged_out_bearer_session_stays_logged_out(
    client, confirm, make_user, begin_session, headers_of, meanwhile, status_of
):
    headers = headers_of(await begin_session(await make_user()))
    meanwhile(lambda: client.post("/users/logout", headers=headers))

    await confirm(headers)

    assert await status_of(headers) == 401


@KINDS
@pytest.mark.parametrize("columns", [{"password_version": 1}, {"is_active": False}], ids=str)
async def test_a_session_ended_by_a_concurrent_password_change_stays_ended(
    confirm,
    make_user,
    begin_session,
    headers_of,
    meanwhile,
    change,
    status_of,
    kind,
    columns,
):
    """The password that was correct when the request arrived has since been replaced."""
    user = await make_user()
    issued = await begin_session(user, kind=kind)
    meanwhile(lambda: change(user, **columns))

    answer = await confirm(headers_of(issued))

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert await status_of(headers_of(issued)) == 401


@KINDS
async def test_a_concurrently_deleted_account_is_not_confirmed(
    confirm, manager, db, make_user, begin_session, headers_of, meanwhile, session_rows, kind
):
    user = await make_user()
    headers = headers_of(await begin_session(user, kind=kind))

    async def delete():
        async with db.session() as session:
            await manager.delete(session, await manager.get_by_id(session, user.id))

    meanwhile(delete)

    assert (await confirm(headers)).status_code == 401
    assert await session_rows() == []


# Your own tests go below; template updates never touch them.

"""app/users/sessions.py on its own: starting, finding, keeping and ending sessions at their limits."""

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from app.keys import KeyRing
from app.users.models import UserSession
from app.users.sessions import SessionEnded, SessionLimits, Sessions

START = datetime(2030, 1, 1, 12, tzinfo=UTC)

MICROSECOND = timedelta(microseconds=1)

DAY = timedelta(days=1)

MINUTE = timedelta(minutes=1)

IDLE, ABSOLUTE, SHORT, RECENT = 14 * DAY, 90 * DAY, DAY, 10 * MINUTE


@pytest.fixture(autouse=True)
def start(set_clock):
    """Every test in this module starts at START."""
    set_clock(START)


@pytest.fixture
def sessions(db, manager):
    """`await sessions.by_id(...)`: a method of `Sessions` in its own transaction."""

    class Committed:
        def __getattr__(self, name):
            async def call(*arguments, **options):
                async with db.session() as session:
                    return await getattr(manager.sessions, name)(session, *arguments, **options)

            return call

    return Committed()


@pytest.fixture
def is_alive(sessions):
    """`await is_alive(issued)`: whether the session is found."""

    async def look(issued):
        try:
            await sessions.by_id(issued.session.id)
        except SessionEnded:
            return False
        return True

    return look


def secret_of(issued):
    """The 32 secret bytes that only the client has."""
    return base64.urlsafe_b64decode(issued.token.partition(".")[2])[:32]


# Issuing


async def test_a_session_starts_now_with_its_absolute_limit(make_user, begin_session, session_rows):
    user = await make_user()

    issued = await begin_session(user)

    [row] = await session_rows()
    assert (row.id, row.user_id, row.kind) == (issued.session.id, user.id, "bearer")
    assert (row.created_at, row.authenticated_at, row.last_seen_at) == (START, START, START)
    assert (row.expires_at, row.revoked_at) == (START + ABSOLUTE, None)


async def test_an_unremembered_session_lasts_a_day(make_user, begin_session):
    issued = await begin_session(await make_user(), remember=False)

    assert issued.session.expires_at == START + SHORT


async def test_an_unremembered_session_lasts_no_longer_than_others(db, make_user):
    user = await make_user()
    short = Sessions(KeyRing("x" * 32, "session"), SessionLimits(absolute=timedelta(hours=1)))

    async with db.session() as session:
        issued = await short.issue(session, user, remember=False)

    assert issued.session.expires_at == START + timedelta(hours=1)


async def test_a_session_has_the_address_and_browser_of_its_login(client, make_user, session_rows):
    await make_user("ada@example.com")
    body = {"email": "ada@example.com", "password": "correct horse battery"}

    await client.post("/users/login", json=body, headers={"User-Agent": "Telescope/3.1"})

    [row] = await session_rows()
    assert (row.ip_address, row.user_agent) == ("203.0.113.9", "Telescope/3.1")


async def test_an_overlong_user_agent_is_cut(client, make_user, session_rows):
    await make_user("ada@example.com")
    body = {"email": "ada@example.com", "password": "correct horse battery"}

    await client.post("/users/login", json=body, headers={"User-Agent": "x" * 5000})

    [row] = await session_rows()
    assert row.user_agent == "x" * 512


async def test_the_row_holds_only_the_hash_of_the_secret(make_user, begin_session, session_rows):
    """Checklist 15."""
    issued = await begin_session(await make_user())

    [row] = await session_rows()
    stored = "".join(str(getattr(row, each.name)) for each in UserSession.__table__.columns)
    assert row.secret_hash == hashlib.sha256(secret_of(issued)).hexdigest()
    assert issued.token.partition(".")[2][:20] not in stored
    assert secret_of(issued).hex() not in stored


async def test_the_token_begins_with_the_public_id(make_user, begin_session):
    issued = await begin_session(await make_user())

    assert issued.token.partition(".")[0] == issued.session.id


async def test_no_two_sessions_are_alike(make_user, begin_session):
    user = await make_user()

    first, second = await begin_session(user), await begin_session(user)

    assert first.session.id != second.session.id
    assert secret_of(first) != secret_of(second)


# Finding


async def test_a_session_is_found_with_its_user(sessions, make_user, begin_session):
    user = await make_user()
    issued = await begin_session(user)

    row, found = await sessions.by_id(issued.session.id)

    assert (row.id, found.id) == (issued.session.id, user.id)


@pytest.mark.parametrize("session_id", ["", "nothing", "x" * 5000, "' OR 1=1 --"])
async def test_an_unknown_id_finds_nothing(sessions, make_user, begin_session, session_id):
    await begin_session(await make_user())

    with pytest.raises(SessionEnded):
        await sessions.by_id(session_id)


@pytest.mark.parametrize("kind", ["bearer", "cookie"])
async def test_a_session_is_found_by_its_token(sessions, make_user, begin_session, kind):
    issued = await begin_session(await make_user(), kind=kind)

    row, _ = await sessions.by_token(issued.token, kind=kind)

    assert row.id == issued.session.id


@pytest.mark.parametrize(("kind", "other"), [("bearer", "cookie"), ("cookie", "bearer")])
async def test_a_token_of_one_kind_is_not_accepted_as_the_other(
    sessions, make_user, begin_session, kind, other
):
    issued = await begin_session(await make_user(), kind=kind)

    with pytest.raises(SessionEnded):
        await sessions.by_token(issued.token, kind=other)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: "",
        lambda token: ".",
        lambda token: token.partition(".")[0],
        lambda token: token.partition(".")[0] + ".",
        lambda token: token.partition(".")[2],
        lambda token: "." + token.partition(".")[2],
        lambda token: token[:-4],
        lambda token: token + "AAAA",
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token.replace(".", ".A", 1)[:-1],
        lambda token: token.replace(".", "\0.", 1),
        lambda token: token.replace(".", "ä.", 1),
        lambda token: token + "ä",
        lambda token: token + "\udcff",
        lambda token: token + "=",
        lambda token: f"{token} ",
        lambda token: token.upper(),
        lambda token: "x" * 5000,
    ],
)
async def test_a_corrupted_token_finds_nothing(sessions, make_user, begin_session, spoil):
    issued = await begin_session(await make_user())

    with pytest.raises(SessionEnded):
        await sessions.by_token(spoil(issued.token), kind="bearer")


async def test_the_secret_of_another_session_finds_nothing(sessions, make_user, begin_session):
    user = await make_user()
    first, second = await begin_session(user), await begin_session(user)

    with pytest.raises(SessionEnded):
        await sessions.by_token(f"{first.session.id}.{second.token.partition('.')[2]}", kind="bearer")


async def test_a_token_sealed_with_another_secret_key_finds_nothing(db, make_user, sessions, is_alive):
    user = await make_user()
    async with db.session() as session:
        other = KeyRing("another secret of 32 characters!", "session")
        issued = await Sessions(other).issue(session, user)

    with pytest.raises(SessionEnded):
        await sessions.by_token(issued.token, kind="bearer")

    assert await is_alive(issued)


# What keeps a session alive


@pytest.mark.parametrize(("age", "alive"), [(SHORT - MICROSECOND, True), (SHORT, False)])
async def test_an_unremembered_session_ends_after_a_day(
    make_user, begin_session, set_clock, is_alive, age, alive
):
    issued = await begin_session(await make_user(), remember=False)

    set_clock(START + age)

    assert await is_alive(issued) is alive


@pytest.mark.parametrize("columns", [{"is_active": False}, {"password_version": 1}], ids=str)
async def test_a_session_ends_when_its_account_changes(make_user, begin_session, change, is_alive, columns):
    user = await make_user()
    issued = await begin_session(user)

    await change(user, **columns)

    assert not await is_alive(issued)


async def test_a_session_survives_other_changes_to_its_user(make_user, begin_session, change, is_alive):
    user = await make_user()
    issued = await begin_session(user)

    await change(user, is_verified=True, is_superuser=True)

    assert await is_alive(issued)


# Keeping


@pytest.mark.parametrize(("age", "due"), [(MINUTE - MICROSECOND, False), (MINUTE, True)])
async def test_last_seen_is_due_once_a_minute(manager, make_user, begin_session, set_clock, age, due):
    issued = await begin_session(await make_user())

    set_clock(START + age)

    assert manager.sessions.is_due(issued.session) is due


@pytest.mark.parametrize(("age", "seen"), [(MINUTE - MICROSECOND, timedelta()), (MINUTE, MINUTE)])
async def test_last_seen_is_written_once_a_minute(
    sessions, make_user, begin_session, session_rows, set_clock, age, seen
):
    """It is written once even if several concurrent requests find the update due."""
    issued = await begin_session(await make_user())

    set_clock(START + age)
    await sessions.seen(issued.session)

    [row] = await session_rows()
    assert row.last_seen_at == START + seen


async def test_a_slow_request_does_not_move_last_seen_back(
    sessions, make_user, begin_session, change_session, session_rows, set_clock
):
    issued = await begin_session(await make_user())
    await change_session(issued.session, last_seen_at=START + 10 * MINUTE)

    set_clock(START + 5 * MINUTE)
    await sessions.seen(issued.session)

    [row] = await session_rows()
    assert row.last_seen_at == START + 10 * MINUTE


async def test_updating_last_seen_changes_no_other_time(
    sessions, make_user, begin_session, session_rows, set_clock
):
    """Checklist 18."""
    issued = await begin_session(await make_user())

    set_clock(START + DAY)
    await sessions.seen(issued.session)

    [row] = await session_rows()
    assert (row.last_seen_at, row.authenticated_at) == (START + DAY, START)
    assert (row.created_at, row.expires_at) == (START, START + ABSOLUTE)


@pytest.mark.parametrize(("age", "recent"), [(RECENT - MICROSECOND, True), (RECENT, False)])
async def test_a_login_is_recent_for_ten_minutes(manager, make_user, begin_session, set_clock, age, recent):
    issued = await begin_session(await make_user())

    set_clock(START + age)

    assert manager.sessions.is_recent(issued.session) is recent


async def test_a_confirmed_bearer_session_keeps_its_token_and_limit(
    sessions, make_user, begin_session, session_rows, set_clock
):
    issued = await begin_session(await make_user())
    set_clock(START + DAY)

    replacement = await sessions.confirm(*await sessions.by_id(issued.session.id))

    [row] = await session_rows()
    assert replacement is None
    assert (row.id, row.secret_hash) == (issued.session.id, issued.session.secret_hash)
    assert (row.authenticated_at, row.last_seen_at) == (START + DAY, START + DAY)
    assert (row.created_at, row.expires_at) == (START, START + ABSOLUTE)


async def test_a_confirmed_cookie_session_is_replaced_within_its_limit(
    sessions, make_user, begin_session, is_alive, set_clock
):
    """Checklist 16."""
    issued = await begin_session(await make_user(), kind="cookie", remember=False)
    set_clock(START + timedelta(hours=1))

    replacement = await sessions.confirm(*await sessions.by_id(issued.session.id))

    assert not await is_alive(issued)
    row, _ = await sessions.by_token(replacement.token, kind="cookie")
    assert row.authenticated_at == START + timedelta(hours=1)
    assert (row.created_at, row.expires_at) == (START, START + SHORT)


async def test_a_concurrently_ended_session_is_not_replaced(sessions, make_user, begin_session, session_rows):
    issued = await begin_session(await make_user(), kind="cookie")
    row, user = await sessions.by_id(issued.session.id)
    await sessions.revoke(row)

    with pytest.raises(SessionEnded):
        await sessions.confirm(row, user)

    assert len(await session_rows()) == 1


async def test_a_concurrently_removed_session_is_not_confirmed(
    sessions, db, make_user, begin_session, session_rows
):
    issued = await begin_session(await make_user())
    row, user = await sessions.by_id(issued.session.id)
    async with db.session() as session:
        await session.delete(await session.get_one(UserSession, row.id))

    with pytest.raises(SessionEnded):
        await sessions.confirm(row, user)

    assert await session_rows() == []


async def test_a_session_can_survive_a_change(sessions, make_user, begin_session, change, is_alive):
    user = await make_user()
    kept, other = await begin_session(user), await begin_session(user)
    await change(user, password_version=1)
    user.password_version = 1

    await sessions.keep(kept.session, user)

    assert await is_alive(kept)
    assert not await is_alive(other)


# Ending


async def test_a_revoked_session_ends_at_once(sessions, make_user, begin_session, is_alive):
    user = await make_user()
    ended, other = await begin_session(user), await begin_session(user)

    assert await sessions.revoke(ended.session) is True

    assert not await is_alive(ended)
    assert await is_alive(other)


async def test_a_session_is_revoked_once(sessions, make_user, begin_session, session_rows, set_clock):
    issued = await begin_session(await make_user())
    await sessions.revoke(issued.session)
    set_clock(START + DAY)

    assert await sessions.revoke(issued.session) is False

    [row] = await session_rows()
    assert row.revoked_at == START


async def test_all_sessions_of_a_user_are_revoked_at_once(sessions, make_user, begin_session, is_alive):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    first, second, of_another = await begin_session(ada), await begin_session(ada), await begin_session(eve)

    assert await sessions.revoke_all(ada.id) == 2

    assert [await is_alive(each) for each in (first, second, of_another)] == [False, False, True]


async def test_all_sessions_except_one_can_be_revoked(sessions, make_user, begin_session, is_alive):
    user = await make_user()
    first, second, kept = await begin_session(user), await begin_session(user), await begin_session(user)

    assert await sessions.revoke_all(user.id, except_session=kept.session) == 2

    assert [await is_alive(each) for each in (first, second, kept)] == [False, False, True]


async def test_the_sessions_of_all_users_can_be_revoked(sessions, make_user, begin_session, is_alive):
    of_ada = await begin_session(await make_user("ada@example.com"))
    of_eve = await begin_session(await make_user("eve@example.com"))

    assert await sessions.revoke_all() == 2

    assert [await is_alive(each) for each in (of_ada, of_eve)] == [False, False]


async def test_already_revoked_sessions_are_not_counted(
    sessions, make_user, begin_session, session_rows, set_clock
):
    user = await make_user()
    issued = await begin_session(user)
    await sessions.revoke(issued.session)
    set_clock(START + DAY)

    assert await sessions.revoke_all(user.id) == 0

    [row] = await session_rows()
    assert row.revoked_at == START


# Removing


@pytest.mark.parametrize(("age", "rows"), [(IDLE - MICROSECOND, 1), (IDLE, 0)])
@pytest.mark.parametrize("revoked_at", [None, START], ids=["alive", "revoked"])
async def test_an_idle_session_is_removed(
    sessions, make_user, begin_session, change_session, session_rows, set_clock, age, rows, revoked_at
):
    """A revoked session is kept equally long: until then, its tokens could be replayed and must be
    recognized.
    """
    issued = await begin_session(await make_user())
    await change_session(issued.session, revoked_at=revoked_at)

    set_clock(START + age)
    await sessions.remove_expired()

    assert len(await session_rows()) == rows


@pytest.mark.parametrize(("age", "rows"), [(ABSOLUTE - MICROSECOND, 1), (ABSOLUTE, 0)])
@pytest.mark.parametrize("revoked_at", [None, START], ids=["alive", "revoked"])
async def test_a_session_is_removed_at_its_absolute_limit(
    sessions, make_user, begin_session, change_session, session_rows, set_clock, age, rows, revoked_at
):
    issued = await begin_session(await make_user())
    await change_session(issued.session, last_seen_at=START + ABSOLUTE, revoked_at=revoked_at)

    set_clock(START + age)
    await sessions.remove_expired()

    assert len(await session_rows()) == rows


async def test_removal_keeps_live_sessions(sessions, make_user, begin_session, session_rows, set_clock):
    user = await make_user()
    await begin_session(user, remember=False)
    alive = await begin_session(user)

    set_clock(START + SHORT)
    await sessions.remove_expired()

    assert [row.id for row in await session_rows()] == [alive.session.id]


async def test_the_worker_removes_expired_sessions(app, make_user, begin_session, session_rows, set_clock):
    await begin_session(await make_user())
    [clean] = [task for task in app.state.tasks if task.name == "clean"]

    set_clock(START + ABSOLUTE)
    await clean.do()

    assert await session_rows() == []


# The list


async def test_the_list_has_the_live_sessions_of_a_user_by_last_use(
    sessions, make_user, begin_session, change_session
):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    older, newer, revoked = await begin_session(ada), await begin_session(ada), await begin_session(ada)
    await change_session(newer.session, last_seen_at=START + MINUTE)
    await sessions.revoke(revoked.session)
    await begin_session(eve)

    listed = await sessions.of_user(ada)

    assert [row.id for row in listed] == [newer.session.id, older.session.id]


@pytest.mark.parametrize(("age", "length"), [(IDLE - MICROSECOND, 1), (IDLE, 0)])
async def test_idle_sessions_are_not_listed(sessions, make_user, begin_session, set_clock, age, length):
    user = await make_user()
    await begin_session(user)

    set_clock(START + age)

    assert len(await sessions.of_user(user)) == length


@pytest.mark.parametrize(("age", "length"), [(SHORT - MICROSECOND, 1), (SHORT, 0)])
async def test_sessions_past_the_absolute_limit_are_not_listed(
    sessions, make_user, begin_session, set_clock, age, length
):
    user = await make_user()
    await begin_session(user, remember=False)

    set_clock(START + age)

    assert len(await sessions.of_user(user)) == length


async def test_the_list_is_empty_after_a_new_password(sessions, make_user, begin_session, change):
    user = await make_user()
    await begin_session(user)
    await change(user, password_version=1)
    user.password_version = 1

    assert await sessions.of_user(user) == []


async def test_the_list_shows_the_current_session_as_seen_now(
    client, make_user, begin_session, headers_of, set_clock
):
    """The time is exact to the minute, even in the request that records it."""
    issued = await begin_session(await make_user())

    set_clock(START + DAY)
    answer = await client.get("/users/me/sessions", headers=headers_of(issued))

    [listed] = answer.json()
    assert datetime.fromisoformat(listed["last_seen_at"]) == START + DAY

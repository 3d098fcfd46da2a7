"""Administration: what only superusers can see and do."""

import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

NOBODY = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def read_on(admin):
    """`await read_on(page, limit=2)`: the pages that follow *page*."""

    async def read(page, path="/users", key="cursor", **query):
        pages = []
        while page["next"] is not None:
            page = (await admin.get(path, params={key: page["next"], **query})).json()
            pages.append(page)
        return pages

    return read


@pytest.fixture
def read_all(admin, read_on):
    """`await read_all(limit=2)`: every page of the list."""

    async def read(path="/users", key="cursor", **query):
        first = (await admin.get(path, params=query)).json()
        return [first, *await read_on(first, path, key, **query)]

    return read


@pytest.fixture
def make_users(make_user):
    """`await make_users("ada", "bob")` creates one account per name. The last one is the newest."""

    async def make(*names, **columns):
        return [
            await make_user(f"{name}@example.com", **{"created_at": NOON + timedelta(hours=number)} | columns)
            for number, name in enumerate(names)
        ]

    return make


def names_of(*pages):
    return [item["email"].partition("@")[0] for page in pages for item in page["items"]]


# The list: GET /users


async def test_the_list_shows_accounts_newest_first(admin, root, make_users, make_user):
    ada, bob = await make_users("ada", "bob")

    answer = await admin.get("/users")

    assert answer.status_code == 200
    assert [item["id"] for item in answer.json()["items"]] == [bob.id, ada.id, root.id]
    assert answer.json()["next"] is None


async def test_the_list_shows_no_secrets(admin, make_user):
    due = datetime(2030, 1, 2, tzinfo=UTC)
    user = await make_user(
        is_verified=True,
        is_active=False,
        created_at=NOON,
        updated_at=NOON,
        delete_after=due,
        pending_email="new@example.com",
    )

    shown = (await admin.get("/users")).json()["items"][0]

    expected = {
        "id": user.id,
        "email": "ada@example.com",
        "is_active": False,
        "is_verified": True,
        "is_superuser": False,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
        "delete_after": "2030-01-02T00:00:00Z",
    }
    assert shown == shown | expected
    assert not {"hashed_password", "password_version", "pending_email"} & set(shown)


@pytest.mark.parametrize(
    ("limit", "pages"),
    [
        (1, [["eve"], ["dan"], ["cat"], ["bob"], ["ada"], ["root"]]),
        (2, [["eve", "dan"], ["cat", "bob"], ["ada", "root"]]),
        (6, [["eve", "dan", "cat", "bob", "ada", "root"]]),
    ],
)
async def test_every_account_is_on_exactly_one_page(read_all, make_users, limit, pages):
    await make_users("ada", "bob", "cat", "dan", "eve")

    assert [names_of(page) for page in await read_all(limit=limit)] == pages


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("ada", ["ada"]),
        ("ADA@Example", ["ada"]),
        ("example.com", ["fifty", "a_b", "axb", "50%", "ada", "root"]),
        ("a_b", ["a_b"]),
        ("_", ["a_b"]),
        ("%", ["50%"]),
        ("50%@", ["50%"]),
        ("\\", []),
        ("/_", []),
        ("'", []),
    ],
)
async def test_the_list_can_be_searched_by_part_of_the_address(admin, make_users, search, found):
    """% and _ are treated as literal characters."""
    await make_users("ada", "50%", "axb", "a_b", "fifty")

    answer = await admin.get("/users", params={"search": search})

    assert names_of(answer.json()) == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("is_active=true", ["boss", "verified", "plain", "root"]),
        ("is_active=false", ["disabled"]),
        ("is_verified=true", ["verified"]),
        ("is_verified=false", ["boss", "disabled", "plain", "root"]),
        ("is_superuser=true", ["boss", "root"]),
        ("is_superuser=false", ["verified", "disabled", "plain"]),
        ("is_superuser=false&is_active=true", ["verified", "plain"]),
        ("is_superuser=true&search=boss", ["boss"]),
        ("is_verified=true&is_active=false", []),
    ],
)
async def test_the_list_can_be_filtered(admin, make_user, query, found):
    await make_user("plain@example.com", created_at=NOON)
    await make_user("disabled@example.com", created_at=NOON + timedelta(hours=1), is_active=False)
    await make_user("verified@example.com", created_at=NOON + timedelta(hours=2), is_verified=True)
    await make_user("boss@example.com", created_at=NOON + timedelta(hours=3), is_superuser=True)

    assert names_of((await admin.get(f"/users?{query}")).json()) == found


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "limit=x", "limit=", "is_active=maybe", "is_superuser=2", "search=" + "x" * 321],
)
async def test_invalid_list_parameters_are_refused(admin, query):
    answer = await admin.get(f"/users?{query}")

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"


def cursor(content):
    return urlsafe_b64encode(content).decode()


# One account: GET, PATCH, DELETE /users/{id}


@pytest.mark.parametrize("user_id", ["x", "0", "%20", "%F0%9F%A6%85", "x" * 3000, "' OR 1=1 --"])
async def test_an_impossible_id_is_not_found(admin, user_id):
    assert (await admin.get(f"/users/{user_id}")).status_code == 404


async def test_an_account_is_read(admin, make_user):
    user = await make_user("ada@example.com", created_at=NOON, updated_at=NOON)

    answer = await admin.get(f"/users/{user.id}")

    assert answer.status_code == 200
    expected = {
        "id": user.id,
        "email": "ada@example.com",
        "is_active": True,
        "is_verified": False,
        "is_superuser": False,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
        "delete_after": None,
    }
    assert answer.json() == answer.json() | expected


@pytest.mark.parametrize("flag", ["is_active", "is_verified", "is_superuser", "must_reset_password"])
@pytest.mark.parametrize("value", [True, False])
async def test_changing_a_flag_changes_nothing_else(admin, make_user, stored, flag, value):
    user = await make_user(**{flag: not value})
    before = (await admin.get(f"/users/{user.id}")).json()

    answer = await admin.patch(f"/users/{user.id}", json={flag: value})

    assert answer.status_code == 200
    assert answer.json() | {"updated_at": ""} == before | {flag: value, "updated_at": ""}
    assert getattr(await stored(user), flag) is value


async def test_a_change_is_audited_once_with_its_actor(admin, root, make_user, events):
    """Checklist 39."""
    user = await make_user()

    await admin.patch(f"/users/{user.id}", json={"is_verified": True, "is_superuser": True})

    (event,) = await events()
    assert (event.event, event.outcome, event.user_id) == ("update", "success", user.id)
    assert (event.actor, event.method) == (root.id, "bearer")
    assert '"is_superuser":true' in event.details


@pytest.mark.parametrize("body", [{}, {"is_active": None}, {"is_active": True}, {"email": "eve@example.com"}])
async def test_an_empty_change_changes_nothing(client, admin, make_user, login, stored, events, body):
    user = await make_user("ada@example.com")
    headers = login(user)

    answer = await admin.patch(f"/users/{user.id}", json=body)

    now = await stored(user)
    assert answer.status_code == 200
    assert (now.email, now.is_active, now.updated_at) == ("ada@example.com", True, user.updated_at)
    assert (await client.get("/users/me", headers=headers)).status_code == 200
    assert await events() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b"null",
        b'{"is_active": "false"}',
        b'{"is_active": 0}',
        b'{"is_superuser": []}',
        b'{"is_active": false, "is_verified": "x"}',
    ],
)
async def test_an_invalid_change_changes_nothing(admin, make_user, stored, body):
    user = await make_user()

    answer = await admin.patch(
        f"/users/{user.id}", content=body, headers={"Content-Type": "application/json"}
    )

    assert answer.status_code == 400
    assert (await stored(user)).is_active


async def test_a_promotion_takes_effect_at_once(client, admin, make_user, login):
    """Checklist 36: roles are read from the database."""
    user = await make_user()
    headers = login(user)

    await admin.patch(f"/users/{user.id}", json={"is_superuser": True})

    assert (await client.get("/users", headers=headers)).status_code == 200


async def test_a_demotion_takes_effect_at_once(client, admin, make_user, login):
    """Checklist 36: roles are read from the database."""
    user = await make_user(is_superuser=True)
    headers = login(user)

    await admin.patch(f"/users/{user.id}", json={"is_superuser": False})

    assert (await client.get("/users", headers=headers)).status_code == 403
    assert (await client.get("/users/me", headers=headers)).status_code == 200


async def test_untouched_logins_stay_valid(make_user, logins):
    try_all = await logins(await make_user())

    assert await try_all() == [200, 200, 200]


async def test_disabling_and_enabling_invalidates_mailed_links(admin, client, manager, make_user):
    user = await make_user()
    token = manager.reset_token(user)

    await admin.patch(f"/users/{user.id}", json={"is_active": False})
    await admin.patch(f"/users/{user.id}", json={"is_active": True})

    answer = await client.post(f"/users/password-reset/{token}", json={"password": "a brand new password"})
    assert answer.status_code == 400


async def test_revoking_the_verification_ends_sessions(admin, make_user, logins):
    user = await make_user(is_verified=True)
    try_all = await logins(user)

    await admin.patch(f"/users/{user.id}", json={"is_verified": False})

    assert await try_all() == [401, 401, 401]


async def test_administrators_who_disable_themselves_are_logged_out(admin, root, make_user):
    await make_user("boss@example.com", is_superuser=True)

    answer = await admin.patch(f"/users/{root.id}", json={"is_active": False})

    assert answer.json()["is_active"] is False
    assert (await admin.get("/users")).status_code == 401


async def test_a_deleted_account_is_gone(admin, make_user, stored, logins):
    """Checklist 20; ASVS 7.4.2."""
    user = await make_user()
    try_all = await logins(user)

    answers = [await admin.delete(f"/users/{user.id}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert await stored(user) is None
    assert await try_all() == [401, 401, 401]


async def test_deletion_by_an_administrator_has_no_grace_period(other_client, root, make_user, stored, login):
    client = await other_client(deletion_grace_days=30)
    user = await make_user()

    answer = await client.delete(f"/users/{user.id}", headers=login(root))

    assert answer.status_code == 204
    assert await stored(user) is None


# Sessions: GET, DELETE /users/{id}/sessions


async def test_the_sessions_of_an_account_are_shown(admin, make_user, begin_session, set_clock):
    user = await make_user()
    set_clock(datetime.now(UTC))
    bearer, cookie = await begin_session(user), await begin_session(user, kind="cookie")

    answer = await admin.get(f"/users/{user.id}/sessions")

    shown = {each["id"]: (each["kind"], each["is_current"]) for each in answer.json()}
    assert answer.status_code == 200
    assert shown == {bearer.session.id: ("bearer", False), cookie.session.id: ("cookie", False)}


async def test_administrators_recognize_their_own_session(admin, root, begin_session):
    other = await begin_session(root)

    shown = (await admin.get(f"/users/{root.id}/sessions")).json()

    assert {each["id"]: each["is_current"] for each in shown}[other.session.id] is False
    assert sorted(each["is_current"] for each in shown) == [False, True]


async def test_ended_sessions_are_not_shown(admin, manager, db, make_user, begin_session):
    user = await make_user()
    ended, live = await begin_session(user), await begin_session(user)
    async with db.session() as session:
        await manager.sessions.revoke(session, ended.session)

    shown = (await admin.get(f"/users/{user.id}/sessions")).json()

    assert [each["id"] for each in shown] == [live.session.id]


async def test_administrators_can_end_their_own_sessions(admin, root):
    assert (await admin.delete(f"/users/{root.id}/sessions")).status_code == 204
    assert (await admin.get("/users")).status_code == 401


async def test_ending_sessions_is_audited_once(admin, root, make_user, begin_session, events):
    """Checklist 39."""
    user = await make_user()
    await begin_session(user)

    await admin.delete(f"/users/{user.id}/sessions")

    (event,) = await events()
    assert (event.event, event.user_id, event.actor) == ("session_end", user.id, root.id)
    assert event.details == '{"count":1}'


# Reset: POST /users/{id}/password-reset


async def test_sending_a_reset_does_not_change_the_account(admin, make_user, logins, stored):
    user = await make_user()
    try_all = await logins(user)

    await admin.post(f"/users/{user.id}/password-reset")

    assert await try_all() == [200, 200, 200]
    assert (await stored(user)).hashed_password == user.hashed_password


async def test_a_disabled_account_gets_no_reset(admin, make_user, outbox, outbox_rows):
    user = await make_user(is_active=False)

    answer = await admin.post(f"/users/{user.id}/password-reset")

    assert answer.status_code == 409
    assert await outbox_rows() == 0


async def test_sending_a_reset_is_audited_once(admin, root, make_user, events):
    """Checklist 39."""
    user = await make_user()

    await admin.post(f"/users/{user.id}/password-reset")

    (event,) = await events()
    assert (event.event, event.user_id, event.actor) == ("password_reset_request", user.id, root.id)


# The audit log: GET /users/audit


@pytest.fixture
def happen(db, manager):
    """`await happen(user, 3)` records that many events for the account."""
    from app.users import record

    async def write(user, times=1):
        for _ in range(times):
            async with db.session() as session:
                record(session, "tested", user and user.id, details={"a": 1})

    return write


async def test_an_event_is_shown(admin, make_user, happen, events):
    user = await make_user()
    await happen(user)

    answer = await admin.get("/users/audit")

    (event,) = await events()
    assert answer.status_code == 200
    assert answer.json()["next"] is None
    assert answer.json()["items"] == [
        {
            "id": event.id,
            "at": event.at.isoformat().replace("+00:00", "Z"),
            "event": "tested",
            "outcome": "success",
            "user_id": user.id,
            "actor": user.id,
            "method": "",
            "ip_address": "",
            "user_agent": "",
            "browser": "an unknown browser",
            "details": {"a": 1},
        }
    ]


async def test_the_log_of_an_account_has_no_other_accounts_events(read_all, make_user, happen):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    await happen(ada, 2)
    await happen(eve)
    await happen(None)
    await happen(ada)

    pages = await read_all("/users/audit", "before", user_id=ada.id, limit=2)

    assert [[item["user_id"] for item in page["items"]] for page in pages] == [[ada.id, ada.id], [ada.id]]


async def test_the_log_outlives_the_account(admin, make_user, happen):
    user = await make_user()
    await happen(user)
    await admin.delete(f"/users/{user.id}")

    page = (await admin.get("/users/audit", params={"user_id": user.id})).json()

    assert [item["event"] for item in page["items"]] == ["delete", "tested"]


async def test_an_unknown_account_has_no_log(admin, make_user, happen):
    await happen(await make_user())

    answer = await admin.get("/users/audit", params={"user_id": NOBODY})

    assert answer.json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=101", "before=0", "before=x", "before=9223372036854775808", "user_id=" + "x" * 37],
)
async def test_invalid_log_parameters_are_refused(admin, query):
    assert (await admin.get(f"/users/audit?{query}")).status_code == 400


async def test_attempts_by_unknown_users_are_logged(admin, client):
    """Checklist 39: the event contains the IP address and browser, but not what was entered."""
    browser = {"User-Agent": "curl/8.5.0"}
    await client.post(
        "/users/login", json={"email": "secret@example.com", "password": "hunter2"}, headers=browser
    )

    page = await admin.get("/users/audit")

    (event,) = page.json()["items"]
    assert (event["event"], event["outcome"], event["user_id"], event["actor"]) == (
        "login",
        "failure",
        None,
        "",
    )
    assert (event["ip_address"], event["user_agent"]) == ("203.0.113.9", "curl/8.5.0")
    assert not re.search("hunter2|secret@", page.text)


# Your own tests go below; template updates never touch them.

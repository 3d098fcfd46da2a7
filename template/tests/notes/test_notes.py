"""Notes: users can see and delete only their own."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from app import clock
from app.notes.models import Note

NOTHING = {"items": [], "next": None}


@pytest.fixture
async def ada(make_user):
    return await make_user("ada@example.com", is_verified=True)


@pytest.fixture
async def eve(make_user):
    return await make_user("eve@example.com", is_verified=True)


@pytest.fixture
def write(client, login):
    """`await write(user, "title")`: the user's new note, as returned by the API."""

    async def note(user, title="A note", text="Its text"):
        body = {"title": title, "text": text}
        return (await client.post("/notes", json=body, headers=login(user))).json()

    return note


# Writing and reading


async def test_a_written_note_can_be_read(client, ada, login):
    written = await client.post("/notes", json={"title": "Milk", "text": "Two litres"}, headers=login(ada))
    read = await client.get(f"/notes/{written.json()['id']}", headers=login(ada))

    assert (written.status_code, read.status_code) == (201, 200)
    assert read.json() == written.json()
    assert (read.json()["title"], read.json()["text"]) == ("Milk", "Two litres")


async def test_a_note_may_have_no_text_and_any_characters(client, ada, login):
    answer = await client.post("/notes", json={"title": "☃ <b>'; DROP TABLE notes;--"}, headers=login(ada))

    assert answer.json()["title"] == "☃ <b>'; DROP TABLE notes;--"
    assert answer.json()["text"] == ""


async def test_a_note_shows_when_it_was_written(ada, write):
    note = await write(ada)

    written = datetime.fromisoformat(note["created_at"])
    assert abs(datetime.now(UTC) - written) < timedelta(minutes=5)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "no title"},
        {"title": ""},
        {"title": None},
        {"title": 1},
        {"title": "x" * 201},
        {"title": "x\0"},
        {"title": "x", "text": None},
        {"title": "x", "text": "x" * 10_001},
        [],
    ],
    ids=lambda body: str(body)[:30],
)
async def test_an_invalid_note_is_refused(client, ada, login, body):
    answer = await client.post("/notes", json=body, headers=login(ada))

    assert answer.status_code == 400
    assert (await client.get("/notes", headers=login(ada))).json() == NOTHING


async def test_the_owner_in_the_body_is_ignored(client, ada, eve, login):
    await client.post("/notes", json={"title": "x", "owner_id": ada.id}, headers=login(eve))

    assert (await client.get("/notes", headers=login(ada))).json() == NOTHING


async def test_writing_requires_a_verified_address(client, make_user, login):
    headers = login(await make_user("bob@example.com", is_verified=False))

    written = await client.post("/notes", json={"title": "Milk"}, headers=headers)
    read = await client.get("/notes", headers=headers)

    assert (written.status_code, read.status_code) == (403, 200)
    assert read.json() == NOTHING


# The list


async def test_the_list_shows_only_your_own_notes_newest_first(client, ada, eve, login, write):
    first, _, second = await write(ada, "first"), await write(eve, "hers"), await write(ada, "second")

    page = (await client.get("/notes", headers=login(ada))).json()

    assert page == {"items": [second, first], "next": None}


async def test_the_list_is_paginated(client, ada, login, write):
    one, two, three = [await write(ada, title) for title in ("one", "two", "three")]

    first = (await client.get("/notes", params={"limit": 2}, headers=login(ada))).json()
    second = (await client.get("/notes", params={"cursor": first["next"]}, headers=login(ada))).json()

    assert first["items"] == [three, two]
    assert second == {"items": [one], "next": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=", "cursor=x"])
async def test_an_invalid_page_is_refused(client, ada, login, query):
    assert (await client.get(f"/notes?{query}", headers=login(ada))).status_code == 400


# Deleting


async def test_a_deleted_note_is_gone(client, ada, login, write):
    note = await write(ada)

    answers = [await client.delete(f"/notes/{note['id']}", headers=login(ada)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert (await client.get("/notes", headers=login(ada))).json() == NOTHING


async def test_deleting_all_notes_deletes_only_your_own(client, ada, eve, login, write):
    _, _, hers = await write(ada, "one"), await write(ada, "two"), await write(eve, "hers")

    answer = await client.delete("/notes", headers=login(ada))

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await client.get("/notes", headers=login(ada))).json() == NOTHING
    assert (await client.get("/notes", headers=login(eve))).json()["items"] == [hers]


@pytest.mark.parametrize(
    ("early", "status", "left"), [(timedelta(microseconds=1), 204, 0), (timedelta(0), 403, 1)]
)
async def test_deleting_all_notes_requires_a_recent_login(
    client, ada, login, write, manager, monkeypatch, early, status, left
):
    await write(ada)
    begun = datetime(2026, 3, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: begun)
    headers = login(ada)

    monkeypatch.setattr(clock, "now", lambda: begun + manager.sessions.limits.recent - early)
    answer = await client.delete("/notes", headers=headers)

    assert answer.status_code == status
    assert len((await client.get("/notes", headers=headers)).json()["items"]) == left


async def test_deleting_the_account_deletes_its_notes(ada, write, manager, db):
    await write(ada)

    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, ada.id))

    async with db.session() as session:
        assert await session.scalar(select(func.count()).select_from(Note)) == 0


# Other users' notes


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_another_users_note_is_not_found(client, ada, eve, login, write, method):
    note = await write(ada)

    theirs = await client.request(method, f"/notes/{note['id']}", headers=login(eve))
    nobodys = await client.request(method, f"/notes/{note['id'] + 1}", headers=login(eve))

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
    assert (await client.get(f"/notes/{note['id']}", headers=login(ada))).status_code == 200


@pytest.mark.parametrize("note_id", ["0", "-1", "x", "1.5", "9223372036854775807", "9223372036854775808"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_impossible_id_is_not_found(client, ada, login, method, note_id):
    answer = await client.request(method, f"/notes/{note_id}", headers=login(ada))

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/notes"),
        ("POST", "/notes"),
        ("DELETE", "/notes"),
        ("GET", "/notes/1"),
        ("DELETE", "/notes/1"),
    ],
)
async def test_a_login_is_required(client, method, path):
    """The guard runs first, so the body is not even read."""
    answer = await client.request(method, path, content=b"not even JSON")

    assert answer.status_code == 401


async def test_a_disabled_account_cannot_access_its_notes(client, ada, login, db):
    headers = login(ada)
    async with db.session() as session:
        (await session.get_one(type(ada), ada.id)).is_active = False

    assert (await client.get("/notes", headers=headers)).status_code == 401

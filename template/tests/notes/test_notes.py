"""The notes: everybody sees and changes their own, and nobody else's."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from app.notes.models import Note


@pytest.fixture
def write(client, login):
    """`await write(user, "title")`: that user's new note, as it was answered."""

    async def note(user, title="A note", text="Its text"):
        body = {"title": title, "text": text}
        return (await client.post("/notes", json=body, headers=login(user))).json()

    return note


# Writing and reading


async def test_a_written_note_can_be_read(client, make_user, login):
    user = await make_user()

    written = await client.post("/notes", json={"title": "Milk", "text": "Two litres"}, headers=login(user))
    read = await client.get(f"/notes/{written.json()['id']}", headers=login(user))

    assert (written.status_code, read.status_code) == (201, 200)
    assert read.json() == written.json()
    assert (read.json()["title"], read.json()["text"]) == ("Milk", "Two litres")


async def test_a_note_may_have_no_text_and_any_characters(client, make_user, login):
    user = await make_user()

    answer = await client.post("/notes", json={"title": "☃ <b>'; DROP TABLE notes;--"}, headers=login(user))

    assert answer.json()["title"] == "☃ <b>'; DROP TABLE notes;--"
    assert answer.json()["text"] == ""


async def test_a_note_tells_when_it_was_written(make_user, write):
    note = await write(await make_user())

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
async def test_an_invalid_note_is_refused(client, make_user, login, body):
    user = await make_user()

    answer = await client.post("/notes", json=body, headers=login(user))

    assert answer.status_code == 400
    assert (await client.get("/notes", headers=login(user))).json() == []


async def test_the_owner_in_the_body_is_ignored(client, make_user, login):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")

    await client.post("/notes", json={"title": "x", "owner_id": ada.id}, headers=login(eve))

    assert (await client.get("/notes", headers=login(ada))).json() == []


# The list


async def test_the_list_holds_your_own_oldest_first(client, make_user, login, write):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    first, _, second = await write(ada, "first"), await write(eve, "hers"), await write(ada, "second")

    assert (await client.get("/notes", headers=login(ada))).json() == [first, second]


async def test_the_list_is_read_page_by_page(client, make_user, login, write):
    user = await make_user()
    notes = [await write(user, title) for title in ("one", "two", "three")]

    first = await client.get("/notes", params={"limit": 2}, headers=login(user))
    second = await client.get("/notes", params={"after": notes[1]["id"]}, headers=login(user))

    assert first.json() == notes[:2]
    assert second.json() == notes[2:]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=", "after=-1", "after=9223372036854775808"]
)
async def test_an_invalid_page_is_refused(client, make_user, login, query):
    assert (await client.get(f"/notes?{query}", headers=login(await make_user()))).status_code == 400


# Deleting


async def test_a_deleted_note_is_gone(client, make_user, login, write):
    user = await make_user()
    note = await write(user)

    answers = [await client.delete(f"/notes/{note['id']}", headers=login(user)) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert (await client.get("/notes", headers=login(user))).json() == []


async def test_notes_go_with_their_owners_account(make_user, write, manager, db):
    user = await make_user()
    await write(user)

    async with db.session() as session:
        await manager.delete(session, await manager.get_by_id(session, user.id))

    async with db.session() as session:
        assert await session.scalar(select(func.count()).select_from(Note)) == 0


# Whose


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_somebody_elses_note_looks_as_if_it_did_not_exist(client, make_user, login, write, method):
    ada, eve = await make_user("ada@example.com"), await make_user("eve@example.com")
    note = await write(ada)

    theirs = await client.request(method, f"/notes/{note['id']}", headers=login(eve))
    nobodys = await client.request(method, f"/notes/{note['id'] + 1}", headers=login(eve))

    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.content == nobodys.content
    assert (await client.get(f"/notes/{note['id']}", headers=login(ada))).status_code == 200


@pytest.mark.parametrize("note_id", ["0", "-1", "x", "1.5", "9223372036854775807", "9223372036854775808"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_id_that_cannot_be_is_not_found(client, make_user, login, method, note_id):
    answer = await client.request(method, f"/notes/{note_id}", headers=login(await make_user()))

    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/notes"), ("POST", "/notes"), ("GET", "/notes/1"), ("DELETE", "/notes/1")]
)
async def test_nobody_gets_in_without_a_login(client, method, path):
    """The guard stands before the body: what is sent is not even read."""
    answer = await client.request(method, path, content=b"not even JSON")

    assert answer.status_code == 401


async def test_a_disabled_account_reaches_its_notes_no_more(client, make_user, login, db):
    user = await make_user()
    headers = login(user)
    async with db.session() as session:
        (await session.get_one(type(user), user.id)).is_active = False

    assert (await client.get("/notes", headers=headers)).status_code == 401

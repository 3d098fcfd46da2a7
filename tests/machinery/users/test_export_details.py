"""The export is written in parts, each from a batch of rows."""

from ipaddress import IPv4Address
from types import SimpleNamespace

import msgspec
import pytest
from sqlalchemy import JSON, Column, ForeignKey, Integer, LargeBinary, String, Text, TypeDecorator, insert

from app.users import export
from app.users.audit import record
from app.users.routes import account
from app.users.schemas import Export


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(export, "BATCH", 2)


@pytest.fixture
def owner():
    """A new column that refers to an account."""
    return lambda: Column("user_id", String(36), ForeignKey("users.id", ondelete="CASCADE"))


@pytest.fixture
def exported(client, visit):
    """`await exported(user)`: the export of *user*."""

    async def read(user):
        answer = await client.get("/users/me/export", headers=(await visit(user)).headers)
        return msgspec.json.decode(answer.content, type=Export)

    return read


async def test_the_account_is_read_from_the_table(app, make_user):
    """A deferred column of your own is not loaded in the request's user."""
    user = await make_user()

    parts = [part async for part in export.everything_about(app.state, SimpleNamespace(id=user.id))]

    assert msgspec.json.decode(b"".join(parts), type=Export).account["email"] == user.email


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5])
async def test_every_row_and_every_event_is_in_the_export_once(db, make_user, exported, visit, number):
    user, other = await make_user(), await make_user("eve@example.com")
    sessions = {(await visit(user)).issued.session.id for _ in range(number)}
    await visit(other)
    async with db.session() as session:
        for each in range(number):
            record(session, "login", user.id, details={"number": each})

    found = await exported(user)

    # One session and one event belong to the export itself.
    ids = [row["id"] for row in found.related_records["user_sessions"]]
    assert (len(ids), set(ids) >= sessions, len(set(ids))) == (number + 1, True, number + 1)
    numbers = [event.details.get("number") for event in found.events]
    assert numbers == [None, *reversed(range(number))]


async def test_a_key_may_have_several_columns_or_none(make_user, exported, create_table, owner, db):
    user, other = await make_user(), await make_user("eve@example.com")
    seats = await create_table(
        "seats", Column("row", Integer, primary_key=True), Column("seat", Integer, primary_key=True), owner()
    )
    visits = await create_table("visits", Column("page", Integer), owner())
    places = [(row, seat) for row in range(3) for seat in range(3)]
    async with db.session() as session:
        mine = [{"row": row, "seat": seat, "user_id": user.id} for row, seat in places]
        await session.execute(insert(seats), [*mine, {"row": 9, "seat": 9, "user_id": other.id}])
        await session.execute(insert(visits), [{"page": page, "user_id": user.id} for page in range(5)])

    found = (await exported(user)).related_records

    assert [(each["row"], each["seat"]) for each in found["seats"]] == places
    assert sorted(each["page"] for each in found["visits"]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("kind", "size"), [(LargeBinary, 1), (Text, 20), (JSON, 20), (String(80), 500)])
async def test_rows_that_can_be_large_are_read_in_small_batches(
    app, make_user, create_table, owner, db, monkeypatch, kind, size
):
    monkeypatch.undo()
    user = await make_user()
    content = Column("content", kind)
    files = await create_table("files", Column("id", Integer, primary_key=True), content, owner())
    async with db.session() as session:
        await session.execute(insert(files), [{"id": number, "user_id": user.id} for number in range(501)])

    sizes = [len(rows) async for rows in export._rows(app.state, files, user.id)]

    assert (sizes[0], sum(sizes)) == (size, 501)


class Address(TypeDecorator[IPv4Address]):
    impl = String(15)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return str(value)

    def process_result_value(self, value, dialect):
        return IPv4Address(value)


async def test_a_value_without_a_json_type_is_text(make_user, exported, create_table, owner, db):
    user = await make_user()
    hosts = await create_table("hosts", Column("address", Address(), primary_key=True), owner())
    async with db.session() as session:
        await session.execute(insert(hosts).values(address=IPv4Address("192.0.2.1"), user_id=user.id))

    found = (await exported(user)).related_records

    assert [each["address"] for each in found["hosts"]] == ["192.0.2.1"]


async def test_no_connection_is_held_while_the_client_reads(app, make_user, visit):
    user = await make_user()
    for _ in range(5):
        await visit(user)
    pools, held, parts = [each.engine.pool for each in app.state.db.engines.values()], [], []

    async for part in export.everything_about(app.state, user):
        held.append(sum(pool.checkedout() for pool in pools))
        parts.append(part)

    assert len(parts) > 5
    assert set(held) == {0}


async def test_an_export_is_audited_before_it_is_sent(client, make_user, visit, events, monkeypatch):
    async def events_so_far(services, user):
        yield msgspec.json.encode([each.event for each in await events()])

    monkeypatch.setattr(account, "everything_about", events_so_far)
    headers = (await visit(await make_user())).headers

    assert (await client.get("/users/me/export", headers=headers)).json() == ["export"]

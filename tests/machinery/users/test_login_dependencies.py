"""Login dependencies such as `user: CurrentUser`, on small routes defined here."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest
from sqlalchemy import event

from app.database import Db
from app.main import create_app
from app.settings import Settings
from app.users import (
    CurrentSession,
    CurrentUser,
    OptionalUser,
    RecentLogin,
    Superuser,
    VerifiedUser,
)
from app.web import App

START = datetime(2030, 1, 1, 12, tzinfo=UTC)
MINUTE, MICROSECOND = timedelta(minutes=1), timedelta(microseconds=1)
GUARDED = ["current", "session", "verified", "super", "recent"]
EACH = pytest.mark.parametrize("name", GUARDED)
KINDS = pytest.mark.parametrize("kind", ["bearer", "cookie"])


class Text(msgspec.Struct):
    text: str = ""


def add_routes(app: App) -> None:
    """GET and POST for each dependency at `/try/<name>`, returning the id it provides."""

    @app.get("/try/current")
    async def current(user: CurrentUser) -> str:
        return user.id

    @app.post("/try/current", status_code=200)
    async def current_writes(user: CurrentUser, body: Text, db: Db) -> str:
        return user.id

    @app.get("/try/optional")
    async def optional(user: OptionalUser) -> str:
        return user.id if user is not None else "nobody"

    @app.post("/try/optional", status_code=200)
    async def optional_writes(user: OptionalUser, body: Text) -> str:
        return user.id if user is not None else "nobody"

    @app.get("/try/session")
    async def session(row: CurrentSession) -> str:
        return row.id

    @app.post("/try/session", status_code=200)
    async def session_writes(row: CurrentSession, body: Text) -> str:
        return row.id

    @app.get("/try/verified")
    async def verified(user: VerifiedUser) -> str:
        return user.id

    @app.post("/try/verified", status_code=200)
    async def verified_writes(user: VerifiedUser, body: Text) -> str:
        return user.id

    @app.get("/try/super")
    async def superuser(user: Superuser) -> str:
        return user.id

    @app.post("/try/super", status_code=200)
    async def superuser_writes(user: Superuser, body: Text) -> str:
        return user.id

    @app.get("/try/recent")
    async def recent(row: RecentLogin) -> str:
        return row.id

    @app.post("/try/recent", status_code=200)
    async def recent_writes(row: RecentLogin, body: Text) -> str:
        return row.id

    @app.get("/try/all")
    async def everything(
        user: VerifiedUser,
        root: Superuser,
        row: CurrentSession,
        recent: RecentLogin,
        maybe: OptionalUser,
        db: Db,
    ) -> list[str]:
        return [user.id, root.id, row.id, recent.id, maybe.id if maybe else ""]


@pytest.fixture(scope="module")
async def extended(settings: Settings, migrated: str):
    """The application with the routes above, and one connection to the database."""
    app = create_app(settings.model_copy(update={"database_pool_size": 1}))
    add_routes(app)
    yield app
    await app.state.db.dispose()
    app.state.users.hasher.close()


@pytest.fixture
async def http(app, extended):
    """A client of `extended`. *app* empties the tables afterwards."""
    transport = httpx.ASGITransport(app=extended)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def sent(extended):
    """The SQL statements that `extended` has sent so far, each as its first word."""
    seen = []

    def note(connection, cursor, statement, *rest):
        seen.append(statement.split()[0])

    engines = [each.engine.sync_engine for each in extended.state.db.engines.values()]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
def checked_out(extended):
    """`checked_out()`: how many connections to the database are in use."""
    pools = [each.engine.pool for each in extended.state.db.engines.values()]
    return lambda: sum(pool.checkedout() for pool in pools)


@pytest.fixture
def slowly(extended):
    """`await slowly(path, headers, look)`: POST without a body. When the application waits for the body,
    *look* is called and the client disconnects. Returns the status and the result of *look()*.
    """

    async def call(path, headers, look=lambda: None):
        seen, statuses = [], []

        async def receive():
            seen.append(look())
            return {"type": "http.disconnect"}

        async def send(message):
            statuses.extend([message["status"]] if "status" in message else [])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()]
            + [(b"content-type", b"application/json"), (b"content-length", b"100")],
            "client": ("203.0.113.9", 50000),
            "server": ("test", 80),
        }
        async with asyncio.timeout(5):
            await extended(scope, receive, send)
        return statuses, seen

    return call


# What each provides


@KINDS
@pytest.mark.parametrize("name", ["current", "verified", "super", "optional"])
async def test_the_dependency_provides_the_user(http, make_user, begin_session, headers_of, kind, name):
    user = await make_user(is_verified=True, is_superuser=True)
    headers = headers_of(await begin_session(user, kind=kind))

    answers = [
        await http.get(f"/try/{name}", headers=headers),
        await http.post(f"/try/{name}", headers=headers, json={}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert [answer.json() for answer in answers] == [user.id, user.id]


@KINDS
@pytest.mark.parametrize("name", ["session", "recent"])
async def test_the_dependency_provides_the_session(http, make_user, begin_session, headers_of, kind, name):
    issued = await begin_session(await make_user(), kind=kind)
    headers = headers_of(issued)

    answers = [
        await http.get(f"/try/{name}", headers=headers),
        await http.post(f"/try/{name}", headers=headers, json={}),
    ]

    assert [answer.json() for answer in answers] == [issued.session.id, issued.session.id]


@EACH
@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x"}, {"Cookie": "__Host-session=x", "Sec-Fetch-Site": "same-origin"}],
    ids=str,
)
async def test_the_response_without_a_login_is_401(http, name, headers):
    answers = [
        await http.get(f"/try/{name}", headers=headers),
        await http.post(f"/try/{name}", headers=headers, json={}),
    ]

    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert answers[0].headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x"}, {"Cookie": "__Host-session=x", "Sec-Fetch-Site": "same-origin"}],
    ids=str,
)
async def test_an_optional_login_is_none(http, headers):
    answers = [
        await http.get("/try/optional", headers=headers),
        await http.post("/try/optional", headers=headers, json={}),
    ]

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, "nobody")] * 2


@pytest.mark.parametrize("columns", [{"is_active": False}, {"password_version": 1}], ids=str)
async def test_an_optional_login_is_none_for_an_ended_session(
    http, make_user, begin_session, headers_of, change, columns
):
    user = await make_user()
    headers = headers_of(await begin_session(user))
    await change(user, **columns)

    assert (await http.get("/try/optional", headers=headers)).json() == "nobody"


@EACH
@pytest.mark.parametrize("columns", [{"is_active": False}, {"password_version": 1}], ids=str)
async def test_an_ended_session_is_401(http, make_user, begin_session, headers_of, change, name, columns):
    user = await make_user(is_verified=True, is_superuser=True)
    headers = headers_of(await begin_session(user))
    await change(user, **columns)

    assert (await http.get(f"/try/{name}", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("verified", {"is_verified": False, "is_superuser": True}),
        ("super", {"is_verified": True, "is_superuser": False}),
    ],
)
async def test_insufficient_rights_are_403(http, make_user, begin_session, headers_of, name, columns):
    headers = headers_of(await begin_session(await make_user(**columns)))

    answers = [
        await http.get(f"/try/{name}", headers=headers),
        await http.post(f"/try/{name}", headers=headers, json={}),
    ]

    assert [answer.status_code for answer in answers] == [403, 403]


@KINDS
@pytest.mark.parametrize(("age", "status"), [(10 * MINUTE - MICROSECOND, 200), (10 * MINUTE, 403)], ids=str)
async def test_a_recent_login_is_at_most_ten_minutes_old(
    http, make_user, begin_session, headers_of, set_clock, kind, age, status
):
    set_clock(START)
    headers = headers_of(await begin_session(await make_user(), kind=kind))

    set_clock(START + age)

    assert (await http.get("/try/recent", headers=headers)).status_code == status


async def test_an_old_login_is_reported_as_such(http, make_user, begin_session, headers_of, set_clock):
    """RFC 9470: a front end can distinguish this error from a missing permission."""
    set_clock(START)
    headers = headers_of(await begin_session(await make_user()))

    set_clock(START + 10 * MINUTE)
    answer = await http.get("/try/recent", headers=headers)

    assert "insufficient_user_authentication" in answer.headers["www-authenticate"]
    assert 'max_age="600"' in answer.headers["www-authenticate"]


# Before the body


@EACH
async def test_the_guard_refuses_before_the_body_is_read(slowly, name):
    statuses, seen = await slowly(f"/try/{name}", {})

    assert (statuses, seen) == ([401], [])


@pytest.mark.parametrize("name", ["verified", "super"])
async def test_the_guard_refuses_insufficient_rights_before_the_body_is_read(
    slowly, make_user, begin_session, headers_of, name
):
    headers = headers_of(await begin_session(await make_user()))

    statuses, seen = await slowly(f"/try/{name}", headers)

    assert (statuses, seen) == ([403], [])


async def test_the_guard_refuses_an_old_login_before_the_body_is_read(
    slowly, make_user, begin_session, headers_of, set_clock
):
    set_clock(START)
    headers = headers_of(await begin_session(await make_user()))

    set_clock(START + 10 * MINUTE)
    statuses, seen = await slowly("/try/recent", headers)

    assert (statuses, seen) == ([403], [])


@pytest.mark.parametrize("name", ["current", "optional"])
async def test_the_guard_refuses_another_site_before_the_body_is_read(
    slowly, make_user, begin_session, headers_of, name
):
    """Checklist 35."""
    cookie = headers_of(await begin_session(await make_user(), kind="cookie"))["Cookie"]

    statuses, seen = await slowly(f"/try/{name}", {"Cookie": cookie, "Sec-Fetch-Site": "cross-site"})

    assert (statuses, seen) == ([403], [])


# The database


@KINDS
@pytest.mark.parametrize("name", ["current", "optional", "session", "verified", "super", "recent", "all"])
async def test_user_and_session_come_in_one_query(
    http, make_user, begin_session, headers_of, sent, kind, name
):
    user = await make_user(is_verified=True, is_superuser=True)
    headers = headers_of(await begin_session(user, kind=kind))

    answer = await http.get(f"/try/{name}", headers=headers)

    assert answer.status_code == 200
    assert sent == ["SELECT"]


async def test_without_a_login_no_query_runs(http, sent):
    await http.get("/try/current")
    await http.get("/try/current", headers={"Authorization": "Bearer x"})
    await http.get("/try/current", headers={"Cookie": "__Host-session=x.y"})

    assert sent == []


@KINDS
@pytest.mark.parametrize("name", [*GUARDED, "optional"])
@pytest.mark.parametrize("age", [timedelta(), MINUTE], ids=["fresh", "due"])
async def test_no_connection_is_held_while_the_body_is_read(
    slowly, checked_out, make_user, begin_session, headers_of, set_clock, kind, name, age
):
    """A slow client must not exhaust the pool or block SQLite's other writers."""
    set_clock(START)
    user = await make_user(is_verified=True, is_superuser=True)
    headers = headers_of(await begin_session(user, kind=kind))

    set_clock(START + age)
    _, seen = await slowly(f"/try/{name}", headers, checked_out)

    assert seen == [0]


async def test_no_connection_is_held_after_a_refusal(http, checked_out, make_user, begin_session, headers_of):
    headers = headers_of(await begin_session(await make_user()))

    await http.post("/try/super", headers=headers, json={})

    assert checked_out() == 0


@KINDS
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("age", "seen"), [(MINUTE - MICROSECOND, timedelta()), (MINUTE, MINUTE)], ids=str)
async def test_every_method_records_that_the_session_was_seen(
    http, make_user, begin_session, headers_of, session_rows, set_clock, kind, method, age, seen
):
    """The session is updated once a minute. The pool has one connection, so a request that needed a second
    one would hang.
    """
    set_clock(START)
    headers = headers_of(await begin_session(await make_user(), kind=kind))

    set_clock(START + age)
    answer = await http.request(method, "/try/current", headers=headers, json={})

    [row] = await session_rows()
    assert answer.status_code == 200
    assert row.last_seen_at == START + seen


async def test_the_session_is_recorded_as_seen_even_if_the_response_is_an_error(
    http, make_user, begin_session, headers_of, session_rows, set_clock
):
    set_clock(START)
    headers = headers_of(await begin_session(await make_user()))

    set_clock(START + MINUTE)
    answer = await http.post("/try/current", headers=headers, json={"text": 1})

    [row] = await session_rows()
    assert answer.status_code == 400
    assert row.last_seen_at == START + MINUTE


async def test_concurrent_requests_record_the_session_with_one_connection(
    http, make_user, begin_session, headers_of, at_once, session_rows, set_clock
):
    set_clock(START)
    headers = headers_of(await begin_session(await make_user()))

    set_clock(START + MINUTE)
    statuses = await at_once(10, lambda: http.get("/try/current", headers=headers))

    [row] = await session_rows()
    assert statuses == [200] * 10
    assert row.last_seen_at == START + MINUTE


async def test_an_ended_session_is_not_recorded_as_seen(
    http, make_user, begin_session, headers_of, session_rows, set_clock
):
    set_clock(START)
    headers = headers_of(await begin_session(await make_user(), remember=False))

    set_clock(START + timedelta(days=1))
    await http.get("/try/current", headers=headers)

    [row] = await session_rows()
    assert row.last_seen_at == START


# The OpenAPI document


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("current", {"401"}),
        ("session", {"401"}),
        ("verified", {"401", "403"}),
        ("super", {"401", "403"}),
        ("recent", {"401", "403"}),
    ],
)
async def test_the_login_is_documented(extended, method, name, statuses):
    operation = extended.openapi()["paths"][f"/try/{name}"][method]

    assert sorted(map(str, operation["security"])) == ["{'bearer': []}", "{'session': []}"]
    assert statuses <= set(operation["responses"])


async def test_reading_without_special_rights_documents_one_reason_for_403(extended):
    refusal = extended.openapi()["paths"]["/try/current"]["get"]["responses"]["403"]

    assert refusal["description"].startswith("`second_factor_setup_required`: ")
    assert refusal["description"].count("`") == 2


async def test_an_optional_login_never_returns_401(extended):
    assert "401" not in extended.openapi()["paths"]["/try/optional"]["get"]["responses"]


async def test_an_optional_login_is_documented_as_optional(extended):
    operation = extended.openapi()["paths"]["/try/optional"]["get"]

    assert {} in operation["security"]
    assert {"bearer": []} in operation["security"]
    assert {"session": []} in operation["security"]


async def test_the_security_schemes_are_documented(extended):
    schemes = extended.openapi()["components"]["securitySchemes"]

    assert (schemes["bearer"]["type"], schemes["bearer"]["scheme"]) == ("http", "bearer")
    assert (schemes["session"]["in"], schemes["session"]["name"]) == ("cookie", "__Host-session")

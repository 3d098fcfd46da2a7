"""DATABASE_FAST_PATHS: an account behaves the same with and without them."""

import os
import subprocess
import sys
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import update

from app import clock
from app.database import Db
from app.main import create_app
from app.users import User, UserSession
from tests.conftest import PROJECT, make_client

pytestmark = pytest.mark.usefixtures("quick_hashing")

ADA = {"email": "ada@example.com", "password": "correct horse battery"}


@pytest_asyncio.fixture(loop_scope="session", params=[True, False], ids=["fast", "plain"])
async def other_app(app, settings, request):
    """An application on the same database, with or without fast paths. *app* empties the tables later."""
    other = create_app(settings.model_copy(update={"database_fast_paths": request.param}))
    yield other
    await other.state.db.dispose()
    other.state.users.hasher.close()


@pytest_asyncio.fixture(loop_scope="session")
async def http(other_app):
    async with make_client(other_app) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def tokens(http):
    """The response to Ada's login."""
    await http.post("/users/register", json=ADA)
    response = await http.post("/users/login", json=ADA)
    assert response.status_code == 200
    return response.json()


def bearer(tokens):
    return {"Authorization": f"Bearer {tokens['access_token']}"}


async def test_registration_login_and_me_work(http, tokens):
    me = await http.get("/users/me", headers=bearer(tokens))

    assert (me.status_code, me.json()["email"]) == (200, "ada@example.com")


async def test_me_supports_head(http, tokens):
    me = await http.head("/users/me", headers=bearer(tokens))

    assert (me.status_code, me.content) == (200, b"")


async def test_a_refresh_keeps_the_session(http, tokens):
    refresh = await http.post("/users/token/refresh", json={"refresh_token": tokens["refresh_token"]})

    sessions = await http.get("/users/me/sessions", headers=bearer(refresh.json()))
    assert (sessions.status_code, len(sessions.json())) == (200, 1)


async def test_a_logout_ends_the_session(http, tokens):
    assert (await http.post("/users/logout", headers=bearer(tokens))).status_code == 204

    assert (await http.get("/users/me", headers=bearer(tokens))).status_code == 401


async def test_a_wrong_password_is_refused(http, tokens):
    assert (await http.post("/users/login", json=ADA | {"password": "wrong"})).status_code == 401


async def test_a_get_records_when_a_session_was_seen(http, tokens, db, session_rows):
    """The bookkeeping for a GET runs in a separate transaction."""
    before = clock.now() - timedelta(hours=1)
    async with db.session() as session:
        await session.execute(update(UserSession).values(last_seen_at=before))

    assert (await http.get("/users/me", headers=bearer(tokens))).status_code == 200

    (row,) = await session_rows()
    assert row.last_seen_at > before


async def test_a_get_that_adds_a_row_fails(other_app, http, accounts):
    @other_app.get("/adding", status_code=200)
    async def handler(db: Db) -> None:
        db.add(User(email="eve@example.com", hashed_password="x"))

    assert (await http.get("/adding")).status_code == 500
    assert (await http.head("/adding")).status_code == 500
    assert await accounts() == []


@pytest.mark.parametrize(("value", "expected"), [("true", "True"), ("false", "False")])
def test_private_apis_are_imported_only_if_fast_paths_are_on(tmp_path, value, expected):
    script = (
        "import sys; from app.main import create_app; create_app();"
        "from app.users import sessions;"
        "print(any(name == 'app.database.fast_paths' for name in sys.modules))"
    )
    environment = {
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'own.db'}",
        "DATABASE_FAST_PATHS": value,
        "ENVIRONMENT": "test",
        "SECRET_KEY": "fast paths " * 4,
    }

    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == [expected]

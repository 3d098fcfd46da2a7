"""The SQLite file is moved away or damaged while the application is running."""

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from app.database import Db
from app.web import health


@pytest.fixture
def file(tmp_path):
    return tmp_path / "own.db"


@pytest.fixture
def settings(settings, file):
    """An SQLite database, whichever database the other tests use."""
    return settings.model_copy(update={"database_url": SecretStr(f"sqlite+aiosqlite:///{file}")})


@pytest.fixture
def kept(stored, thing):
    """An application that reads and writes things in the file."""
    stored.include_router(health.router)

    @stored.get("/things", status_code=200)
    async def read(db: Db) -> list[str]:
        return list(await db.scalars(select(thing.name)))

    @stored.post("/things/{name}", status_code=201)
    async def write(name: str, db: Db) -> None:
        db.add(thing(name=name))

    return stored


async def test_the_application_is_not_ready_without_its_file(kept, stored_http, file):
    assert (await stored_http.get("/readyz")).status_code == 200
    file.rename(file.with_suffix(".away"))

    answer = await stored_http.get("/readyz")

    body = {"status": "not ready", "checks": {"database": False}}
    assert (answer.status_code, answer.json()) == (503, body)
    file.with_suffix(".away").rename(file)
    assert (await stored_http.get("/readyz")).status_code == 200


async def test_a_file_that_was_moved_away_is_not_recreated(kept, stored_http, file):
    assert (await stored_http.post("/things/a")).status_code == 201
    await kept.state.db.dispose()
    file.rename(file.with_suffix(".away"))

    assert (await stored_http.get("/things")).status_code == 503
    assert (await stored_http.post("/things/b")).status_code == 503
    assert not file.exists()

    file.with_suffix(".away").rename(file)
    assert (await stored_http.post("/things/c")).status_code == 201
    assert (await stored_http.get("/things")).json() == ["a", "c"]


async def test_with_a_damaged_file_readyz_and_other_requests_are_503(kept, stored_http, file):
    assert (await stored_http.post("/things/a")).status_code == 201
    # Writes the write-ahead log into the file.
    await kept.state.db.dispose()
    whole = file.read_bytes()
    file.write_bytes(b"damage" * (len(whole) // 6))

    assert (await stored_http.get("/readyz")).status_code == 503
    assert (await stored_http.get("/things")).status_code == 503
    assert (await stored_http.post("/things/b")).status_code == 503

    file.write_bytes(whole)
    assert (await stored_http.post("/things/c")).status_code == 201
    assert (await stored_http.get("/readyz")).status_code == 200

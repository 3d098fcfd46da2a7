"""When code or SQL sets a password, no token survives. Advisory 50."""

import asyncio
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from app.cli import cli
from app.users import User
from app.users.passwords.hashing import hash_password

NEW = "a brand new password"
INVITATION = {"invitation"}


@pytest.fixture
def command(settings, monkeypatch):
    """`await command("users", "list")`: the command line, on the database of the tests."""
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("MAIL_BACKEND", "memory")
    monkeypatch.setenv("SECRET_KEY", settings.secret_key.get_secret_value())
    monkeypatch.setenv("DATABASE_URL", settings.database_url.get_secret_value())

    async def run(*arguments):
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments)

    return run


async def by_the_manager(it):
    async with it.db.session() as session:
        await it.manager.update(session, await session.get_one(User, it.user.id), password=NEW)


async def by_the_command_line(it):
    assert (await it.command("users", "require-reset", "ada@example.com")).exit_code == 0


async def by_sql_as_the_page_says(it):
    """Update the hash and the version in one statement, as described in SECURITY.md."""
    statement = (
        "UPDATE users SET hashed_password = :hashed, password_version = password_version + 1"
        " WHERE email = 'ada@example.com'"
    )
    async with it.db.session() as session:
        await session.execute(text(statement), {"hashed": hash_password(NEW)})


@pytest.mark.parametrize("overwritten", [by_the_manager, by_the_command_line, by_sql_as_the_page_says])
async def test_a_password_set_in_code_invalidates_all_tokens(
    db, manager, command, make_user, every_token, overwritten
):
    """Checklist 21. Advisory 50."""
    user = await make_user()
    good = await every_token(user)

    await overwritten(SimpleNamespace(db=db, manager=manager, command=command, user=user))

    assert await good() == INVITATION


async def test_a_hash_written_directly_keeps_tokens_valid(client, db, make_user, every_token):
    """SECURITY.md documents this, and what else to update."""
    user = await make_user()
    good = await every_token(user)

    async with db.session() as session:
        await session.execute(
            text("UPDATE users SET hashed_password = :hashed"), {"hashed": hash_password(NEW)}
        )

    old, new = [
        await client.post("/users/login", json={"email": user.email, "password": password})
        for password in ("correct horse battery", NEW)
    ]
    assert (old.status_code, new.status_code) == (401, 200)
    assert {"access", "refresh", "cookie", "reset"} < await good()

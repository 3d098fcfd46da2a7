"""A new SECRET_KEY and authenticator apps: `app db reseal` makes the earlier key unnecessary."""

import asyncio
from hashlib import sha256

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from app.cli import cli
from app.mail import OutboxMessage
from app.settings import Settings
from app.totp.models import TotpSecret
from tests.users.conftest import other_app as other_app
from tests.users.conftest import other_client as other_client

OLD = sha256(b"the secret of the tests").hexdigest()
NEW = sha256(b"a new secret").hexdigest()


@pytest.fixture
def reseal(monkeypatch, database_url):
    """`await reseal("--check", fallbacks=OLD)`: run the command with the new key."""

    async def run(*options, fallbacks=OLD):
        for field in Settings.model_fields:
            monkeypatch.delenv(field.upper(), raising=False)
        for name, value in {
            "ENVIRONMENT": "test",
            "SECRET_KEY": NEW,
            "SECRET_KEY_FALLBACKS": fallbacks,
            "DATABASE_URL": database_url,
            "MAIL_BACKEND": "memory",
        }.items():
            monkeypatch.setenv(name, value)
        return await in_thread(CliRunner().invoke, cli, ["db", "reseal", *options])

    return run


async def in_thread(function, *arguments):
    """The command has its own event loop."""
    return await asyncio.to_thread(function, *arguments)


@pytest.fixture
def confirm(owner, other_client):
    """`await confirm(fallbacks=[OLD])`: whether the app's codes work in an application with the new key."""

    async def run(**changes):
        client = await other_client(secret_key=NEW, **changes)
        body = {"email": owner.user.email, "password": "correct horse battery"}
        asked = (await client.post("/users/login", json=body)).json()
        answer = {"ticket": asked["ticket"], "code": owner.code()}
        return (await client.post("/users/login/second-factor", json=answer)).status_code

    return run


@pytest.fixture
def stored(db):
    async def read():
        async with db.session(commit=False) as session:
            return await session.scalar(select(TotpSecret.sealed_secret))

    return read


@pytest.mark.parametrize(("changes", "status"), [({"secret_key_fallbacks": OLD}, 200), ({}, 401)])
async def test_codes_work_while_the_earlier_key_is_kept(confirm, changes, status):
    assert await confirm(**changes) == status


async def test_after_the_command_codes_work_without_the_earlier_key(confirm, reseal, stored):
    before = await stored()

    result = await reseal()

    assert result.exit_code == 0, result.output
    assert "totp_secrets.sealed_secret: 1 encrypted again\n" in result.output
    assert "Nothing in the database needs SECRET_KEY_FALLBACKS." in result.output
    assert await stored() != before
    assert await confirm() == 200


async def test_a_second_run_changes_nothing(owner, reseal, stored):
    await reseal()
    before = await stored()

    result = await reseal(fallbacks="")

    assert "totp_secrets.sealed_secret: 1 with SECRET_KEY\n" in result.output
    assert result.exit_code == 0
    assert await stored() == before


async def test_check_counts_what_is_left(owner, reseal, stored):
    before = await stored()

    result = await reseal("--check")

    assert result.exit_code == 1
    # The notice about the new factor waits in the outbox.
    assert "2 of the values still need SECRET_KEY_FALLBACKS" in result.stderr
    assert await stored() == before


async def test_values_that_no_key_decrypts_are_kept_and_counted(owner, reseal, stored):
    before = await stored()

    result = await reseal(fallbacks="")

    assert result.exit_code == 1
    assert "sealed_secret: 1 unreadable\n" in result.output
    assert "2 of the values cannot be decrypted with any known secret." in result.stderr
    assert await stored() == before


async def test_mails_are_encrypted_again(owner, reseal):
    assert "mail_outbox.message: 1 encrypted again\n" in (await reseal()).output
    assert "mail_outbox.message: 1 with SECRET_KEY\n" in (await reseal(fallbacks="")).output


async def test_a_mail_without_content_needs_no_key(owner, reseal, db):
    """The link in it has expired."""
    async with db.session() as session:
        await session.execute(update(OutboxMessage).values(message=""))

    assert "mail_outbox.message: empty\n" in (await reseal()).output


async def test_many_rows_take_several_batches(make_owner, reseal, monkeypatch):
    monkeypatch.setattr("app.cli.resealing._BATCH", 2)
    for number in range(5):
        await make_owner(f"user{number}@example.com")

    result = await reseal()

    assert "5 encrypted again" in result.output


async def test_a_secret_written_during_the_command_is_kept(owner, db, reseal, stored, monkeypatch):
    """The command read the row before the user set up the app again."""
    from app.cli import resealing

    read = resealing._rows_after

    async def then_change(session, column, last):
        rows = await read(session, column, last)
        if rows:
            await session.execute(update(TotpSecret).values(sealed_secret="newer"))
        return rows

    monkeypatch.setattr(resealing, "_rows_after", then_change)

    await reseal()

    assert await stored() == "newer"

"""`app users show` and `reset-factors`: for an owner who has lost their second factors."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from typer.testing import CliRunner

from app.cli import users as commands
from app.second_factors.routes import factors_of
from app.users.emails import NOTICES_OF_FEATURES


@pytest.fixture
def run(build_app, sample, monkeypatch):
    """`await run("reset-factors", ...)`: the command's output. The command has its own event loop."""

    @asynccontextmanager
    async def transaction():
        app = build_app()
        monkeypatch.setattr(factors_of(app.state.users), "_factors", {})
        factors_of(app.state.users).add(sample)
        async with app.state.db.session() as session:
            yield app.state.users, session
        await app.state.db.dispose()

    async def invoke(*arguments):
        return (await asyncio.to_thread(CliRunner().invoke, commands.cli, arguments)).output

    monkeypatch.setattr(commands, "_transaction", transaction)
    return invoke


async def test_the_command_removes_and_names_the_factors(owner, person, run, headings):
    output = await run("reset-factors", "ada@example.com")

    assert (
        output == "Removed the second factors of ada@example.com: sample. The owner is notified by e-mail.\n"
    )
    assert (await person.password()).status_code == 200
    assert (await headings())[-1] == NOTICES_OF_FEATURES["factors_reset"].heading


async def test_the_account_is_shown_with_its_factors(owner, person, run):
    logged_in = await person.answer(await person.ticket(), code=owner.code())

    lines = (await run("show", "ada@example.com")).splitlines()
    data = json.loads(await run("show", owner.user.id, "--json"))

    assert logged_in.status_code == 200
    assert "Second factors  sample" in lines
    assert "Recovery codes  10 left" in lines
    assert (data["second_factors"], data["recovery_codes_left"]) == (["sample"], 10)
    assert data["last_login"] == {
        "at": "2030-01-01T12:00:00+00:00",
        "method": "sample",
        "ip_address": data["last_login"]["ip_address"],
        "browser": data["last_login"]["browser"],
    }


async def test_an_account_without_a_factor_has_no_recovery_codes(make_user, sample, run):
    await make_user("bob@example.com")

    lines = (await run("show", "bob@example.com")).splitlines()

    assert lines[-1] == "Second factors  none"


# Your own tests go below; template updates never touch them.

"""`app users reset-factors`: for an owner who has lost the factors."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from typer.testing import CliRunner

from app.cli import users as commands
from app.second_factors.routes import factors_of


@pytest.fixture
def run(build_app, sample, monkeypatch):
    """`await run("reset-factors", ...)`: what the command prints. It has an event loop of its own."""

    @asynccontextmanager
    async def transaction():
        app = build_app()
        factors_of(app.state.users).add(sample)
        async with app.state.db.session() as session:
            yield app.state.users, session
        await app.state.db.dispose()

    async def invoke(*arguments):
        return (await asyncio.to_thread(CliRunner().invoke, commands.cli, arguments)).output

    monkeypatch.setattr(commands, "_transaction", transaction)
    return invoke


async def test_it_removes_the_factors_and_names_them(owner, person, run, headings):
    output = await run("reset-factors", "ada@example.com")

    assert output == "Removed the second factors of ada@example.com: sample. Its owner gets a mail.\n"
    assert (await person.password()).status_code == 200
    assert (await headings())[-1] == "Your second factors were removed"

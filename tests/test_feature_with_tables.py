"""A feature with a table is added, used, removed and added again, while a deployment's database lags behind.

The project develops with PostgreSQL and is deployed with SQLite, so one run covers both.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import clean_environment, commit, project_of_template, run, uv_in
from personas.updating import RENDERING_ONCE, project_of
from planted_feature import NAME, TABLE

FILL = """
import asyncio
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from app.ledger import Entry
from app.settings import load_settings
from app.users.models import User

async def fill():
    engine = create_async_engine(load_settings().database_url.get_secret_value())
    async with AsyncSession(engine) as session:
        user = User(email="ada@example.com", hashed_password="")
        session.add(user)
        await session.flush()
        session.add(Entry(user_id=user.id, cents=500))
        await session.commit()
    await engine.dispose()

asyncio.run(fill())
"""


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_feature_with_a_table_comes_goes_and_comes_back(
    planted: Path, python: Path, database: str, tmp_path: Path
):
    rendered = project_of_template(planted, tmp_path / "rendered", docker=False, example=False)
    project = project_of(rendered, tmp_path / "project")
    deployment = f"sqlite+aiosqlite:///{tmp_path / 'deployment.db'}"

    def change(*command: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-P", RENDERING_ONCE, *command, "--skip-tests", "--yes"],
            cwd=project,
            env=clean_environment() | uv_in(python) | {"DATABASE_URL": database},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        commit(project, " ".join(command))
        return done.returncode, done.stdout

    def app(*command: str, url: str = database) -> str:
        return run(python, "-m", "app.cli", *command, cwd=project, env={"DATABASE_URL": url})

    def rows(url: str) -> object:
        found = json.loads(app("db", "tables", "--json", url=url))
        return {each["name"]: each["rows"] for each in found}.get(TABLE, "no such model")

    added = change("add", NAME)
    run(python, "-c", FILL, cwd=project, env={"DATABASE_URL": database})
    app("db", "upgrade", url=deployment)
    refused = change("remove", NAME)
    dropped = change("remove", NAME, "--export", str(tmp_path / "ledger.jsonl"))
    app("db", "upgrade", url=deployment)
    app("db", "check", url=deployment)
    gone = rows(deployment)
    added_again = change("add", NAME)
    app("db", "upgrade", url=deployment)

    exported = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [(each["table"], each.get("row", {}).get("cents")) for each in exported] == [
        (TABLE, None),
        (TABLE, 500),
    ]
    assert (refused[0], f"{TABLE}: 1 row\n" in refused[1]) == (1, True)
    assert (added[0], dropped[0], added_again[0]) == (0, 0, 0), added[1] + dropped[1] + added_again[1]
    assert (gone, rows(database), rows(deployment)) == ("no such model", 0, 0)

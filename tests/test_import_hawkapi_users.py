"""Follows `docs/from-hawkapi-users.md` exactly, with databases created by the real libraries."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY, Render, environment_of, missing, run
from test_upgrade import USE

PAGE = (REPOSITORY / "docs" / "from-hawkapi-users.md").read_text("utf-8")
LIBRARY = REPOSITORY / "tests" / "import_hawkapi_users" / "library.py"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
_, WRITE_MIGRATION, BACK_UP_SQLITE, BACK_UP_POSTGRESQL, IMPORT, IMPORT_WITH_MIGRATION, _ = BLOCKS
PEOPLE = [
    {"email": "Ada@example.com", "password": "correct horse battery"},
    {"email": "eve@example.com", "password": "kitten"},
    {"email": "kim@bücher.example", "password": "another horse battery"},
]
"""The accounts of `library.py`. The last one is disabled."""

CREATE_DATABASE = """
import asyncio, sys, asyncpg

async def create(server, name):
    connection = await asyncpg.connect(server)
    await connection.execute(f'CREATE DATABASE "{name}"')
    await connection.close()

asyncio.run(create(*sys.argv[1:]))
"""
READ = """
import asyncio, json
from datetime import UTC
from sqlalchemy import select
from app.cli.common import application
from app.users import User

async def read():
    names = ("id", "is_active", "is_verified", "is_superuser", "password_version")
    async with application() as app, app.state.db.session() as session:
        users = await session.scalars(select(User).order_by(User.id))
        print(json.dumps([
            {name: getattr(user, name) for name in names}
            | {name: getattr(user, name).astimezone(UTC).isoformat() for name in ("created_at", "updated_at")}
            for user in users
        ]))

asyncio.run(read())
"""
UV = """#!/bin/sh
# uv run app … | uv run python …
command=$2
shift 2
[ "$command" = app ] && exec {python} -m app.cli "$@"
exec {python} "$@"
"""
ORDERS = '''
"""Orders, as the old application had them."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(String(36), ForeignKey("users.id", ondelete="CASCADE"))


def install(app):
    """There are no routes to mount."""
'''
NICKNAME = "    nickname: Mapped[str | None] = mapped_column(String(40), default=None)\n"
SEAM = "    # Your own columns go below; template updates never touch them.\n"


type Library = Callable[..., Any]


@pytest.fixture
def library(old_database: str) -> Library:
    """`library("accounts", "register")`: the output of `library.py` with a version of hawkapi-users."""
    url = old_database.replace("postgresql://", "postgresql+asyncpg://")

    def call(table: str, *arguments: str, version: str = "0.2.0") -> Any:
        packages = [f"hawkapi-users=={version}", "aiosqlite", "asyncpg", "greenlet", "httpx"]
        try:
            python = environment_of("library", " ".join(packages).encode(), *packages)
        except pytest.fail.Exception as failure:
            missing(f"hawkapi-users {version} could not be installed: {str(failure)[-300:]}")
        output = run(python, LIBRARY, url, table, *arguments, cwd=REPOSITORY)
        return json.loads(output.splitlines()[-1])

    return call


@pytest.fixture
def old_database(request: pytest.FixtureRequest, project: Path, database: str, python: Path) -> Iterator[str]:
    """The URL of an empty database: the project's data/app.db, or a database on a PostgreSQL server."""
    if database.startswith("sqlite"):
        (project / "data").mkdir()
        yield f"sqlite+aiosqlite:///{project / 'data' / 'app.db'}"
        return
    server, _, name = database.rpartition("/")
    run(python, "-c", CREATE_DATABASE, f"{server}/postgres", name, cwd=REPOSITORY)
    yield database


@pytest.fixture
def project(compiled: Render) -> Path:
    return compiled(from_hawkapi_users=True)


type Follow = Callable[[str], str]


@pytest.fixture
def follow(project: Path, old_database: str, python: Path, tmp_path: Path) -> Follow:
    """Run a block from the page. `uv run` uses the shared environment, and prompts are answered with yes."""
    uv = tmp_path / "bin" / "uv"
    uv.parent.mkdir()
    uv.write_text(UV.format(python=python))
    uv.chmod(0o755)
    env = {"PATH": f"{uv.parent}{os.pathsep}{os.environ['PATH']}", "DATABASE_URL": old_database}
    return lambda block: run("sh", "-e", "-c", f"yes | {{\n{block}\n}}", cwd=project, env=env)


@pytest.fixture
def in_project(project: Path, old_database: str, python: Path) -> Library:
    """`in_project(READ)`: the output of a program that uses the generated application and the database."""

    def call(program: str, *arguments: str) -> Any:
        env = {"DATABASE_URL": old_database}
        return json.loads(run(python, "-c", program, *arguments, cwd=project, env=env).splitlines()[-1])

    return call


@pytest.mark.parametrize(("version", "table"), [("0.1.*", "accounts"), ("0.2.0", "users")])
def test_imported_users_log_in_with_their_passwords(
    library: Library, in_project: Library, follow: Follow, version: str, table: str
):
    accounts = library(table, "register", version=version)

    follow(IMPORT.replace("accounts", table))

    assert in_project(READ) == accounts
    logins = [["POST", "/users/login", person, {}] for person in PEOPLE]
    answers = in_project(USE, json.dumps(logins))
    assert [status for status, _ in answers] == [200, 200, 401]
    assert {answer["id"] for _, answer in answers[:2]} < {account["id"] for account in accounts}


def test_the_library_runs_on_the_imported_table(library: Library, follow: Follow):
    library("accounts", "register")
    follow(IMPORT)

    # The third account is disabled.
    assert library("users", "login") == [200, 200, 401]


def test_custom_columns_and_tables_are_imported(library: Library, project: Path, follow: Follow):
    library("accounts", "register", "--own")
    (project / "app" / "orders").mkdir()
    (project / "app" / "orders" / "__init__.py").write_text(ORDERS.lstrip())
    models = project / "app" / "users" / "models.py"
    models.write_text(models.read_text().replace(SEAM, SEAM + NICKNAME, 1))
    before = set(project.glob("migrations/versions/*.py"))

    follow(WRITE_MIGRATION)
    [written] = set(project.glob("migrations/versions/*.py")) - before
    revision = re.search(r'^revision.*= "(\w+)"', written.read_text(), re.MULTILINE)[1]
    shown = follow(IMPORT_WITH_MIGRATION.replace("REVISION", revision))

    assert f"recorded as applied: users_0001, {revision}." in shown
    assert "keeps your own" not in shown
    assert "Imported." in shown
    follow("uv run app db check")


def test_the_backup_equals_the_old_database(
    library: Library, project: Path, old_database: str, follow: Follow
):
    if not shutil.which("pg_dump"):
        missing("pg_dump is not installed")
    library("accounts", "register")
    url = old_database.replace("postgresql+asyncpg://", "postgresql://")
    block = BACK_UP_SQLITE if url.startswith("sqlite") else BACK_UP_POSTGRESQL

    follow(block.replace("postgresql://user:password@host/name", url))

    [backup] = project.glob("before-import.*")
    assert b"accounts" in backup.read_bytes()

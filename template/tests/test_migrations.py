"""Migrations can be applied and reverted and match the models. New revisions continue your own branch."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import (
    Column,
    Connection,
    Integer,
    Table,
    inspect,
    make_url,
    text,
)
from sqlalchemy.ext.asyncio import create_async_engine

from app.database import Base

PROJECT = Path(__file__).parent.parent


def execute[T](url: str, action: Callable[[Connection], T], **options: Any) -> T:
    """The result of calling *action* with a connection to the database at *url*."""

    async def run() -> T:
        engine = create_async_engine(url, **options)
        async with engine.begin() as connection:
            result = await connection.run_sync(action)
        await engine.dispose()
        return result

    return asyncio.run(run())


def tables(url: str) -> set[str]:
    return execute(url, lambda connection: set(inspect(connection).get_table_names()))


@pytest.fixture
def empty_database(database_url: str, tmp_path: Path) -> Iterator[str]:
    """The URL of a new, empty database of the kind that the other tests use."""
    if database_url.startswith("sqlite"):
        yield f"sqlite+aiosqlite:///{tmp_path / 'empty.db'}"
        return
    name = f"test_{uuid4().hex[:12]}"
    on_server = {"isolation_level": "AUTOCOMMIT"}
    execute(database_url, lambda connection: connection.execute(text(f"CREATE DATABASE {name}")), **on_server)
    yield make_url(database_url).set(database=name).render_as_string(hide_password=False)
    execute(database_url, lambda connection: connection.execute(text(f"DROP DATABASE {name}")), **on_server)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project to write revisions into."""
    copy = tmp_path / "project"
    for folder in ("app", "migrations"):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", copy)
    return copy


@pytest.fixture
def config(project: Path, empty_database: str) -> Config:
    """Alembic's configuration for the copy of the project and the empty database."""
    config = Config(toml_file=project / "pyproject.toml")
    config.attributes["database_url"] = empty_database
    return config


@pytest.fixture
def new_table() -> Iterator[Table]:
    """A model without a revision."""
    table = Table("orders_of_a_test", Base.metadata, Column("id", Integer, primary_key=True))
    yield table
    Base.metadata.remove(table)


def revise(config: Config, message: str, **options: Any) -> Script:
    """Writes a revision, as `alembic revision -m "..."` does."""
    script = command.revision(config, message, **options)
    assert isinstance(script, Script)
    return script


# The revisions

MERGES_BRANCHES = """
{path} merges the branches {branches}. The template's next migrations continue their own branch,
which no longer has its own head. (Two heads of one branch may be merged.) To undo the merge:
1. In every database, while the file is still there: uv run app db upgrade
2. Delete the file. Where a revision says down_revision = "{revision}", write down_revision = "{parent}".
3. In every database, before you add a migration: uv run alembic stamp --purge heads
"""

SEVERAL_HEADS = """
The branch {label} has several heads: {heads}. If both are yours: uv run alembic merge -m "merge" {heads}
Move revisions that you put into a feature's folder to migrations/versions, on the branch app.
"""


def branches_of(scripts: ScriptDirectory, revision: str) -> set[str]:
    return set(scripts.get_revision(revision).branch_labels)


def merges_of_branches(scripts: ScriptDirectory) -> Iterator[str]:
    """Instructions for undoing each revision that merges branches, such as one from `alembic merge heads`."""
    for script in scripts.walk_revisions():
        if script.is_merge_point and len(script.branch_labels) > 1:
            parents = [each for each in script.down_revision if "app" in branches_of(scripts, each)]
            yield MERGES_BRANCHES.format(
                path=Path(script.path).relative_to(Path(scripts.dir).parent),
                branches=" and ".join(sorted(script.branch_labels)),
                revision=script.revision,
                parent=parents[0] if parents else "app_0001",
            )


def heads_by_branch(scripts: ScriptDirectory) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for head in sorted(scripts.get_heads()):
        for branch in branches_of(scripts, head) or {"without a label"}:
            found.setdefault(branch, []).append(head)
    return found


def several_heads(heads: dict[str, list[str]]) -> Iterator[str]:
    """Instructions for every branch that has several heads."""
    for label, found in heads.items():
        if len(found) > 1:
            yield SEVERAL_HEADS.format(label=label, heads=" ".join(found))


def test_no_migration_merges_two_branches(config: Config) -> None:
    advice = "".join(merges_of_branches(ScriptDirectory.from_config(config)))

    assert not advice, advice


def test_every_branch_has_a_label_and_one_head(config: Config) -> None:
    heads = heads_by_branch(ScriptDirectory.from_config(config))

    advice = "".join(several_heads(heads))
    assert not advice, advice
    assert "app" in heads
    assert "without a label" not in heads


def test_upgrading_creates_the_table_of_every_model(config: Config, empty_database: str) -> None:
    command.upgrade(config, "heads")

    assert tables(empty_database) == {*Base.metadata.tables, "alembic_version"}


def test_the_migrations_and_the_models_agree(config: Config) -> None:
    command.upgrade(config, "heads")

    command.check(config)


def test_downgrade_and_upgrade_restore_the_schema(config: Config, empty_database: str) -> None:
    command.upgrade(config, "heads")

    command.downgrade(config, "base")
    afterwards = tables(empty_database)
    command.upgrade(config, "heads")

    assert afterwards == {"alembic_version"}
    command.check(config)


# New revisions


@pytest.mark.usefixtures("new_table")
def test_a_new_revision_continues_your_own_branch(config: Config, project: Path) -> None:
    command.upgrade(config, "heads")
    before = ScriptDirectory.from_config(config).get_revision("app@head")

    script = revise(config, "add orders", autogenerate=True)

    assert Path(script.path).parent == project / "migrations" / "versions"
    assert script.down_revision == before.revision
    assert "op.create_table" in Path(script.path).read_text()


# Upgrading from one release to the next, with existing rows


def orders(url: str) -> list[str]:
    query = text("SELECT user_id FROM orders_of_a_test ORDER BY user_id")
    return execute(url, lambda connection: list(connection.execute(query).scalars()))


# Your own tests go below; template updates never touch them.

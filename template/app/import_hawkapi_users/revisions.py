"""One transaction for changes of tables and for migrations: all of it happens, or nothing, on SQLite as well.

migrations/env.py is not run here: it opens a connection of its own. Template-owned.
"""

from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from app.database import Base
from app.settings import Settings

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.runtime.migration import RevisionStep

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another program that writes."""


@asynccontextmanager
async def transaction(settings: Settings) -> AsyncGenerator[AsyncConnection]:
    """A transaction that is committed at the end of the block, and undone when the block raises."""
    url = settings.database_url.get_secret_value()
    is_sqlite = url.startswith("sqlite")
    options = {"timeout": LOCK_TIMEOUT} if is_sqlite else {}
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)
    if is_sqlite:

        @event.listens_for(engine.sync_engine, "connect")
        def on_connect(connection: Any, record: Any) -> None:
            cursor = connection.cursor()
            # Migrations copy a table and drop the old one, and dropping deletes what refers to it.
            cursor.execute("PRAGMA foreign_keys = OFF")
            # Or the foreign keys of other tables would not follow a table that is renamed.
            cursor.execute("PRAGMA legacy_alter_table = OFF")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def on_begin(connection: Connection) -> None:
            # The driver begins at the first INSERT only: tables made before would stay after a failure.
            connection.exec_driver_sql("BEGIN")

        _ = (on_connect, on_begin)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


def lock(connection: Connection, table: str) -> None:
    """Keep other programs out of *table*. On SQLite a transaction fails where another has written since."""
    if connection.dialect.name == "postgresql":
        quoted = connection.dialect.identifier_preparer.quote_identifier(table)
        connection.execute(text(f"SET LOCAL lock_timeout = {round(LOCK_TIMEOUT * 1000)}"))
        connection.execute(text(f"LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE"))


def heads_of(connection: Connection, scripts: ScriptDirectory) -> tuple[list[str], list[str]]:
    """What `alembic_version` holds: the revisions of this project, and those that have no file in it."""
    heads = MigrationContext.configure(connection).get_current_heads()
    known = {each.revision for each in scripts.walk_revisions()}
    return [each for each in heads if each in known], [each for each in heads if each not in known]


def missing_after(scripts: ScriptDirectory, heads: Sequence[str]) -> list[str]:
    """The revisions that `upgrade heads` would run, in their order."""
    return [each.revision.revision for each in _steps(scripts, tuple(heads))]


def forget(connection: Connection, revisions: Collection[str]) -> None:
    """Take *revisions* out of `alembic_version`; nothing of what they made is undone."""
    for each in revisions:
        connection.execute(text("DELETE FROM alembic_version WHERE version_num = :each"), {"each": each})


def upgrade(
    connection: Connection, scripts: ScriptDirectory, config: "Config", *, noted: Collection[str]
) -> None:
    """Run every migration that is missing; those in *noted* are only written down as if they had run."""

    def steps(heads: Any, context: MigrationContext) -> "list[RevisionStep]":
        found = _steps(scripts, heads)
        for step in found:
            if step.revision.revision in noted:
                step.migration_fn = _do_nothing
        return found

    with EnvironmentContext(config, scripts, fn=steps) as environment:
        environment.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=connection.dialect.name == "sqlite",
        )
        environment.run_migrations()


def _steps(scripts: ScriptDirectory, heads: tuple[str, ...]) -> "list[RevisionStep]":
    missing = list(scripts.iterate_revisions("heads", heads, implicit_base=True))
    return [MigrationStep.upgrade_from_script(scripts.revision_map, each) for each in reversed(missing)]


def _do_nothing(**options: Any) -> None:
    """In place of a migration that has nothing left to do."""

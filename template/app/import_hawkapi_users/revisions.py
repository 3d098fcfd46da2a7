"""Change tables and run migrations in one transaction. A failure undoes everything, even on SQLite.

This module does not run migrations/env.py, which opens its own connection. Template-owned.
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
"""Seconds to wait for another program that is writing to the database."""


@asynccontextmanager
async def transaction(settings: Settings) -> AsyncGenerator[AsyncConnection]:
    """Open a transaction. It is committed at the end of the block and rolled back if the block fails."""
    url = settings.database_url.get_secret_value()
    is_sqlite = url.startswith("sqlite")
    options = {"timeout": LOCK_TIMEOUT} if is_sqlite else {}
    engine = create_async_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=options)
    if is_sqlite:

        @event.listens_for(engine.sync_engine, "connect")
        def on_connect(connection: Any, record: Any) -> None:
            cursor = connection.cursor()
            # To change a table, a migration copies it and drops the original. With foreign keys on, dropping
            # the original would delete the rows that refer to it.
            cursor.execute("PRAGMA foreign_keys = OFF")
            # With the legacy behavior, other tables' foreign keys are not updated when a table is renamed.
            cursor.execute("PRAGMA legacy_alter_table = OFF")
            cursor.close()

        @event.listens_for(engine.sync_engine, "begin")
        def on_begin(connection: Connection) -> None:
            # Otherwise, the driver would start a transaction only at the first INSERT, and a rollback would
            # keep the tables created before that INSERT.
            connection.exec_driver_sql("BEGIN")

        _ = (on_connect, on_begin)
    try:
        async with engine.begin() as connection:
            yield connection
    finally:
        await engine.dispose()


def lock(connection: Connection, table: str) -> None:
    """Keep other programs out of *table* until the transaction ends.

    SQLite needs no lock: the transaction fails if another program has written since the transaction began.
    """
    if connection.dialect.name == "postgresql":
        quoted = connection.dialect.identifier_preparer.quote_identifier(table)
        connection.execute(text(f"SET LOCAL lock_timeout = {round(LOCK_TIMEOUT * 1000)}"))
        connection.execute(text(f"LOCK TABLE {quoted} IN ACCESS EXCLUSIVE MODE"))


def current_heads(connection: Connection, scripts: ScriptDirectory) -> tuple[list[str], list[str]]:
    """Return the revisions in `alembic_version`: first this project's, then unknown ones."""
    heads = MigrationContext.configure(connection).get_current_heads()
    known = {each.revision for each in scripts.walk_revisions()}
    return [each for each in heads if each in known], [each for each in heads if each not in known]


def missing_after(scripts: ScriptDirectory, heads: Sequence[str]) -> list[str]:
    """Return the revisions that `upgrade heads` would run, in order."""
    return [each.revision.revision for each in _steps(scripts, tuple(heads))]


def forget(connection: Connection, revisions: Collection[str]) -> None:
    """Remove *revisions* from `alembic_version`. The tables that they created are kept."""
    for each in revisions:
        connection.execute(text("DELETE FROM alembic_version WHERE version_num = :each"), {"each": each})


def upgrade(
    connection: Connection, scripts: ScriptDirectory, config: "Config", *, applied: Collection[str]
) -> None:
    """Run every missing migration. Those in *applied* are recorded without being run."""

    def steps(heads: Any, context: MigrationContext) -> "list[RevisionStep]":
        found = _steps(scripts, heads)
        for step in found:
            if step.revision.revision in applied:
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
    """The migration function for a revision that is recorded as applied without being run."""

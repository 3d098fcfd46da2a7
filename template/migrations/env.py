"""Tell Alembic where the database and the models are, and where new revisions go.

Each template feature has its own branch. The branch is labeled with the name of the feature's folder, and its
revisions are in that folder (`app/users/migrations`, ...). Your branch is `app`, in `migrations/versions`: a
plain `alembic revision --autogenerate -m "..."` continues it. There are several heads, so run `alembic
upgrade heads`.

Template-owned. You may edit it: template updates are merged into it.
"""

from collections.abc import Iterable
from typing import Any

from alembic import context, util
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hawkapi_sqlalchemy.alembic import run_migrations
from sqlalchemy import Connection, Engine, event
from sqlalchemy.sql.elements import False_, True_

from app.clock import UTCDateTime
from app.database import Base
from app.main import load_features

config = context.config


def database_url() -> str:
    """The URL chosen by the caller (a test or the CLI). Defaults to DATABASE_URL."""
    url = config.attributes.get("database_url")
    if url is None:
        from app.settings import load_settings

        url = load_settings().database_url.get_secret_value()
    return url


def place_revision(
    migration_context: MigrationContext, revision: Any, directives: list[MigrationScript]
) -> None:
    """Put a new revision on the branch `app`, unless another head is given.

    Options like `--head users@head` are for the template's maintainers.
    """
    (script,) = directives
    if script.head in (None, "head", "heads"):
        scripts = ScriptDirectory.from_config(config)
        script.head = "app@head"
        # Alembic upgrades the branches in no fixed order, so a revision must name the revisions it builds on.
        script.depends_on = _features_not_yet_named(scripts) or script.depends_on
    command = migration_context.opts["revision_context"].command_args
    # `alembic check` also calls this function, but without a message, and needs the empty revision.
    if command["autogenerate"] and command["message"] and _is_empty(script):
        directives.clear()
        config.print_stdout("The models match the database. No revision was written.")


def _features_not_yet_named(scripts: ScriptDirectory) -> list[str]:
    heads = [scripts.get_revision(each) for each in scripts.get_heads()]
    features = {each.revision for each in heads if each and "app" not in each.branch_labels}
    named: set[str] = set()
    for mine in scripts.iterate_revisions("app@head", "base"):
        named.update(util.to_tuple(mine.dependencies, ()))
    return sorted(features - named)


def _is_empty(script: MigrationScript) -> bool:
    operations: Iterable[Any] = script.upgrade_ops_list
    return all(each.is_empty() for each in operations)


def render_item(kind: str, item: Any, context: Any) -> str | bool:
    """Render this application's types as plain SQLAlchemy types, so that revisions do not depend on code that
    may change. Boolean defaults are rendered so that they work on every database."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    default = getattr(item, "arg", None)
    if kind == "server_default" and isinstance(default, True_ | False_):
        # On SQLite, Alembic would write 1 or 0, which PostgreSQL does not accept as a boolean.
        return "sa.true()" if isinstance(default, True_) else "sa.false()"
    return False


NOT_IN_MODELS = {"ix_users_email_trigrams"}
"""Indexes that exist only in databases with certain extensions. `app db check` and new revisions ignore
them."""


def include_name(name: str | None, kind: str, parents: Any) -> bool:
    """Whether to compare this part of the database with the models."""
    return not (kind == "index" and name in NOT_IN_MODELS)


def without_foreign_keys(connection: Any, record: Any) -> None:
    """Turn off SQLite's foreign keys: a migration changes a table by copying it and dropping the original,
    which would delete rows that refer to it.

    Foreign keys are off by default, but not in every build of SQLite.
    """
    if "sqlite" in type(connection).__module__:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = OFF")
        cursor.close()


def begin(connection: Connection) -> None:
    """Start a transaction on SQLite, where a failed migration would otherwise leave its first steps behind.

    By default, Python's driver starts a transaction only for statements that change rows. A migration takes
    the write lock before it reads: if another program wrote after that, it could no longer get the lock.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if migrates() else "BEGIN")


def migrates() -> bool:
    """Whether the command applies or undoes migrations. Others, such as `alembic check`, only read."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


load_features()
is_sqlite = database_url().startswith("sqlite")
event.listen(Engine, "connect", without_foreign_keys)
event.listen(Engine, "begin", begin)
try:
    run_migrations(
        target_metadata=Base.metadata,
        url=database_url(),
        configure_kwargs={
            "process_revision_directives": place_revision,
            "render_item": render_item,
            "include_name": include_name,
            # Each migration has its own transaction on SQLite. On PostgreSQL, all of them share one.
            **({"transactional_ddl": True, "transaction_per_migration": True} if is_sqlite else {}),
        },
    )
finally:
    event.remove(Engine, "begin", begin)
    event.remove(Engine, "connect", without_foreign_keys)

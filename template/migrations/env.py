"""How Alembic finds the database and the models, and where a new revision goes.

Each feature of the template has a branch of its own, labelled like its folder and with its revisions
inside it (`app/users/migrations`, ...). Yours is the branch `app`, in `migrations/versions`: a plain
`alembic revision --autogenerate -m "..."` continues it. There are several heads: `alembic upgrade heads`.

Template-owned; you may edit it, and template updates are merged into it.
"""

from collections.abc import Iterable
from typing import Any

from alembic import context, util
from alembic.operations import MigrationScript
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from hawkapi_sqlalchemy.alembic import run_migrations
from sqlalchemy import Engine, event

from app.clock import UTCDateTime
from app.database import Base
from app.main import load_features

config = context.config


def database_url() -> str:
    """The URL that the caller chose (tests, the CLI), or DATABASE_URL."""
    url = config.attributes.get("database_url")
    if url is None:
        from app.settings import load_settings

        url = load_settings().database_url.get_secret_value()
    return url


def place_revision(
    migration_context: MigrationContext, revision: Any, directives: list[MigrationScript]
) -> None:
    """Put a new revision onto the branch `app`, unless it is asked for elsewhere.

    `--head users@head` and the like are for the maintainers of the template.
    """
    (script,) = directives
    if script.head in (None, "head", "heads"):
        scripts = ScriptDirectory.from_config(config)
        script.head = "app@head"
        # A new database gets the branches in no certain order: what you build upon has to be named.
        script.depends_on = _features_not_yet_named(scripts) or script.depends_on
    command = migration_context.opts["revision_context"].command_args
    # `alembic check` comes here, too, without a message, and wants to see that there is nothing.
    if command["autogenerate"] and command["message"] and _is_empty(script):
        directives.clear()
        config.print_stdout("The models and the database agree: no revision was written.")


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
    """A revision must not depend on the code of its day: a type of this application is what it is made of."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UTCDateTime) else False


def without_foreign_keys(connection: Any, record: Any) -> None:
    """SQLite changes a table by copying it and dropping the old one, and dropping deletes what refers to it.

    Foreign keys are off by default there, but not in every build of the library.
    """
    if "sqlite" in type(connection).__module__:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = OFF")
        cursor.close()


load_features()
event.listen(Engine, "connect", without_foreign_keys)
try:
    run_migrations(
        target_metadata=Base.metadata,
        url=database_url(),
        configure_kwargs={"process_revision_directives": place_revision, "render_item": render_item},
    )
finally:
    event.remove(Engine, "connect", without_foreign_keys)

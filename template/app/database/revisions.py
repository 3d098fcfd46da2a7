"""Checks whether every migration in the project's files has been applied to the database. Template-owned."""

import asyncio
from collections.abc import Collection
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from app.web import App

_PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"


def check_readiness(app: App) -> None:
    """Add the readiness check. Once all migrations are applied, the check reads the files only when the
    database's revisions change."""
    complete: set[str] | None = None

    @app.readiness_check("migrations")
    async def migrations_are_applied() -> tuple[bool, str]:
        nonlocal complete
        async with app.state.reading() as db:
            applied = set(await db.scalars(text("SELECT version_num FROM alembic_version")))
        if applied != complete:
            if await asyncio.to_thread(_lacks_some, applied):
                return False, "pending"
            complete = applied
        return True, "ok"

    _ = migrations_are_applied


def pending(revisions: ScriptDirectory, applied: Collection[str]) -> set[str]:
    """The migration heads that the database lacks. *applied* contains the database's current heads.

    Raises:
        CommandError: the database has a revision that no file defines.
    """
    # `alembic_version` lists only the heads. The revisions they depend on have also been applied.
    all_applied = {script.revision for script in revisions.get_all_current(tuple(applied))}
    return {head for head in revisions.get_heads() if head not in all_applied}


def _lacks_some(applied: Collection[str]) -> bool:
    try:
        return bool(pending(ScriptDirectory.from_config(Config(toml_file=_PYPROJECT)), applied))
    except CommandError:
        # A newer version of the application has migrated the database and will soon replace this process.
        return False

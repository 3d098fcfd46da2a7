"""The migrations of a feature that is removed or added again.

A database records which migrations have been applied to it, and Alembic refuses to work on a database if the
file for a recorded migration is missing. So if a database may contain a feature's tables, the feature's
migrations stay, and a migration on the project's own branch drops the tables in every database. If nothing
needs the migrations, they are removed with the feature.
"""

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from template_update.git import UpdateError
from template_update.project import ProjectTools

OWN = "migrations/versions"
"""The folder of the project's own migrations."""
_IS_EMPTY = "Empty, because the feature was added again."
_EMPTY = '''"""{message}

{is_empty}
"""

revision = {revision}
down_revision = {down_revision}
branch_labels = None
depends_on = {depends_on}


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
'''


_DROP = "drop the tables of "


def drop_message(folders: Sequence[str]) -> str:
    """The message of a migration that drops the tables created by the migrations in *folders*."""
    return _DROP + names_of(folders)


def names_of(folders: Sequence[str]) -> str:
    """The names of the packages that own the migrations in *folders*, for a message."""
    return " and ".join(sorted(map(feature_of, folders)))


def feature_of(folder: str) -> str:
    """The name of the package that owns the migrations in *folder*: totp for app/totp/migrations."""
    return Path(folder).parent.name


def tables_in_database(tools: ProjectTools, folders: Sequence[str]) -> dict[str, int]:
    """The row count of each table that the migrations in *folders* created in the project's database.

    Raises:
        UpdateError: the project cannot list its tables.
    """
    said = tools.output("app.cli", "db", "tables", "--json")
    try:
        found: list[dict[str, Any]] = json.loads(said)
    except ValueError:
        raise UpdateError(f"`uv run app db tables --json` did not print JSON: {said.strip()[:200]}") from None
    features = set(map(feature_of, folders))
    return {
        each["name"]: each["rows"]
        for each in found
        if each["feature"] in features and each["rows"] is not None
    }


def listed(tables: dict[str, int]) -> str:
    """One line per table, with the number of rows."""
    return "".join(
        f"\n  {name}: {rows or 'no'} {'row' if rows == 1 else 'rows'}" for name, rows in tables.items()
    )


def require_unused(tools: ProjectTools, project: Path, folders: Sequence[str], command: str) -> None:
    """Raise an error if something still needs the migrations in *folders*, which would be removed.

    *command* is the user's command. With `--drop-data`, the command would keep the migrations and drop the
    tables instead.

    Raises:
        UpdateError: the database has the feature's tables, or another migration depends on these migrations.
    """
    if not folders:
        return
    if tables := tables_in_database(tools, folders):
        raise UpdateError(
            f"The database in DATABASE_URL contains tables of {names_of(folders)}:{listed(tables)}\n"
            f"Export them: `{command} --export FILE` writes their rows to FILE and creates a migration that"
            f" drops them. If you do not need the rows, `{command} --drop-data` only creates the migration."
        )
    for folder in folders:
        if dependent := dependents(project, folder):
            raise UpdateError(
                f"{', '.join(dependent)}: depends on the migrations in {folder}, so they must stay. Run"
                f" `{command} --drop-data`, which keeps them and creates a migration that drops the tables."
            )


def dependents(project: Path, folder: str) -> list[str]:
    """The project's own migrations that depend on a migration in *folder*."""
    ids = {revision.id for revision in _revisions(project / folder)}
    own = _revisions(project / OWN)
    return [revision.path.relative_to(project).as_posix() for revision in own if ids & {*revision.depends_on}]


def has_drop(project: Path, folders: Sequence[str]) -> bool:
    """Whether one of the project's own migrations drops the tables created by the migrations in *folders*."""
    features = set(map(feature_of, folders))
    return any(_dropped_by(each) == features for each in _revisions(project / OWN))


def partial_drops(project: Path, folders: Sequence[str]) -> list[str]:
    """The project's own migrations that drop tables of packages with migrations in *folders* but also tables
    of other packages.
    """
    back = set(map(feature_of, folders))
    own = [
        (each.path.relative_to(project).as_posix(), _dropped_by(each)) for each in _revisions(project / OWN)
    ]
    return [path for path, dropped in own if dropped & back and dropped - back]


def empty_drops(project: Path, folders: Sequence[str]) -> list[str]:
    """Empty the migrations that only drop tables of packages that were added again. Returns their paths.

    If such a migration has already been applied to a database, the next upgrade applies the packages'
    migrations to that database again. Other databases keep their tables.
    """
    ids = {revision.id for folder in folders for revision in _revisions(project / folder)}
    back = set(map(feature_of, folders))
    drops = [each for each in _revisions(project / OWN) if _dropped_by(each) and _dropped_by(each) <= back]
    for drop in drops:
        text = _EMPTY.format(
            message=drop.docstring,
            is_empty=_IS_EMPTY,
            revision=_literal([drop.id]),
            down_revision=_literal(drop.down_revision),
            depends_on=_literal([each for each in drop.depends_on if each not in ids]),
        )
        drop.path.write_text(text, "utf-8")
    return [drop.path.relative_to(project).as_posix() for drop in drops]


@dataclass(frozen=True)
class _Revision:
    """What Alembic reads from a migration file."""

    path: Path
    docstring: str
    id: str
    down_revision: Sequence[str]
    depends_on: Sequence[str]


def _dropped_by(revision: _Revision) -> set[str]:
    """The packages whose tables *revision* drops, according to its docstring."""
    message, *rest = revision.docstring.splitlines() or [""]
    if not message.startswith(_DROP) or _IS_EMPTY in rest:
        return set()
    return set(message.removeprefix(_DROP).split(" and "))


def _revisions(folder: Path) -> Iterator[_Revision]:
    for path in sorted(folder.glob("*.py")):
        try:
            module = ast.parse(path.read_bytes())
        except SyntaxError:
            # Alembic reports the syntax error.
            continue
        named = {name: tuple(_names(module, name)) for name in ("revision", "down_revision", "depends_on")}
        if named["revision"]:
            docstring = ast.get_docstring(module) or ""
            yield _Revision(
                path, docstring, named["revision"][0], named["down_revision"], named["depends_on"]
            )


def _names(module: ast.Module, variable: str) -> Iterator[str]:
    """The strings in a variable's value: one string, several in a list or a tuple, or none."""
    for statement in module.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == variable:
            strings = (node.value for node in ast.walk(statement.value) if isinstance(node, ast.Constant))
            yield from (each for each in strings if isinstance(each, str))


def _literal(names: Sequence[str]) -> str:
    """The Python literal for these revisions, as Alembic writes it."""
    return "None" if not names else json.dumps(names[0] if len(names) == 1 else list(names))

"""Columns and tables that the template's new migrations add even though the project already has them.

Alembic does not notice this until the second migration fails, perhaps after others have run. Reading the
files shows the problem before any migration runs.
"""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from template_update.python_files import PythonFiles, Read, parsed

_ADVICE = (
    "Before you migrate, rename yours, or make each migration add it only if it is missing (see"
    ' "A column or table that you already have" in the template\'s docs/updating.md).'
)


@dataclass(frozen=True)
class _Addition:
    """A column, such as users.time_zone, or a table, such as orders, that a file adds."""

    name: str
    path: str
    line: int


def added_twice(files: PythonFiles) -> Iterator[tuple[str, int, str]]:
    """The path, the line and a message for each column or table that both sides add."""
    mine = {each.name: each for each in _of_models(files.yours, files.own, without=files.old)}
    # Migrations take precedence over models, because the database contains what the migrations create.
    mine |= {each.name: each for each in _of_migrations(files.yours, files.own, without=files.old)}
    brought = set(files.brought)
    for theirs in _of_migrations(files.new, files.brought, without=files.old):
        # A removed feature can leave files behind. If the template adds these files again, they do not count
        # as the user's own.
        if (also := mine.get(theirs.name)) and also.path not in brought:
            place = f"{also.path}, line {also.line}"
            sentence = f"adds {theirs.name}, which you also added ({place}). {_ADVICE}"
            yield theirs.path, theirs.line, sentence


def _of_migrations(read: Read, paths: Iterable[str], *, without: Read) -> Iterator[_Addition]:
    for path in paths:
        if "migrations/" in path and without(path) is None and (module := parsed(read(path))):
            for function in module.body:
                if isinstance(function, ast.FunctionDef) and function.name == "upgrade":
                    yield from _of_upgrade(path, function)


def _of_upgrade(path: str, upgrade: ast.FunctionDef) -> Iterator[_Addition]:
    tables: dict[str, str] = {}
    """The table that each `with op.batch_alter_table(...) as name` block alters."""
    columns: dict[str, ast.expr] = {}
    for node in ast.walk(upgrade):
        match node:
            case ast.withitem(
                ast.Call(ast.Attribute(_, "batch_alter_table"), [ast.Constant(str(table)), *_]),
                ast.Name(name),
            ):
                tables[name] = table
            case ast.Assign([ast.Name(name)], value):
                columns[name] = value
            case _:
                pass
    for node in ast.walk(upgrade):
        match node:
            case ast.Call(ast.Attribute(_, "create_table"), [ast.Constant(str(table)), *_]):
                yield _Addition(table, path, node.lineno)
            case ast.Call(ast.Attribute(_, "add_column"), [ast.Constant(str(table)), column, *_]):
                yield from _column(table, columns, column, path)
            case ast.Call(ast.Attribute(ast.Name(name), "add_column"), [column, *_]) if name in tables:
                yield from _column(tables[name], columns, column, path)
            case _:
                pass


def _column(table: str, columns: dict[str, ast.expr], column: ast.expr, path: str) -> Iterator[_Addition]:
    if isinstance(column, ast.Name):
        column = columns.get(column.id, column)
    match column:
        case ast.Call(_, [ast.Constant(str(name)), *_]):
            yield _Addition(f"{table}.{name}", path, column.lineno)
        case _:
            pass


def _of_models(read: Read, paths: Iterable[str], *, without: Read) -> Iterator[_Addition]:
    for path in paths:
        if path.startswith("app/") and "migrations/" not in path:
            known = {each.name for each in _in_models(path, parsed(without(path)))}
            yield from (each for each in _in_models(path, parsed(read(path))) if each.name not in known)


def _in_models(path: str, module: ast.Module | None) -> Iterator[_Addition]:
    """The tables and columns of a module's models."""
    for model in module.body if module else []:
        if not isinstance(model, ast.ClassDef) or not (table := _table(model)):
            continue
        yield _Addition(table, path, model.lineno)
        for statement in model.body:
            match statement:
                case ast.AnnAssign(ast.Name(name), ast.Subscript(ast.Name("Mapped")), value):
                    yield _Addition(f"{table}.{_named(value) or name}", path, statement.lineno)
                case _:
                    pass


def _table(model: ast.ClassDef) -> str:
    for statement in model.body:
        match statement:
            case ast.Assign([ast.Name("__tablename__")], ast.Constant(str(table))):
                return table
            case _:
                pass
    return ""


def _named(value: ast.expr | None) -> str:
    """The name that `mapped_column("name", ...)` gives the column."""
    match value:
        case ast.Call(ast.Name("mapped_column"), [ast.Constant(str(name)), *_]):
            return name
        case _:
            return ""

"""The features' commands: `app <feature> …` runs `cli` in `app/<feature>/commands.py`. Template-owned.

A feature is imported only when one of its commands runs, so `app --help` stays fast.
"""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

import app as package

_OPTIONS_OF_APP = {"install_completion", "show_completion"}
"""Typer adds these options to each `typer.Typer()`. `app` already has them."""


class CommandsOfFeatures(TyperGroup):
    """The commands in `app.cli`, then the features' commands, sorted by name.

    If both define a command with the same name, the one in `app.cli` takes precedence.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for each in _found():
            if each.name not in self.commands:
                self.add_command(each)


class _FeatureCommand(TyperCommand):
    """A placeholder that imports a feature's commands when one of them runs."""

    def __init__(self, file: Path) -> None:
        feature = file.parent.name
        super().__init__(feature.replace("_", "-"), help=_first_line(file))
        self._module = f"{package.__name__}.{feature}.{file.stem}"

    def make_context(self, *args: Any, **options: Any) -> Any:
        commands = typer.main.get_command(importlib.import_module(self._module).cli)
        commands.params = [each for each in commands.params if each.name not in _OPTIONS_OF_APP]
        return commands.make_context(*args, **options)


def _found() -> Iterator[_FeatureCommand]:
    for folder in package.__path__:
        for file in sorted(Path(folder).glob("*/commands.py")):
            yield _FeatureCommand(file)


def _first_line(file: Path) -> str:
    """The first line of the module's docstring."""
    try:
        docstring = ast.get_docstring(ast.parse(file.read_bytes()))
    except SyntaxError:
        # Running the command shows the error. The other commands and `app --help` must still work.
        return ""
    return (docstring or "").partition("\n")[0]

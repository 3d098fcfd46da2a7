"""Copier's command line without two steps that take longer than the rest of a render.

Copier renders the name of every file and folder, and each time also renders the name of the answers file.
Jinja would compile a name every time it is rendered. Here, each string is compiled only once.

For every file, Copier also asks git whether it tracks executable bits. That matters only in a repository, and
renders are not in one.
"""

import sys
from collections.abc import MutableMapping
from functools import cache
from typing import Any

from copier.__main__ import CopierApp  # pyright: ignore[reportPrivateImportUsage]
from jinja2 import Environment, Template

_compile = Environment.from_string


@cache
def _compiled(environment: Environment, source: str) -> Template:
    return _compile(environment, source)


def _from_string(
    self: Environment,
    source: Any,
    globals: MutableMapping[str, Any] | None = None,
    template_class: type[Template] | None = None,
) -> Template:
    if isinstance(source, str) and globals is None and template_class is None:
        return _compiled(self, source)
    return _compile(self, source, globals, template_class)


def _do_nothing(*_: Any) -> None:
    pass


if __name__ == "__main__":
    Environment.from_string = _from_string
    # This method is private. If a later version of Copier lacks it, rendering just takes longer.
    if worker := getattr(sys.modules.get("copier._main"), "Worker", None):
        worker._sync_git_index_executable_bit = _do_nothing
    CopierApp.run()

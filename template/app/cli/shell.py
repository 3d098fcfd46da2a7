"""`app shell`: a Python prompt with the application, for inspection and repairs. Template-owned.

The prompt uses IPython if that is installed (`uv add --dev ipython`). Add your own names to `_names`.
"""

import ast
import asyncio
import code
import importlib
import importlib.util
import inspect
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import typer

from app.cli.common import application

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.web import App

_ABOUT = """\
  app     the application: app.state has settings, db, mail, ...
  users   the user manager: await users.get_by_email(session, "ada@example.com")
  db      a database session: async with db() as session: ...  Commits at the end.
  User, select
          (await session.scalars(select(User).limit(10))).all()

await works at the prompt. Ctrl+D ends it."""


def shell() -> None:
    """Open a Python prompt with app, db, users, User and select. It supports await."""
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        app = runner.run(opened.enter_async_context(application()))
        try:
            environment = app.state.settings.environment
            typer.echo(f"{app.state.settings.app_name}, ENVIRONMENT is {environment}\n\n{_ABOUT}\n")
            if environment == "production":
                typer.secho(
                    "This is production: your changes affect everyone.",
                    fg=typer.colors.YELLOW,
                    err=True,
                )
            _prompt(runner, _names(app))
        finally:
            runner.run(opened.aclose())


def _names(app: "App") -> dict[str, Any]:
    from sqlalchemy import select

    from app.database import act_as
    from app.users import User

    @asynccontextmanager
    async def db() -> AsyncGenerator["AsyncSession"]:
        async with app.state.db.session() as session:
            act_as(session, "cli")
            yield session

    # Turn off rate limits, which guard against strangers, so that the prompt works without Redis.
    app.state.users.limits = None
    return {"app": app, "users": app.state.users, "db": db, "User": User, "select": select}


def _prompt(runner: asyncio.Runner, names: dict[str, Any]) -> None:
    if importlib.util.find_spec("IPython") is not None:
        ipython = importlib.import_module("IPython")
        # Everything runs on one event loop, because database connections are bound to it.
        helpers: Any = importlib.import_module("IPython.core.async_helpers")
        helpers.get_asyncio_loop = runner.get_loop
        ipython.start_ipython(argv=["--no-banner"], user_ns=names)
        return
    with suppress(ImportError):
        # Enables arrow keys and history, if Python supports them.
        importlib.import_module("readline")
    _Console(runner, names).interact(banner="", exitmsg="")


class _Console(code.InteractiveConsole):
    """Python's own prompt, extended to support `await`."""

    def __init__(self, runner: asyncio.Runner, names: dict[str, Any]) -> None:
        super().__init__(names)
        self._runner = runner
        self.compile.compiler.flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT

    def runcode(self, code: CodeType) -> None:
        try:
            result = FunctionType(code, self.locals)()
            if inspect.iscoroutine(result):
                self._runner.run(_only(result))
        except SystemExit:
            raise
        except BaseException:
            # Ctrl+C interrupts the statement, not the prompt.
            self.showtraceback()


async def _only(statement: Coroutine[Any, Any, Any]) -> None:
    await statement

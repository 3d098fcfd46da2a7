"""Runs the project's migrations, checks and tests after a merge."""

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

from template_update import revisions
from template_update.merge import Merger
from template_update.options import Options
from template_update.project import ProjectTools
from template_update.report import Report
from template_update.repository import Repository
from template_update.type_errors import new_type_errors


class Checks:
    """Runs migrations, checks and tests, and collects a message for each failure."""

    def __init__(self, tools: ProjectTools, report: Report, options: Options) -> None:
        self._tools = tools
        self._report = report
        self._options = options
        self.problems: list[str] = []
        self.has_migrated = False
        """Whether the database may have been migrated."""

    def may_migrate(self) -> bool:
        """Whether the user agrees to migrate the database."""
        question = "Migrate the database in DATABASE_URL?"
        return self._options.yes or (
            sys.stdin.isatty() and typer.confirm(question, default=True, err=self._report.to_stderr)
        )

    def create_drop(self, folders: Sequence[str]) -> None:
        """Create a migration that drops the tables created by the migrations in *folders*."""
        message = revisions.drop_message(folders)
        if not self.runs("app.cli", "db", "revision", "--message", message):
            self.problems.append(
                f"The migration was not created (see above). Run `uv run app db revision -m '{message}'`, or"
                " undo everything with `git reset --hard`."
            )
        for folder in folders:
            self._report.say(f"The migrations in {folder} stay, because databases refer to them.")

    def migrate(self, migrate: bool, *, has_migrations: bool) -> None:
        """Migrate the database and compare it with the models, or report that it must still be migrated."""
        if not migrate:
            if has_migrations:
                self.problems.append("The database lacks new migrations: run `uv run app db upgrade`.")
            return
        self.has_migrated = True
        for command in ("upgrade", "check"):
            if not self.runs("app.cli", "db", command):
                self.problems.append(f"`uv run app db {command}` failed (see above).")
                return

    def lint(self) -> None:
        """Run ruff, if the project has it."""
        if self._tools.has("ruff") and not self.runs("ruff", "check", "--quiet"):
            self.problems.append("`uv run ruff check` reported problems (see above).")

    def check_types(self, folder: Path, merger: Merger, repository: Repository, paths: Iterable[str]) -> None:
        """Find the type errors in *paths* that the last commit does not have. *folder* is the project or a
        copy of it.
        """
        found = new_type_errors(self._tools, folder, merger, repository, paths)
        self.problems += [each.sentence for each in found]

    def test(self, *tests: str) -> bool:
        """Run *tests*, or the whole suite. Returns whether they pass."""
        together = ["-n", "2"] if self._tools.has("xdist") else []
        if self.runs("pytest", "-q", *together, *tests):
            return True
        self.problems.append(f"`uv run {shlex.join(['pytest', *tests])}` failed (see above).")
        return False

    def test_all(self) -> None:
        """Run the whole suite, unless --skip-tests was given."""
        self._report.data["is_tested"] = not self._options.skip_tests
        if self._options.skip_tests:
            self._report.say("The tests were not run.")
        else:
            self.test()

    def report_problems(self) -> bool:
        """Report the problems. Returns whether there are any."""
        self._report.data["problems"] = [*self._report.data.get("problems", []), *self.problems]
        for problem in self.problems:
            self._report.alarm(problem)
        return bool(self.problems)

    def runs(self, *command: str) -> bool:
        """Print *command* and run it as a module with the project's Python. Returns whether it succeeded."""
        self._report.say(f"\n$ {shlex.join(command).replace('app.cli', 'app')}", bold=True)
        return self._tools.run(*command)

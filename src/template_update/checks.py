"""The project's migrations, checks and tests, after a merge."""

import shlex
import sys

import typer

from template_update.options import Options
from template_update.project import ProjectTools
from template_update.report import Report


class Checks:
    """Runs migrations, checks and tests, and collects a message for each failure."""

    def __init__(self, tools: ProjectTools, report: Report, options: Options) -> None:
        self._tools = tools
        self._report = report
        self._options = options
        self.problems: list[str] = []

    def may_migrate(self) -> bool:
        """Whether the user agrees to migrate the database."""
        question = "Migrate the database in DATABASE_URL?"
        return self._options.yes or (
            sys.stdin.isatty() and typer.confirm(question, default=True, err=self._report.to_stderr)
        )

    def migrate(self, migrate: bool, *, has_migrations: bool) -> None:
        """Migrate the database and compare it with the models, or report that it must still be migrated."""
        if not migrate:
            if has_migrations:
                self.problems.append("The database lacks new migrations: run `uv run app db upgrade`.")
            return
        for command in ("upgrade", "check"):
            if not self.runs("app.cli", "db", command):
                self.problems.append(f"`uv run app db {command}` failed (see above).")
                return

    def lint(self) -> None:
        """Run ruff, if the project has it."""
        if self._tools.has("ruff") and not self.runs("ruff", "check", "--quiet"):
            self.problems.append("`uv run ruff check` reports problems (see above).")

    def check_types(self, paths: list[str]) -> None:
        """Run pyright on *paths*, if the project has it."""
        if paths and self._tools.has("pyright") and not self.runs("pyright", *paths):
            self.problems.append("`uv run pyright` reports problems (see above).")

    def test(self, *tests: str) -> bool:
        """Run *tests*, or the whole suite. Returns whether they pass."""
        together = ["-n", "2"] if self._tools.has("xdist") else []
        if self.runs("pytest", "-q", *together, *tests):
            return True
        self.problems.append(f"`uv run {shlex.join(['pytest', *tests])}` failed (see above).")
        return False

    def test_all(self) -> None:
        """Run the whole suite, unless the user skips it."""
        self._report.data["is_tested"] = not self._options.skip_tests
        if self._options.skip_tests:
            self._report.say("The tests were not run.")
        else:
            self.test()

    def report_problems(self) -> bool:
        """Report the problems. Returns whether there are any."""
        self._report.data["problems"] = self.problems
        for problem in self.problems:
            self._report.alarm(problem)
        return bool(self.problems)

    def runs(self, *command: str) -> bool:
        """Print the command, and run it as a module of the project. Returns whether it succeeded."""
        self._report.say(f"\n$ {shlex.join(command).replace('app.cli', 'app')}", bold=True)
        return self._tools.run(*command)

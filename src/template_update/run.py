"""One run of a command: merge, report, change the working tree, and migrate, check and test the project."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import typer

from template_update import dossier, export, revisions
from template_update.checks import Checks
from template_update.git import UpdateError
from template_update.options import INTERRUPTED, NEEDS_ATTENTION, SOMETHING_TO_PULL, STDOUT, Options
from template_update.project import ProjectTools
from template_update.report import Report
from template_update.repository import LOCK_FILE
from template_update.update import Update
from template_update.what_merged import check_what_merged


def run(options: Options, choose: Callable[[Update], None]) -> NoReturn:
    """Merge the change that *choose* selects into the project in the current folder, and exit."""
    report = Report(options)
    report.exit_after(
        lambda: Run(options, report).start(choose), interrupted="Interrupted. Nothing has changed."
    )


class Run:
    """Merges a template change into the project in the current folder."""

    def __init__(self, options: Options, report: Report) -> None:
        """Find the project's tools.

        Raises:
            UpdateError: uv is missing.
        """
        self._options = options
        self._report = report
        self._project = Path.cwd()
        self._dossier = self._project / (options.dossier or dossier.FOLDER)
        self._tools = ProjectTools(self._project, to_stderr=report.to_stderr)
        self._checks = Checks(self._tools, report, options)
        self._has_columns_twice = False

    def start(self, choose: Callable[[Update], None]) -> int:
        """Merge, report and check. Returns the exit code.

        Raises:
            UpdateError: the run cannot continue. If anything has changed, the message says so.
        """
        if len(self._options.on_stdout) > 1:
            raise UpdateError(
                f"Use only one of {' and '.join(self._options.on_stdout)}: each writes to standard output."
            )
        if self._options.applies or self._options.dossier:
            dossier.require_place(self._dossier)
        with TemporaryDirectory(prefix="template-update-") as folder:
            update = Update(self._project, Path(folder), say=self._report.step)
            update.repository.require_no_markers()
            if not self._options.check:
                update.repository.require_clean_tree()
            if self._options.export:
                export.require_place(self._options.export)
            update.fetch()
            choose(update)
            self._report.data |= {"from": update.old, "to": update.new, "is_needed": update.is_needed}
            if update.is_needed:
                self._show_news(update)
            update.render()
            if not (update.is_needed or update.repaired or update.lost):
                self._report.say(f"Nothing to pull: this project is at {update.old}, and {update.why_not}.")
                return 0
            dropped = self._require_no_loss(update)
            update.merge(keep=dropped)
            needs_person = self._show_findings(update)
            if not self._options.applies:
                return self._preview(update, dropped, needs_person)
            cannot_migrate = update.result.conflicts or self._has_columns_twice
            migrate = not cannot_migrate and self._checks.may_migrate()
            self._export(update, dropped)
            update.apply()
            self._report.data["is_applied"] = True
            return self._finish(update, dropped, migrate=migrate, needs_person=needs_person)

    def _finish(self, update: Update, dropped: list[str], *, migrate: bool, needs_person: bool) -> int:
        """Write the dossier, and check and test the changed project if possible. Returns the exit code."""
        try:
            self._empty_drops(update)
            self._write_dossier(update, dropped)
            if update.repository.has_uncommitted_lock() and update.repository.stage(LOCK_FILE):
                self._report.say(f"{LOCK_FILE} was not committed. It is now part of this change.")
            if update.result.conflicts:
                return self._hand_over(update, dropped)
            return self._follow_up(update, dropped, migrate=migrate, needs_person=needs_person)
        except UpdateError as error:
            raise UpdateError(f"{error}\nNot every check has run. {self._how_to_undo()}") from None
        except KeyboardInterrupt:
            self._report.alarm(f"Interrupted. {self._how_to_undo()}")
            return INTERRUPTED

    def _how_to_undo(self) -> str:
        undo = "`git reset --hard` undoes it"
        if self._checks.has_migrated:
            undo += ", but not the migration of the database. Run `uv run app db downgrade REVISION` first"
        return f"The change is complete but not committed: `git diff --cached` shows it, and {undo}."

    def _show_news(self, update: Update) -> None:
        say = self._report.say
        if update.old == update.new:
            self._report.data["answers"] = update.changed_answers()
            say(f"The version stays {update.old}.")
            return
        news = update.news()
        self._report.data["news"] = [asdict(each) for each in news]
        say(f"From {update.old} to {update.new}", bold=True)
        for each in news:
            if each.security:
                self._report.alarm(f"\n{each.version}: security\n{each.security}")
        for each in news:
            if each.rest:
                say(f"\n{each.version}\n{each.rest}")
        if not news:
            say("The template's changelog has no entry for this change.")
        say()

    def _require_no_loss(self, update: Update) -> list[str]:
        """Check that no data or migrations would be lost. Returns the migration folders whose tables will be
        dropped.

        Raises:
            UpdateError: something would be lost.
        """
        folders = update.lost_migrations
        if self._options.drops_tables:
            self._require_agreement(folders)
            return folders
        removed = [name for name, answer in update.changed_answers().items() if answer is False]
        if folders and not removed:
            raise UpdateError(
                f"Version {update.new} of the template lacks the migrations in {', '.join(folders)}, which"
                " databases may need, so it cannot be merged. Ask the template's maintainers to restore them."
            )
        command = f"uv run app remove {' '.join(removed)}"
        revisions.require_unused(self._tools, self._project, folders, command)
        for folder in folders:
            self._report.say(
                f"The migrations in {folder} are also removed. If they have been applied to another database,"
                " undo this and run"
                f" `{command} --drop-data` instead."
            )
        return []

    def _require_agreement(self, folders: list[str]) -> None:
        """Raise an error if Alembic could not tell the dropped tables apart from other differences.

        Raises:
            UpdateError: the database lacks migrations, or differs from the models.
        """
        if not folders:
            return
        tables = revisions.listed(revisions.tables_in_database(self._tools, folders))
        self._report.alarm(f"To be dropped from the database in DATABASE_URL:{tables or ' no tables'}")
        if not self._checks.runs("app.cli", "db", "check"):
            raise UpdateError(
                "The migration is generated from the differences between the models and the database, so the"
                " two must match first. Run `uv run app db upgrade`, then `uv run app db check`."
            )

    def _export(self, update: Update, dropped: list[str]) -> None:
        """Export the tables that will be dropped, if requested.

        Raises:
            UpdateError: the export fails, or the update could not be applied afterwards.
        """
        if not self._options.export:
            return
        update.repository.require_free_places(update.result.added)
        tables = list(revisions.tables_in_database(self._tools, dropped)) if dropped else []
        self._report.say(export.write(self._tools, tables, self._options.export))
        self._report.data["exported"] = tables

    def _show_findings(self, update: Update) -> bool:
        """Show the result of the merge and return whether something needs attention."""
        result, findings = update.result, list(update.findings())
        if result.conflicts:
            self._report.data["to_resolve"] = [asdict(each) for each in update.conflicts()]
        needs_person = any(each.needs_person for each in findings)
        self._has_columns_twice = any(each.kind == "columns" for each in findings)
        self._report.data |= {
            "changed": [update.repository.inside(path) for path in result.changed],
            "conflicts": [update.repository.inside(path) for path in result.conflicts],
            "findings": [asdict(each) for each in findings],
            "seeds_difference": update.seeds_difference,
            "needs_attention": needs_person,
            "is_applied": False,
        }
        one = len(result.changed) == 1
        verb = "would change" if not self._options.applies else "changes" if one else "change"
        self._report.say(f"{len(result.changed)} {'file' if one else 'files'} {verb}.")
        if difference := update.seeds_difference:
            self._report.say(
                "\nUpdates never change these files. The template has changed its versions of them:\n"
            )
            self._report.say(difference)
        for each in findings:
            (self._report.alarm if each.needs_person else self._report.say)(each.sentence)
        return needs_person

    def _write_dossier(self, update: Update, dropped: list[str]) -> None:
        """Describe the conflicts in a folder. If there are none, remove an earlier update's folder."""
        if not update.result.conflicts:
            dossier.remove(self._dossier)
            return
        conflicts = update.conflicts()
        review = [
            each.sentence for each in update.findings() if each.kind != "conflicts" and each.needs_person
        ] + self._checks.problems
        shown = self._options.dossier or dossier.FOLDER
        found = dossier.Dossier(
            update.old, update.new, conflicts, review, answers=update.changed_answers(), dropped=dropped
        )
        try:
            found.write(self._dossier, update.sides())
        except UpdateError as error:
            # The merge is complete and does not need the dossier.
            self._report.alarm(str(error))
            return
        self._report.data["dossier"] = shown
        self._report.say(f"{shown}/README.md describes the conflicts one by one.")

    def _preview(self, update: Update, dropped: list[str], needs_person: bool) -> int:
        """Report what the result would be, and write the patch if requested. Returns the exit code."""
        conflicts = update.result.conflicts
        self._report.say(f"The update would {'conflict' if conflicts else 'merge without a conflict'}.")
        if dropped:
            if self._options.export:
                self._report.say(
                    f"The update would export the tables to {export.named(self._options.export)}."
                )
            self._report.say(f"The update would create a migration: {revisions.drop_message(dropped)}.")
        if self._options.dossier:
            self._write_dossier(update, dropped)
        if self._options.diff:
            self._write_patch(update)
        if self._options.show:
            self._show_change(update)
        if self._options.check:
            return SOMETHING_TO_PULL if update.is_needed else 0
        update.repository.require_free_places(update.result.added)
        return NEEDS_ATTENTION if needs_person else 0

    def _show_change(self, update: Update) -> None:
        path = self._options.show
        if change := update.change_of(path):
            typer.echo(change.encode("utf-8", "surrogateescape"), nl=False)
        else:
            self._report.say(f"{path} would stay as it is.")

    def _write_patch(self, update: Update) -> None:
        patch = update.patch().encode("utf-8", "surrogateescape")
        if self._options.diff == STDOUT:
            typer.echo(patch, nl=False)
            return
        try:
            Path(self._options.diff).write_bytes(patch)
        except OSError as error:
            raise UpdateError(f"{self._options.diff} cannot be written: {error.strerror}.") from None
        self._report.say(f"Wrote the patch to {self._options.diff}.")

    def _hand_over(self, update: Update, dropped: list[str]) -> int:
        """Check what merged, and explain what to do after resolving the conflicts. Returns the exit code."""
        check_what_merged(update, self._tools, self._report, self._options)
        self._checks.report_problems()
        # Without the dossier, `--continue` does not know which tables to drop.
        is_left = dropped and "dossier" not in self._report.data
        steps = [f'app db revision -m "{revisions.drop_message(dropped)}"'] if is_left else []
        steps.append(dossier.CONTINUE)
        todo = " && ".join(f"uv run {step}" for step in steps)
        self._report.say(f"Resolve the conflicts, then run: {todo}")
        return NEEDS_ATTENTION

    def _follow_up(self, update: Update, dropped: list[str], *, migrate: bool, needs_person: bool) -> int:
        """Migrate, check and test the changed project. Returns the exit code."""
        if dropped:
            self._checks.create_drop(dropped)
        has_own = update.repository.stage(revisions.OWN)
        self._checks.migrate(migrate, has_migrations=has_own or update.has_migrations)
        self._checks.lint()
        if not self._options.skip_tests:
            code = update.code_to_check()
            self._checks.check_types(self._project, update.merger, update.repository, code)
        self._checks.test_all()
        if self._checks.report_problems() or needs_person:
            self._report.say("Review the messages above and `git diff --cached`, then commit.")
            return NEEDS_ATTENTION
        self._report.say("Updated. Review `git diff --cached`, then commit.")
        return 0

    def _empty_drops(self, update: Update) -> None:
        """Empty the migrations whose dropped tables are needed again.

        If there are conflicts, this cannot wait until they are resolved: the next migration of the database
        would drop the tables.
        """
        gained = update.gained_migrations
        for path in revisions.partial_drops(self._project, gained):
            self._checks.problems.append(
                f"{path} drops tables of {revisions.names_of(gained)}, which you added again, and other"
                " tables. Delete the statements about the tables that are needed again, and remove the"
                " migrations that create them from its depends_on, so that they are applied again."
            )
        emptied = revisions.empty_drops(self._project, gained)
        for path in emptied:
            update.repository.stage(path)
            self._report.say(f"{path}: emptied, because you added {revisions.names_of(gained)} again.")
        for folder in gained:
            for path in revisions.dependents(self._project, folder) if emptied else []:
                self._checks.problems.append(
                    f"{path} depends on the migrations in {folder}, so they are not applied again to a"
                    " database from which their tables were dropped. Remove them from its depends_on, unless"
                    " it uses these tables."
                )

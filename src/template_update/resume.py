"""`template-update --continue`: reports what is left to do after an update with conflicts, then checks
whether the result works.

The command reads what is left to do from git and the working tree, so it works even without the dossier, for
example in a clone of a branch that a workflow pushed.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, NoReturn

from template_update import dossier, revisions
from template_update.checks import Checks
from template_update.git import UpdateError
from template_update.merge import Merger
from template_update.options import NEEDS_ATTENTION, Options
from template_update.project import ProjectTools
from template_update.report import Report
from template_update.repository import LOCK_FILE, Repository
from template_update.template import Answers


class Left(NamedTuple):
    """A file with an unresolved conflict."""

    path: str
    line: int | None
    sentence: str


def resume(options: Options, *, is_alone: bool) -> NoReturn:
    """Report what is left to do in the project in the current folder, and exit.

    *is_alone* is true if --continue was given without any option that chooses an update.
    """
    report = Report(options)
    report.exit_after(
        lambda: _resume(options, report, is_alone=is_alone),
        interrupted="Interrupted. `uv run app template-update --continue` starts over.",
    )


def _resume(options: Options, report: Report, *, is_alone: bool) -> int:
    if not (is_alone and options.applies) or options.summary:
        raise UpdateError(
            "--continue cannot be combined with --check, --to, --answers, --dry-run, --diff, --show or"
            " --summary."
        )
    project = Path.cwd()
    repository = Repository(project)
    folder = project / (options.dossier or dossier.FOLDER)
    found = dossier.Dossier.read(folder)
    if found and _is_undone(found, Answers.read(project)):
        dossier.remove(folder)
        what = f"update to {found.new}" if found.new != found.old else "change of answers"
        raise UpdateError(f"The {what} was undone, so there is nothing to continue.")
    left = list(_left(repository))
    report.data["to_resolve"] = [each._asdict() for each in left]
    if found:
        found.write_index(folder, {each.path for each in left})
    for each in left:
        report.alarm(each.sentence)
    if left:
        if found:
            report.say(f"{options.dossier or dossier.FOLDER}/README.md describes them one by one.")
        return NEEDS_ATTENTION
    if not _check(options, report, repository, found):
        return NEEDS_ATTENTION
    dossier.remove(folder)
    for sentence in found.review if found else []:
        report.alarm(sentence)
    report.say("All conflicts are resolved. Review `git diff --cached`, then commit.")
    return 0


def _is_undone(found: dossier.Dossier, answers: Answers) -> bool:
    return answers.version != found.new or not found.answers.items() <= answers.data.items()


def _left(repository: Repository) -> Iterator[Left]:
    marked = repository.markers()
    for path, line in marked.items():
        yield Left(path, line, f"{path}, line {line}: conflict markers (<<<<<<<) are left.")
    for path in repository.unmerged():
        if path not in marked:
            yield Left(path, None, f"{path}: once it is resolved, run `{repository.resolving(path)}`.")


def _check(options: Options, report: Report, repository: Repository, found: dossier.Dossier | None) -> bool:
    """Migrate, check and test the project. Returns whether everything passes."""
    checks = Checks(ProjectTools(repository.project, to_stderr=report.to_stderr), report, options)
    if repository.has_uncommitted_lock():
        repository.stage(LOCK_FILE)
    if found and found.dropped:
        # An earlier run of this command, or the user, may have created the migration.
        if not revisions.has_drop(repository.project, found.dropped):
            checks.create_drop(found.dropped)
        repository.stage(revisions.OWN)
    merged = repository.merged()
    has_migrations = any("migrations/" in path for path in merged)
    migrate = has_migrations and checks.may_migrate()
    # The user may have migrated the database by hand and repeated this command.
    lacks_them = has_migrations and not migrate and not checks.runs("app.cli", "db", "check")
    checks.migrate(migrate, has_migrations=lacks_them)
    checks.lint()
    if not options.skip_tests:
        code = [path for path in merged if path.endswith(".py")]
        with TemporaryDirectory(prefix="template-update-") as folder:
            checks.check_types(repository.project, Merger(repository, Path(folder)), repository, code)
    # The tests for the conflicting files run first, because they show sooner whether the conflicts were
    # resolved correctly.
    tests = {each for conflict in (found.conflicts if found else []) for each in conflict.tests}
    # A conflict may have been resolved by deleting or moving a test.
    tests = sorted(each for each in tests if (repository.project / each).exists())
    if not tests or "tests" in tests or checks.test(*tests):
        checks.test_all()
    return not checks.report_problems()

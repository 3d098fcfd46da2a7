"""Checks and tests the files that merged cleanly, even though others have conflicts."""

from template_update.checks import Checks
from template_update.copies import copy_of
from template_update.options import Options
from template_update.project import ProjectTools
from template_update.related_tests import ALL
from template_update.report import Report
from template_update.update import Update

_TESTED = ("app/", "tests/")
_MOST = 40
"""If there are more pytest arguments than this, run the whole suite: nearly all of it would run anyway."""


def check_what_merged(update: Update, tools: ProjectTools, report: Report, options: Options) -> None:
    """Run ruff, pyright and the tests for the files that merged cleanly.

    They run in a copy of the project that contains the user's side of each conflict.
    """
    conflicts = {update.repository.inside(path) for path in update.result.conflicts}
    merged = [path for path in map(update.repository.inside, update.result.changed) if path not in conflicts]
    if not any(path.startswith(_TESTED) for path in merged):
        return
    report.say("\nChecking the merged changes in a copy that contains your side of each conflict:")
    with copy_of(update.merger, update.repository, update.result.result) as copy:
        in_copy = tools.in_copy(copy)
        in_copy.install_dependencies()
        checks = Checks(in_copy, report, options)
        checks.lint()
        if options.skip_tests:
            report.say("Pyright and the tests were not run.")
        else:
            checks.check_types(copy, update.merger, update.repository, update.code_to_check())
            there = [path for path in merged if path.startswith(_TESTED) and (copy / path).is_file()]
            tests = {each for path in there for each in update.tests_of(path)}
            # The whole suite would reveal little more. It runs once the conflicts are resolved.
            if tests := sorted(tests - {ALL} or tests):
                checks.test(*(tests if len(tests) <= _MOST else [ALL]))
        checks.report_problems()

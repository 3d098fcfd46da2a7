"""Remove one protection at a time from a new project: the test that SECURITY.md names for it must fail.

    uv run python tests/mutations.py                          # every protection (takes minutes)
    uv run python tests/mutations.py --only cookie            # protections that contain this word
    uv run python tests/mutations.py --database postgresql    # the same on PostgreSQL

`protections.py` is the list. A mutation is killed if the test fails with an assertion. It has SURVIVED if the
test passes: the test does not cover the protection, so fix the test or name another one. It is BROKEN if
something else fails: its text is not in the file, or the application no longer works. In that case, adapt the
mutation.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import (
    POSTGRESQL,
    REDIS,
    WITH_FEATURES,
    add_machinery_tests,
    answers,
    clean_environment,
    project_of_template,
    python_of_project,
    snapshot,
)
from protections import PROTECTIONS, CannotBeApplied, Mutation

AT_ONCE = 2
LONGEST = 180
"""The time limit for one test in seconds. A mutation that makes the test hang is broken."""

KILLED, SURVIVED, BROKEN, SKIPPED = "killed", "SURVIVED", "BROKEN", "skipped"
NOT_AN_ASSERTION = re.compile(
    r"\b(NameError|UnboundLocalError|AttributeError|KeyError|TypeError|ImportError|ModuleNotFoundError): "
)
"""If this appears in a traceback or in the log, the mutation broke the code, so any test would fail."""


@dataclass(frozen=True)
class Result:
    mutation: Mutation
    outcome: str
    seconds: float
    output: str = ""

    def __str__(self) -> str:
        item = self.mutation.item or ""
        return (
            f"{self.outcome:8} {self.seconds:5.1f} s  {item:>2}  {self.mutation.name}  [{self.mutation.test}]"
        )


class Laboratory:
    """A new project, copies of which are changed and tested."""

    def __init__(self, folder: Path, database: str) -> None:
        (folder / "template").mkdir()
        self._folder = folder
        self._database = database
        project = project_of_template(snapshot(folder / "template"), folder / "project", **WITH_FEATURES)
        self._project = add_machinery_tests(project)
        self._python = python_of_project(self._project)

    def require_passing(self, mutations: Iterable[Mutation]) -> None:
        """Check that all named tests pass on the unchanged project, and that none is skipped."""
        databases = {self._database_for(each) for each in mutations}
        for database in sorted(databases):
            tests = {each.test for each in mutations if self._database_for(each) == database}
            done = self._test(self._project, database, *sorted(tests), "-n", str(AT_ONCE))
            summary = done.stdout.splitlines()[-1]
            print(f"Without a mutation, {database}: {summary}", flush=True)
            if done.returncode != 0 or "skipped" in summary:
                sys.exit(f"{done.stdout}\nThe tests have to pass before anything can be learned from them.")

    def try_out(self, mutation: Mutation) -> Result:
        """Apply *mutation* to a copy of the project and run its test."""
        begun = time.monotonic()
        copy = Path(tempfile.mkdtemp(dir=self._folder)) / "project"
        shutil.copytree(self._project, copy)
        try:
            mutation.apply(copy)
            done = self._test(copy, self._database_for(mutation), mutation.test, "-n", "0", "-x")
            outcome, output = outcome_of(done), done.stdout
        except CannotBeApplied as error:
            outcome, output = BROKEN, str(error)
        except subprocess.TimeoutExpired:
            outcome, output = BROKEN, f"The test had not ended after {LONGEST} s."
        shutil.rmtree(copy.parent)
        return Result(mutation, outcome, time.monotonic() - begun, output)

    def _database_for(self, mutation: Mutation) -> str:
        return "postgresql" if mutation.postgresql_only else self._database

    def _test(self, project: Path, database: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        paths = [str(path_of(project, each)) if "::" in each else each for each in arguments]
        environment = clean_environment()
        environment.pop("TEST_DATABASE_URL", None)
        if database == "postgresql":
            environment["TEST_DATABASE_URL"] = POSTGRESQL
        if answers(6379):
            environment["TEST_REDIS_URL"] = REDIS
        return subprocess.run(
            [
                self._python,
                "-m",
                "pytest",
                "-q",
                "--all",
                "-p",
                "no:cacheprovider",
                "--tb=short",
                "-rfE",
                *paths,
            ],
            cwd=project,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LONGEST if "-x" in arguments else None,
            check=False,
        )


def path_of(project: Path, test: str) -> str:
    """The node id of *test*, which SECURITY.md names without the folder."""
    name, _, function = test.partition("::")
    [path] = (project / "tests").rglob(name)
    return f"{path.relative_to(project)}::{function}"


def outcome_of(done: subprocess.CompletedProcess[str]) -> str:
    """1 is pytest's exit code for failed tests. A failing fixture is an error, not a failure."""
    if done.returncode == 0:
        return SURVIVED
    has_failed = done.returncode == 1 and re.search(r"^FAILED tests/", done.stdout, re.MULTILINE)
    return KILLED if has_failed and not NOT_AN_ASSERTION.search(done.stdout) else BROKEN


def examine(mutations: list[Mutation], database: str) -> list[Result]:
    """The outcome of each mutation, two at a time."""
    skipped = [each for each in mutations if each.postgresql_only and not answers(5432)]
    chosen = [each for each in mutations if each not in skipped]
    results = [Result(each, SKIPPED, 0.0, "no PostgreSQL server on 127.0.0.1:5432") for each in skipped]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        laboratory = Laboratory(Path(folder), database)
        laboratory.require_passing(chosen)
        running = [pool.submit(laboratory.try_out, each) for each in chosen]
        for done in as_completed(running):
            results.append(done.result())
            print(f"{len(results):3}/{len(mutations)}  {results[-1]}", flush=True)
    return sorted(results, key=lambda each: mutations.index(each.mutation))


def is_required(result: Result) -> bool:
    """Where services are required, as in CI, nothing may be skipped."""
    return result.outcome == SKIPPED and "REQUIRE_SERVICES" in os.environ


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", metavar="TEXT", help="item, or a part of name, file or test")
    parser.add_argument("--list", action="store_true", help="print the mutations without trying any")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    mutations = [each for each in PROTECTIONS if each.has(options.only)]
    if options.list:
        for each in mutations:
            print(f"{each.item or '':>2}  {each.name}  [{each.file}; {each.test}]")
        return 0
    if not mutations:
        parser.error(f"no mutation has {options.only!r} in it")
    try:
        results = examine(mutations, options.database)
    except pytest.fail.Exception as error:
        # Raised by the test helpers if the project cannot be created.
        sys.exit(str(error))
    bad = [each for each in results if each.outcome in (SURVIVED, BROKEN) or is_required(each)]
    for each in bad:
        print(f"\n{each}\n{each.output}")
    print("", *results, sep="\n")
    killed = sum(each.outcome == KILLED for each in results)
    print(f"\n{killed} of {len(results)} killed on {options.database}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

"""The project's tests tell users of `alembic merge` how to undo the merge, and the instructions work."""

import re
import subprocess
from pathlib import Path

import pytest
from conftest import Render, clean_environment, run

OWN_TESTS = ("-m", "pytest", "-q", "tests/test_migrations.py", "-k", "merges or label")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_merged_branches_can_be_undone_as_the_message_says(compiled: Render, python: Path, database: str):
    """test_docs.py follows docs/ownership.md, which undoes a merge on PostgreSQL."""
    project = compiled()
    url = {"DATABASE_URL": database}
    app, alembic = (python, "-m", "app.cli"), (python, "-m", "alembic")
    run(*app, "db", "upgrade", cwd=project, env=url)
    run(*alembic, "merge", "heads", "-m", "merge", cwd=project, env=url)
    run(*app, "db", "revision", "--empty", "-m", "later", cwd=project, env=url)
    run(*app, "db", "upgrade", cwd=project, env=url)

    said = failure_of(python, project)
    path = (
        project
        / re.search(r"^E? *(?:AssertionError: )?(migrations/\S+merge\.py) merges", said, re.MULTILINE)[1]
    )
    old, new = re.search(r"says (down_revision = \S+), write (down_revision = \S+)\.", said).groups()
    first, last = (command.split() for command in re.findall(r": uv run (.+)$", said, re.MULTILINE)[:2])
    run(*app, *first[1:], cwd=project, env=url)
    path.unlink()
    (later,) = (project / "migrations" / "versions").glob("*later.py")
    later.write_text(later.read_text().replace(old, new))
    run(python, "-m", *last, cwd=project, env=url)

    assert (first[0], last[0]) == ("app", "alembic")
    run(python, *OWN_TESTS, cwd=project)
    run(*app, "db", "revision", "--empty", "-m", "one more", cwd=project, env=url)
    run(*app, "db", "upgrade", cwd=project, env=url)
    run(*app, "db", "check", cwd=project, env=url)
    current = run(*app, "db", "current", cwd=project, env=url)
    assert sorted(re.findall(r"\w+_\d{4}(?= \()", current)) == ["mail_0003", "scheduler_0001", "users_0007"]


def test_two_heads_of_your_branch_can_be_merged_as_the_message_says(
    compiled: Render, python: Path, tmp_path: Path
):
    project = compiled()
    url = {"DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'app.db'}"}
    versions = project / "migrations" / "versions"
    revision = (versions / "app_0001_base.py").read_text()
    for name in ("here", "there"):
        of_this = re.sub(
            r'revision = "app_0001"\ndown_revision = None',
            f'revision = "{name}"\ndown_revision = "app_0002"',
            revision,
        )
        (versions / f"{name}.py").write_text(of_this.replace('("app",)', "None"))

    said = failure_of(python, project)
    command = re.search(r'uv run alembic merge -m "merge" (.+)$', said, re.MULTILINE)[1]
    run(python, "-m", "alembic", "merge", "-m", "merge", *command.split(), cwd=project, env=url)

    run(python, *OWN_TESTS, cwd=project)


def failure_of(python: Path, project: Path) -> str:
    """The output of the project's tests, which must fail."""
    done = subprocess.run(
        [python, *OWN_TESTS],
        cwd=project,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return done.stdout

"""`template-update` on a small template and project. Each test has a template with the tag 1.0.0, a project
generated from it, and a change to either.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copier import run_copy
from typer.testing import CliRunner, Result

from template_update import rendering
from template_update.command import cli
from template_update.project import ProjectTools

LINES = "".join(f"line {number}\n" for number in range(1, 21))
TEMPLATE = {
    "copier.yml": """
_subdirectory: template
_envops:
  block_start_string: "[%"
  block_end_string: "%]"
  variable_start_string: "[["
  variable_end_string: "]]"
_skip_if_exists: [/README.md, /.env, /app/notes.py]
_exclude: ["[% if not docker %]/Dockerfile[% endif %]"]
project_name: {type: str, default: My app}
color: {type: str, choices: [red, green], default: red}
docker: {type: bool, default: true}
example: {type: bool, default: true}
slug: {type: str, when: false, default: my-app}
""",
    "CHANGELOG.md": "# Changelog\n\n## 1.0.0\n\n- The first.\n",
    "template/.copier-answers.yml.jinja": "[[ _copier_answers | to_nice_yaml ]]",
    "template/.gitignore": ".env\n",
    "template/.env.jinja": "SECRET_KEY=[[ range(99999) | random ]]\n",
    "template/README.md": "Read me.\n",
    "template/Dockerfile": "FROM scratch\n",
    "template/app/code.py": LINES,
    "template/app/notes.py": "# An example.\n",
    "template/tests/test_code.py": LINES,
    "template/migrations/0001.py": "# One.\n",
}


class Repository:
    """A git repository with shorthands for the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
        environment = os.environ | dict.fromkeys(names, "tests@example.com")
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def commit(self, files: dict[str, str | bytes | None] | None = None, *, tag: str = "") -> None:
        """Write *files* and commit. A file whose content is None is deleted."""
        for name, content in (files or {}).items():
            path = self.folder / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")
        if tag:
            self.git("tag", tag)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")

    def tree(self) -> dict[str, bytes]:
        """Every file of the working tree."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


def copied(template: Path, folder: Path, version: str = "1.0.0", **answers: object) -> None:
    run_copy(str(template), folder, data=answers, vcs_ref=version, defaults=True, quiet=True)


@pytest.fixture(autouse=True)
def bare_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Creates repositories without git's sample hooks, because the tests create many."""
    monkeypatch.setenv("GIT_TEMPLATE_DIR", "")


@pytest.fixture(scope="module")
def first_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the template, tagged 1.0.0, and a project. Every test copies the folder."""
    folder = tmp_path_factory.mktemp("first")
    Repository(folder / "template").commit(dict(TEMPLATE), tag="1.0.0")
    copied(folder / "template", folder / "project")
    return folder


@pytest.fixture
def template(first_version: Path, tmp_path: Path) -> Repository:
    """A template with the tag 1.0.0."""
    shutil.copytree(first_version / "template", tmp_path / "template")
    return Repository(tmp_path / "template")


@pytest.fixture
def project(first_version: Path, template: Repository, tmp_path: Path) -> Repository:
    """A project of 1.0.0, as it was generated."""
    shutil.copytree(first_version / "project", tmp_path / "project")
    project = Repository(tmp_path / "project")
    answers = project.read(".copier-answers.yml")
    moved = answers.replace(str(first_version / "template"), str(template.folder))
    project.commit({".copier-answers.yml": moved})
    return project


type Run = Callable[..., Result]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that would have run after the merge, in order; all of them succeed."""
    ran: list[str] = []
    monkeypatch.setenv("UV_NO_SYNC", "1")
    monkeypatch.setattr(ProjectTools, "has", lambda tools, module: True)
    monkeypatch.setattr(ProjectTools, "run", lambda tools, *command: not ran.append(" ".join(command)))
    monkeypatch.setattr(ProjectTools, "said", lambda tools, *command: ran.append(" ".join(command)) or "{}")
    return ran


@pytest.fixture
def quick_copier(first_version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs Copier in this process, because starting a new one would take longer than the work itself."""

    def render(copies: list[rendering.Copy]) -> None:
        for copy in copies:
            if (copy.version, copy.answers.get("docker")) == ("1.0.0", True):
                shutil.copytree(first_version / "project", copy.folder)
            else:
                copied(copy.template, copy.folder, copy.version, **copy.answers)

    monkeypatch.setattr(rendering, "render", render)


@pytest.fixture
def update_with_copier(project: Repository, monkeypatch: pytest.MonkeyPatch, ran: list[str]) -> Run:
    """`update("--check")`: run the command in the project."""

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    monkeypatch.chdir(project.folder)
    return run


@pytest.fixture
def update(update_with_copier: Run, quick_copier: None) -> Run:
    return update_with_copier


def fixed(line: int, *, text: str = LINES) -> str:
    """*text* with one line changed, as in a newer version of the template."""
    return text.replace(f"line {line}\n", f"line {line}, mended\n")


# What is merged


def test_an_unedited_project_becomes_a_fresh_copy(
    template: Repository, project: Repository, update_with_copier: Run, tmp_path: Path
) -> None:
    template.commit(
        {
            "template/app/code.py": fixed(3),
            "template/app/new.py": "# New.\n",
            "template/Dockerfile": "FROM x\n",
        },
        tag="1.1.0",
    )

    result = update_with_copier("--yes")

    copied(template.folder, tmp_path / "fresh", "1.1.0")
    fresh = Repository(tmp_path / "fresh").tree()
    assert (result.exit_code, result.output.count("files change.")) == (0, 1)
    assert project.tree() | {".env": b""} == fresh | {".env": b""}


def test_changes_to_different_lines_are_merged(
    template: Repository, project: Repository, update: Run
) -> None:
    project.commit({"app/code.py": LINES.replace("line 10\n", "line 10\nmine\n")})
    template.commit({"template/app/code.py": fixed(12)}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert project.read("app/code.py") == fixed(12, text=LINES.replace("line 10\n", "line 10\nmine\n"))


def test_an_edit_stays_in_its_function_despite_a_similar_one(
    template: Repository, project: Repository, update: Run
) -> None:
    alike = "def {}():\n    a = 1\n    b = 2\n    c = 3\n    return a\n\n\n"
    old = alike.format("one")
    mine = old.replace("b = 2", "b = 2000")
    template.commit({"template/app/code.py": old}, tag="1.0.1")
    update()
    project.commit()
    project.commit({"app/code.py": mine})
    template.commit({"template/app/code.py": alike.format("zero") + old}, tag="1.1.0")

    update()

    assert project.read("app/code.py") == alike.format("zero") + alike.format("one").replace(
        "b = 2", "b = 2000"
    )


def test_a_function_above_one_that_the_template_changes_is_merged(
    template: Repository, project: Repository, update: Run
) -> None:
    first, last = "def first():\n    return 1\n", "def last():\n    return 3\n"
    own, renamed = "def own():\n    return 2\n", last.replace("last", "final")
    template.commit({"template/app/alike.py": f"{first}\n\n{last}"}, tag="1.0.1")
    update()
    project.commit({"app/alike.py": f"{first}\n\n{own}\n\n{last}"})
    template.commit({"template/app/alike.py": f"{first}\n\n{renamed}"}, tag="1.1.0")

    result = update()

    # On its own, git would place the added blank lines below the function, next to the change.
    assert project.read("app/alike.py") == f"{first}\n\n{own}\n\n{renamed}"
    assert result.exit_code == 0


NOTES = """async def delete_note(session, note):
    await session.delete(note)
    await session.commit()
    return None


async def archive_note(session, note):
    note.archived = True
    await session.commit()
    return None
"""
DELETE_NOTE = NOTES[: NOTES.index("\n\nasync def archive")]
ARCHIVE_NOTE = NOTES.removeprefix(DELETE_NOTE)
PIN_NOTE = ARCHIVE_NOTE.replace("archive", "pin")


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (DELETE_NOTE, NOTES.replace("note.archived = True", "note.archive()")),
        (DELETE_NOTE, DELETE_NOTE + ARCHIVE_NOTE.replace("return None", "return note")),
        (DELETE_NOTE + PIN_NOTE + ARCHIVE_NOTE, DELETE_NOTE.replace("return None", "return note")),
    ],
    ids=["a function deleted", "a function deleted whose end changes", "a function added to one deleted"],
)
def test_a_conflict_stays_one_although_the_lines_would_fit_elsewhere(
    template: Repository, project: Repository, update: Run, mine: str, theirs: str
) -> None:
    template.commit({"template/app/routes.py": NOTES}, tag="1.0.1")
    update()
    project.commit({"app/routes.py": mine})
    template.commit({"template/app/routes.py": theirs}, tag="1.1.0")

    result = update()

    assert "app/routes.py: you and the template changed the same lines." in result.output


def test_your_own_binary_file_is_kept(template: Repository, project: Repository, update: Run) -> None:
    template.commit({"template/app/list.gz": b"\0one"}, tag="1.0.1")
    update()
    project.commit({"app/list.gz": b"\0mine", "logo.png": b"\0\1\2"})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert project.tree()["app/list.gz"] == b"\0mine"
    assert project.tree()["logo.png"] == b"\0\1\2"


CALLS = """def first():
    return join("one argument that is long", "another argument", "a third one")


def second():
    return join("one argument that is long", "another argument", "a fourth one")
"""
NARROW = """def first():
    return join(
        "one argument that is long",
        "another argument",
        "a third one",
    )


def second():
    return join(
        "one argument that is long",
        "another argument",
        "a fourth one",
    )
"""


def test_a_project_with_another_line_length_keeps_it(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({"template/app/calls.py": CALLS, "template/app/odd.py": CALLS}, tag="1.0.1")
    update()
    project.commit()
    narrow = NARROW.replace('"a third one"', '"mine"')
    unformatted = CALLS.replace("first()", "first ( )")
    project.commit({"ruff.toml": "line-length = 50\n", "app/calls.py": narrow, "app/odd.py": unformatted})
    mended = CALLS.replace('"a fourth one"', '"a fifth one"')
    template.commit({f"template/app/{name}.py": mended for name in ("calls", "odd", "new")}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert project.read("app/calls.py") == narrow.replace('"a fourth one"', '"a fifth one"')
    assert project.read("app/odd.py") == unformatted.replace('"a fourth one"', '"a fifth one"')
    assert project.read("app/new.py") == NARROW.replace('"a fourth one"', '"a fifth one"')


def test_the_projects_ruff_is_used_if_present(
    template: Repository, project: Repository, update: Run, tmp_path: Path
) -> None:
    ruff = project.folder / ".venv" / "bin" / "ruff"
    ruff.parent.mkdir(parents=True)
    ruff.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/ran\nexec {sys.executable} -m ruff "$@"\n')
    ruff.chmod(0o755)
    project.commit({"ruff.toml": "line-length = 50\n", ".gitignore": ".env\n/.venv\n"})
    template.commit({"template/app/calls.py": CALLS}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert set((tmp_path / "ran").read_text().split()) == {"format"}


def test_modules_of_the_project_are_not_imported(
    template: Repository, project: Repository, update_with_copier: Run
) -> None:
    broken = 'raise SystemExit("This is not the module that was meant.")\n'
    project.commit({f"{name}.py": broken for name in ("copier", "ruff", "yaml")})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update_with_copier("--skip-tests")

    assert result.exit_code == 0
    assert project.read("app/code.py") == fixed(3)


def test_everything_is_staged_and_nothing_committed(
    template: Repository, project: Repository, update: Run
) -> None:
    before = project.git("rev-parse", "HEAD")
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    update()

    assert project.git("status", "--porcelain") == "M  .copier-answers.yml\nM  app/code.py\n"
    assert project.git("rev-parse", "HEAD") == before
    assert "_commit: 1.1.0\n" in project.read(".copier-answers.yml")


def test_the_next_update_continues_from_there(template: Repository, project: Repository, update: Run) -> None:
    project.commit({"app/code.py": LINES.replace("line 20\n", "mine\n")})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    update()
    project.commit()
    template.commit({"template/app/code.py": fixed(9, text=fixed(3))}, tag="1.2.0")

    result = update()

    assert result.exit_code == 0
    assert project.read("app/code.py") == fixed(9, text=fixed(3)).replace("line 20\n", "mine\n")


def test_only_the_project_in_a_larger_repository_is_updated(
    template: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: Run
) -> None:
    copied(template.folder, tmp_path / "all" / "services" / "shop")
    everything = Repository(tmp_path / "all")
    everything.commit({"README.md": "Of all.\n", "services/shop/app/code.py": LINES + "mine\n"})
    monkeypatch.chdir(everything.folder / "services" / "shop")
    template.commit({"template/app/code.py": fixed(3), "template/app/gone.py": ""}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert everything.read("services/shop/app/code.py") == fixed(3) + "mine\n"
    assert everything.read("README.md") == "Of all.\n"


# Ownership


def test_your_own_files_are_kept_and_template_changes_shown(
    template: Repository, project: Repository, update: Run
) -> None:
    secret = project.read(".env")
    project.commit({"README.md": "Mine.\n", "uv.lock": "locked\n"})
    template.commit({"template/README.md": "Read me well.\n", "template/.env.jinja": "NEW=1\n"}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert [project.read(name) for name in ("README.md", "uv.lock", ".env")] == [
        "Mine.\n",
        "locked\n",
        secret,
    ]
    assert "+Read me well." in result.output
    assert "SECRET_KEY" not in result.output


@pytest.mark.parametrize("name", ["README.md", "app/notes.py"])
def test_a_deleted_copied_once_file_is_not_restored(
    template: Repository, project: Repository, update: Run, name: str
) -> None:
    project.commit({name: None})
    template.commit({f"template/{name}": "Another.\n"}, tag="1.1.0")

    result = update()

    assert (result.exit_code, name in project.tree()) == (0, False)


def test_a_missing_env_file_is_not_created(template: Repository, project: Repository, update: Run) -> None:
    (project.folder / ".env").unlink()
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    update()

    assert ".env" not in project.tree()


def test_a_new_copied_once_file_is_added_by_its_first_version(
    template: Repository, project: Repository, update: Run
) -> None:
    listed = TEMPLATE["copier.yml"].replace("/.env,", "/.env, /app/hooks.py,")
    template.commit({"copier.yml": listed, "template/app/hooks.py": "# Yours.\n"}, tag="1.1.0")

    update()

    assert project.read("app/hooks.py") == "# Yours.\n"


# What needs attention


def test_a_conflict_is_marked_and_reported(
    template: Repository, project: Repository, update: Run, ran: list[str]
) -> None:
    project.commit({"app/code.py": LINES.replace("line 3\n", "mine\n")})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update("--yes")

    assert result.exit_code == 1
    assert "app/code.py: you and the template changed the same lines." in result.output
    assert "<<<<<<< yours\nmine\n=======\nline 3, mended\n>>>>>>> the template's\n" in project.read(
        "app/code.py"
    )
    assert "UU app/code.py" in project.git("status", "--porcelain")
    assert ran == []


def test_a_binary_file_changed_on_both_sides_is_a_conflict(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({"template/app/list.gz": b"\0one"}, tag="1.0.1")
    update()
    project.commit({"app/list.gz": b"\0mine"})
    template.commit({"template/app/list.gz": b"\0two"}, tag="1.1.0")

    result = update()

    assert result.exit_code == 1
    assert "app/list.gz: " in result.output
    assert project.tree()["app/list.gz"] == b"\0mine"


def test_a_file_added_on_both_sides_is_a_conflict_without_loss(
    template: Repository, project: Repository, update: Run
) -> None:
    project.commit({"app/new.py": "mine = 1\n"})
    template.commit({"template/app/new.py": "theirs = 2\n"}, tag="1.1.0")

    result = update()

    assert result.exit_code == 1
    assert "mine = 1\n" in project.read("app/new.py")
    assert "theirs = 2\n" in project.read("app/new.py")


def test_a_change_to_a_moved_file_follows_it_and_is_reported(
    template: Repository, project: Repository, update: Run, ran: list[str]
) -> None:
    project.commit({"app/code.py": None, "app/mine/core.py": LINES})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update("--skip-tests")

    assert result.exit_code == 1
    assert "app/code.py: the template changed this file and you moved it to app/mine/core.py" in result.output
    assert project.read("app/mine/core.py") == fixed(3)
    assert "app/code.py" not in project.tree()


def test_only_a_change_that_was_merged_into_a_moved_file_is_reported(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({"template/tests/more/__init__.py": ""}, tag="1.0.1")
    update()
    project.commit()
    (project.folder / "deploy").mkdir()
    project.git("mv", "Dockerfile", "deploy/Dockerfile")
    project.commit({"tests/more/__init__.py": None, "app/own/__init__.py": ""})
    more = {"template/tests/more/__init__.py": "# More.\n"}
    template.commit(more | {"template/Dockerfile": None}, tag="1.1.0")

    result = update()

    assert "The change was merged there." not in result.output
    assert "deploy/Dockerfile: the template removed this file and you changed it." in result.output


@pytest.mark.parametrize(("name", "exit_code"), [("app/code.py", 1), ("tests/test_code.py", 0)])
def test_a_change_to_a_deleted_file_is_reported(
    template: Repository, project: Repository, update: Run, name: str, exit_code: int
) -> None:
    project.commit({name: None})
    template.commit({f"template/{name}": fixed(3)}, tag="1.1.0")

    result = update()

    assert (result.exit_code, name in project.tree()) == (exit_code, False)
    shown = re.search("`git (diff .*)`", result.output)
    assert shown is not None
    assert "+line 3, mended" in project.git(*shown[1].split())


def test_an_edited_file_that_the_template_dropped_is_kept(
    template: Repository, project: Repository, update: Run
) -> None:
    project.commit({"app/code.py": LINES + "mine\n"})
    template.commit({"template/app/code.py": None}, tag="1.1.0")

    result = update()

    assert result.exit_code == 1
    assert "app/code.py: the template removed this file" in result.output
    assert project.read("app/code.py") == LINES + "mine\n"


# After the merge


def test_after_the_update_the_database_is_migrated_and_checked(
    template: Repository, update: Run, ran: list[str]
) -> None:
    template.commit({"template/migrations/0002.py": "# Two.\n"}, tag="1.1.0")

    result = update("--yes")

    assert result.exit_code == 0
    assert ran == [
        "app.cli db upgrade",
        "app.cli db check",
        "ruff check --quiet",
        "pyright --outputjson app/notes.py migrations/0002.py",
        "pytest -q -n 2",
    ]


def test_without_confirmation_nothing_is_migrated_and_that_is_reported(
    template: Repository, update: Run, ran: list[str]
) -> None:
    template.commit({"template/migrations/0002.py": "# Two.\n"}, tag="1.1.0")

    result = update("--skip-tests")

    assert result.exit_code == 1
    assert "The database lacks new migrations: run `uv run app db upgrade`." in result.output
    assert ran == ["ruff check --quiet"]


def test_failures_after_the_update_are_reported(
    template: Repository, update: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    monkeypatch.setattr(ProjectTools, "run", lambda tools, *command: command[0] != "pytest")

    result = update("--yes")

    assert result.exit_code == 1
    assert "`uv run pytest` failed (see above)." in result.output


# What changed in the template


CHANGES = """# Changelog

## Unreleased

- Not yet.

## 1.2.0 (2026-11-25)

- A feature (`app/new.py`).

### Security

- A hole is closed (`app/code.py`).

## 1.1.0

- A smaller one.

## 1.0.0

- The first.
"""


def test_it_prints_the_changelog_with_security_first(template: Repository, update: Run) -> None:
    template.commit({"CHANGELOG.md": CHANGES}, tag="1.2.0")

    output = update().output

    said = [output.index(text) for text in ("From 1.0.0 to 1.2.0", "A hole", "A feature", "A smaller one")]
    assert said == sorted(said)
    assert "The first." not in output
    assert "Not yet." not in output


def test_it_says_if_nothing_is_new(project: Repository, update: Run) -> None:
    result = update()

    assert result.exit_code == 0
    assert "Nothing to pull: this project is at 1.0.0" in result.output
    assert project.git("status", "--porcelain") == ""


def test_prereleases_are_skipped_by_default(template: Repository, update: Run) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0rc1")

    assert "Nothing to pull" in update().output
    assert "From 1.0.0 to 1.1.0rc1" in update("--to", "1.1.0rc1").output


def test_it_updates_to_the_requested_version(template: Repository, project: Repository, update: Run) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="v1.1.0")
    template.commit({"template/app/code.py": fixed(4)}, tag="v1.2.0")

    update("--to", "1.1.0")

    assert project.read("app/code.py") == fixed(3)


def test_it_updates_to_an_untagged_commit(template: Repository, project: Repository, update: Run) -> None:
    template.commit({"template/app/code.py": fixed(3)})

    result = update("--to", "HEAD")

    assert result.exit_code == 0
    assert project.read("app/code.py") == fixed(3)
    assert f"_commit: {template.git('describe', '--tags').strip()}\n" in project.read(".copier-answers.yml")


def test_without_tags_it_updates_to_the_newest_commit(
    template: Repository, project: Repository, update: Run
) -> None:
    first = template.git("rev-parse", "1.0.0").strip()
    answers = project.read(".copier-answers.yml").replace("_commit: 1.0.0", f"_commit: {first}")
    project.commit({".copier-answers.yml": answers})
    template.git("tag", "--delete", "1.0.0")
    template.commit({"template/app/code.py": fixed(3)})

    update()

    assert project.read("app/code.py") == fixed(3)


def test_a_version_whose_tag_gained_a_v_is_still_found(
    template: Repository, project: Repository, update_with_copier: Run
) -> None:
    template.git("tag", "v1.0.0", "1.0.0")
    template.git("tag", "--delete", "1.0.0")
    template.commit({"template/app/code.py": fixed(3)}, tag="v1.1.0")

    update_with_copier()

    assert project.read("app/code.py") == fixed(3)


@pytest.mark.parametrize("conflicts", [False, True])
def test_check_reports_and_changes_nothing(
    template: Repository, project: Repository, update: Run, conflicts: bool
) -> None:
    project.commit({"app/code.py": LINES.replace("line 3\n", "mine\n")})
    template.commit({"template/app/code.py": fixed(3 if conflicts else 9)}, tag="1.1.0")
    before = project.tree()

    result = update("--check")

    assert result.exit_code == 2
    assert ("The update would conflict." in result.output, "without a conflict" in result.output) == (
        conflicts,
        not conflicts,
    )
    assert (project.tree(), project.git("status", "--porcelain")) == (before, "")


def test_check_succeeds_if_nothing_is_new(update: Run) -> None:
    assert update("--check").exit_code == 0


# Another answer


def test_a_feature_can_be_turned_off_and_on(project: Repository, update: Run) -> None:
    before = project.tree()

    off = update("--answers", "docker=false")
    without = project.tree()
    project.commit()
    on = update("--answers", "docker=true")

    assert (off.exit_code, on.exit_code) == (0, 0)
    assert before.keys() - without.keys() == {"Dockerfile"}
    assert project.tree() == before


def test_edited_files_of_a_disabled_feature_are_kept(project: Repository, update: Run) -> None:
    project.commit({"Dockerfile": "FROM mine\n"})

    result = update("--answers", "docker=false")

    assert result.exit_code == 1
    assert "Dockerfile: the template removed this file" in result.output
    assert project.read("Dockerfile") == "FROM mine\n"


def test_changing_an_answer_keeps_the_version(template: Repository, project: Repository, update: Run) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    update("--answers", "docker=false")

    assert "_commit: 1.0.0\n" in project.read(".copier-answers.yml")
    assert project.read("app/code.py") == LINES


def test_repeating_an_answer_changes_nothing(project: Repository, update: Run) -> None:
    result = update("--answers", "docker=true")

    assert (result.exit_code, "Nothing to pull" in result.output) == (0, True)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("doker=false", "The names are project_name, color, docker, example"),
        ("docker", "Write NAME=VALUE"),
        ("slug=x", "is not an answer"),
        ("docker=maybe", "docker must be true or false"),
        ("color=blue", "cannot be used"),
        ("example=false", "copied only once"),
    ],
)
def test_an_impossible_answer_is_refused(
    project: Repository, update_with_copier: Run, change: str, sentence: str
) -> None:
    result = update_with_copier("--answers", change)

    assert result.exit_code == 1
    assert sentence in result.output
    assert project.git("status", "--porcelain") == ""


# Why it cannot continue


def uncommitted(project: Repository, template: Repository) -> None:
    (project.folder / "app" / "code.py").write_text("mine\n")


def without_git(project: Repository, template: Repository) -> None:
    (project.folder / ".git").rename(project.folder / "no-git")


def without_answers(project: Repository, template: Repository) -> None:
    project.commit({".copier-answers.yml": None})


def in_another_folder(project: Repository, template: Repository) -> None:
    (project.folder / "app" / "elsewhere").mkdir()
    os.chdir(project.folder / "app" / "elsewhere")


def with_other_answers(project: Repository, template: Repository) -> None:
    project.commit({".copier-answers.yml": "docker: [\n"})


def with_half_answers(project: Repository, template: Repository) -> None:
    project.commit({".copier-answers.yml": "docker: true\n"})


def with_a_relative_source(project: Repository, template: Repository) -> None:
    project.commit({".copier-answers.yml": "_src_path: ../template\n_commit: 1.0.0\n"})


def without_the_template(project: Repository, template: Repository) -> None:
    template.folder.rename(template.folder.parent / "elsewhere")


def without_the_tag(project: Repository, template: Repository) -> None:
    template.git("tag", "--delete", "1.0.0")


@pytest.mark.parametrize(
    ("made_wrong", "sentence"),
    [
        (uncommitted, "Commit or stash these changes first"),
        (without_git, "git init && git add -A"),
        (without_answers, ".copier-answers.yml is missing"),
        (in_another_folder, "Run this command in the folder that contains the file"),
        (with_other_answers, ".copier-answers.yml cannot be read"),
        (with_half_answers, "lacks _src_path or _commit"),
        (with_a_relative_source, "Write its URL or absolute path"),
        (without_the_template, "If it has moved"),
        (without_the_tag, "has no version 1.0.0"),
    ],
)
def test_obstacles_are_explained(
    template: Repository,
    project: Repository,
    update: Run,
    made_wrong: Callable[[Any, Any], None],
    sentence: str,
) -> None:
    made_wrong(project, template)
    before = project.tree()

    result = update()

    assert result.exit_code == 1
    assert sentence in result.output
    assert project.tree() == before


def test_without_uv_it_says_how_to_install_it(
    project: Repository, update: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", "")

    result = update()

    assert result.exit_code == 1
    assert "`pip install uv`" in result.output


def test_an_unknown_version_is_refused_with_a_list(template: Repository, update: Run) -> None:
    template.commit(tag="1.1.0")

    result = update("--to", "7")

    assert result.exit_code == 1
    assert "It has: 1.0.0, 1.1.0." in result.output


def test_an_older_version_is_refused(template: Repository, project: Repository, update: Run) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    update()
    project.commit()

    result = update("--to", "1.0.0")

    assert result.exit_code == 1
    assert "Use git to go back." in result.output


def test_a_lower_release_that_lacks_the_projects_version_is_not_newer(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="2.0.0rc1")
    update("--to", "2.0.0rc1")
    project.commit()
    template.git("checkout", "--quiet", "-b", "fix", "1.0.0")
    template.commit({"template/app/code.py": fixed(9)}, tag="1.0.1")

    lower = update("--check")
    template.git("tag", "2.0.1")
    higher = update("--check")

    assert (lower.exit_code, "Nothing to pull" in lower.output) == (0, True)
    assert (higher.exit_code, "From 2.0.0rc1 to 2.0.1" in higher.output) == (2, True)


def test_a_release_that_lacks_the_projects_commit_must_be_requested(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({"template/app/code.py": fixed(3)})
    update("--to", "HEAD")
    project.commit()
    template.git("checkout", "--quiet", "-b", "fix", "1.0.0")
    template.commit({"template/app/code.py": fixed(9)}, tag="1.0.1")

    result = update()

    assert (result.exit_code, project.git("status", "--porcelain")) == (1, "")
    assert "`uv run app template-update --to 1.0.1`" in " ".join(result.output.split())


def test_the_users_settings_for_copier_answer_no_question(
    template: Repository,
    project: Repository,
    update_with_copier: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "settings.yml").write_text("defaults: {fast: true}\n")
    monkeypatch.setenv("COPIER_SETTINGS_PATH", str(tmp_path / "settings.yml"))
    questions = template.read("copier.yml").replace("slug:", "fast: {type: bool, default: false}\nslug:")
    template.commit({"copier.yml": questions}, tag="1.1.0")

    update_with_copier()

    assert "fast: false\n" in project.read(".copier-answers.yml")


def test_untracked_files_are_not_overwritten(template: Repository, project: Repository, update: Run) -> None:
    project.commit({".gitignore": ".env\n/local\n"})
    project.commit()
    (project.folder / "local").write_text("mine")
    template.commit({"template/local": "theirs"}, tag="1.1.0")

    result = update()

    assert result.exit_code == 1
    assert project.read("local") == "mine"

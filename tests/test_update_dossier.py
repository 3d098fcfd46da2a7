"""`template-update` for people and agents: the dossier of the conflicts, `--continue`, `--show`, the data and
the summary.

The template and the project are those of test_template_update.py.
"""

import json
import os
import pty
import re
from contextlib import suppress
from pathlib import Path

import pytest
from test_template_update import (
    LINES,
    Repository,
    Run,
    bare_git,
    first_version,
    fixed,
    project,
    quick_copier,
    ran,
    template,
    update,
    update_with_copier,
)
from test_update_states import shop, with_findings

from template_update.changelog import News
from template_update.conflicts import entries_about
from template_update.options import Options
from template_update.project import ProjectTools
from template_update.related_tests import related_tests
from template_update.report import Report

__all__ = [
    "bare_git",
    "first_version",
    "project",
    "quick_copier",
    "ran",
    "shop",
    "template",
    "update",
    "update_with_copier",
]

NEWS = """# Changelog

## 1.1.0

### Security

- A hole is closed
  (`app/code.py`).

### Changed

- More of the same (`app/code.py`, `tests/test_code.py`).
- Another thing (`app/other.py`).
"""


def in_conflict(template: Repository, project: Repository, folder: str = "") -> None:
    """Make the next update conflict in two files, one of which has a test."""
    mine = {"app/code.py": LINES.replace("line 3\n", "mine\n"), "tests/test_code.py": LINES + "mine\n"}
    project.commit({f"{folder}{path}": text for path, text in mine.items()})
    theirs = {"template/app/code.py": fixed(3), "template/tests/test_code.py": LINES + "theirs\n"}
    template.commit(theirs | {"CHANGELOG.md": NEWS}, tag="1.1.0")


def page(repository: Repository, number: int, folder: str = ".template-update") -> str:
    (found,) = (repository.folder / folder).glob(f"{number}-*.md")
    return found.read_text("utf-8")


def resolve(repository: Repository, path: str) -> None:
    file = repository.folder / path
    file.write_text(re.sub(r"^<<<<<<<.*?^>>>>>>> .*?$", "both", file.read_text(), flags=re.M | re.S))
    repository.git("add", path)


# The dossier


def test_each_conflict_has_a_page_with_the_three_versions_the_changelog_and_the_tests(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)

    result = update()

    assert result.exit_code == 1
    assert ".template-update/README.md describes the conflicts one by one." in result.output
    first, second = page(project, 1), page(project, 2)
    for text in ("Yours:\n\n```\nmine", "1.0.0:\n\n```\nline 3", "1.1.0:\n\n```\nline 3, mended"):
        assert f"{text}\n```" in first
    versions = [project.read(f".template-update/1/{name}.py") for name in ("yours", "old", "new")]
    assert versions == [LINES.replace("line 3\n", "mine\n"), LINES, fixed(3)]
    assert "- 1.1.0: security, A hole is closed\n  (`app/code.py`).\n" in first
    assert "- 1.1.0: More of the same" in first
    assert "Another thing" not in first
    assert second.endswith("```sh\ngit add tests/test_code.py\nuv run pytest tests/test_code.py\n```\n")


def test_the_index_names_what_is_left_and_the_commands(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)

    update()

    index = project.read(".template-update/README.md")
    assert index.startswith("# Template update from 1.0.0 to 1.1.0\n\n2 of 2 conflicts are left.")
    assert "- [ ] [app/code.py](1-app-code.py.md): you and the template changed the same lines.\n" in index
    assert "```sh\nuv run app template-update --continue\n```" in index
    assert "If a conflict keeps the command from starting, `git diff --check` lists" in index


def test_git_sees_nothing_of_the_dossier(template: Repository, project: Repository, update: Run) -> None:
    in_conflict(template, project)

    update("--dry-run", "--dossier", "notes/of the update")

    assert project.git("status", "--porcelain", "--untracked-files=all") == ""
    assert "1.1.0" in project.read("notes/of the update/README.md")


def test_a_dry_run_writes_no_dossier_unless_told(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)

    update("--dry-run")

    assert not (project.folder / ".template-update").exists()


def test_a_folder_of_somebody_else_is_not_replaced(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)

    result = update("--dossier", "app")

    assert (result.exit_code, "Choose another folder for --dossier." in " ".join(result.output.split())) == (
        1,
        True,
    )
    assert project.git("status", "--porcelain") == ""


def test_the_next_update_removes_the_old_dossier(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)
    update()
    project.git("reset", "--quiet", "--hard", "HEAD~1")

    update("--skip-tests")

    assert not (project.folder / ".template-update").exists()


def test_nothing_that_is_written_or_said_has_a_secret(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)
    secret = project.read(".env").strip().partition("=")[2]
    url = "https://ada:hunter2-of-the-template@127.0.0.1:1/template"
    answers = project.read(".copier-answers.yml")
    project.commit(
        {".copier-answers.yml": answers.replace(f"_src_path: {template.folder}", f"_src_path: {url}")}
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_COUNT", "1")
        patch.setenv("GIT_CONFIG_KEY_0", f"url.{template.folder}.insteadOf")
        patch.setenv("GIT_CONFIG_VALUE_0", url)
        told = update("--json", "--summary", "summary.md")
    unreachable = update("--check")

    written = [path for path in (project.folder / ".template-update").rglob("*") if path.is_file()]
    texts = [path.read_text("utf-8") for path in (*written, project.folder / "summary.md")]
    texts += [told.stdout, told.stderr, unreachable.output]
    assert len(texts) > 11
    assert "cannot be fetched from https://127.0.0.1:1/template" in unreachable.output
    assert [text for text in texts if secret in text or "hunter2" in text] == []


def test_a_summary_that_cannot_be_written_is_an_error(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update("--dry-run", "--summary", "nowhere/summary.md")

    assert (result.exit_code, "nowhere/summary.md cannot be written: No such file" in result.output) == (
        1,
        True,
    )


def binary(template: Repository, project: Repository) -> None:
    project.commit({"app/list.gz": b"\0mine"})
    template.commit({"template/app/list.gz": b"\0theirs\xff"}, tag="1.1.0")


def without_a_common_version(template: Repository, project: Repository) -> None:
    project.commit({"app/new.py": "mine = 1\n"})
    template.commit({"template/app/new.py": "theirs = '```'\n"}, tag="1.1.0")


def test_a_binary_file_has_its_versions(template: Repository, project: Repository, update: Run) -> None:
    binary(template, project)

    update()

    assert "old.gz" not in page(project, 1)
    assert "there is no such file" in page(project, 1)
    assert (project.folder / ".template-update/1/new.gz").read_bytes() == b"\0theirs\xff"


def test_a_file_that_both_sides_add_has_two_versions(
    template: Repository, project: Repository, update: Run
) -> None:
    without_a_common_version(template, project)

    update()

    assert "````\ntheirs = '```'\n````" in page(project, 1)


def test_in_a_folder_of_a_larger_repository_paths_are_those_of_the_project(
    template: Repository, shop: Repository, update: Run
) -> None:
    in_conflict(template, shop, "services/shop/")

    result = update()

    index = shop.read("services/shop/.template-update/README.md")
    assert (result.exit_code, "services/shop" in index) == (1, False)
    assert shop.git("status", "--porcelain", "--untracked-files=all").count("template-update") == 0
    resolve(shop, "services/shop/app/code.py")
    assert update("--continue").output.splitlines() == [
        "tests/test_code.py, line 21: conflict markers (<<<<<<<) are left.",
        ".template-update/README.md describes them one by one.",
    ]


def test_other_findings_are_in_the_index(template: Repository, project: Repository, update: Run) -> None:
    with_findings(template, project)

    update()

    review = project.read(".template-update/README.md").partition("## Review")[2]
    for name in ("tests/test_code.py", "migrations/0001.py", "Dockerfile"):
        assert f"\n- {name}: the template" in review


# --continue


def test_continue_says_what_is_left(
    template: Repository, project: Repository, update: Run, ran: list[str]
) -> None:
    in_conflict(template, project)
    update()
    resolve(project, "app/code.py")

    result = update("--continue", "--json")

    (left,) = json.loads(result.stdout)["to_resolve"]
    assert (result.exit_code, left["path"], left["line"]) == (1, "tests/test_code.py", 21)
    assert ran == []
    index = project.read(".template-update/README.md")
    assert "1 of 2 conflicts are left." in index
    assert "- [x] [app/code.py]" in index
    assert "- [ ] [tests/test_code.py]" in index


def test_a_resolved_file_must_be_added(template: Repository, project: Repository, update: Run) -> None:
    in_conflict(template, project)
    update()
    resolve(project, "app/code.py")
    (project.folder / "tests/test_code.py").write_text("both\n")

    result = update("--continue")

    assert result.output.startswith(
        "tests/test_code.py: once it is resolved, run `git add tests/test_code.py`."
    )


def test_markers_that_were_added_are_found(template: Repository, project: Repository, update: Run) -> None:
    in_conflict(template, project)
    update()
    project.git("add", "--all")
    assert project.git("diff", "--name-only", "--diff-filter=U") == ""

    result = update("--continue")

    assert result.exit_code == 1
    assert "app/code.py, line 3: conflict markers (<<<<<<<) are left." in result.output


def test_once_all_is_resolved_the_project_is_checked_and_tested(
    template: Repository, project: Repository, update: Run, ran: list[str]
) -> None:
    in_conflict(template, project)
    update()
    for path in ("app/code.py", "tests/test_code.py"):
        resolve(project, path)

    result = update("--continue")

    assert result.exit_code == 0
    assert ran == [
        "ruff check --quiet",
        "pyright --outputjson app/code.py",
        "pytest -q -n 2",
    ]
    assert "All conflicts are resolved." in result.output
    assert not (project.folder / ".template-update").exists()


def test_a_conflict_can_be_resolved_by_deleting_the_test(
    template: Repository, project: Repository, update: Run, ran: list[str]
) -> None:
    in_conflict(template, project)
    update()
    resolve(project, "app/code.py")
    project.git("rm", "--quiet", "--force", "tests/test_code.py")

    result = update("--continue")

    assert result.exit_code == 0
    assert not any("tests/test_code.py" in command for command in ran)


def test_it_is_not_done_while_a_test_fails(
    template: Repository, project: Repository, update: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = {"template/tests/test_code.py": LINES + "theirs\n"}
    project.commit({"tests/test_code.py": LINES + "mine\n"})
    template.commit(theirs, tag="1.1.0")
    update()
    resolve(project, "tests/test_code.py")
    ran: list[str] = []
    monkeypatch.setattr(
        ProjectTools,
        "run",
        lambda tools, *command: not (ran.append(" ".join(command)) or "pytest" in command),
    )

    result = update("--continue")

    assert (result.exit_code, ran[-1]) == (1, "pytest -q -n 2 tests/test_code.py")
    assert "`uv run pytest tests/test_code.py` failed (see above)." in result.output
    assert (project.folder / ".template-update").is_dir()


@pytest.mark.parametrize(
    ("options", "commands"),
    [
        (["--yes"], ["app.cli db upgrade", "app.cli db check"]),
        # The user has migrated the database by hand.
        ([], ["app.cli db check"]),
    ],
)
def test_continue_migrates_or_checks_the_database(
    template: Repository,
    project: Repository,
    update: Run,
    ran: list[str],
    options: list[str],
    commands: list[str],
) -> None:
    project.commit({"app/code.py": fixed(3).replace("mended", "mine")})
    template.commit(
        {"template/app/code.py": fixed(3), "template/migrations/0002.py": "# Two.\n"}, tag="1.1.0"
    )
    update()
    resolve(project, "app/code.py")

    result = update("--continue", *options)

    assert (result.exit_code, ran[: len(commands)]) == (0, commands)
    assert ran[len(commands)] == "ruff check --quiet"


def test_continue_works_on_a_branch_with_committed_markers(
    template: Repository, project: Repository, update: Run, ran: list[str]
) -> None:
    """A workflow has pushed the branch, which does not contain the dossier."""
    in_conflict(template, project)
    update()
    project.commit()
    project.git("clean", "--quiet", "--force", "-d", "-x", ".template-update")

    before = update("--continue")
    for path in ("app/code.py", "tests/test_code.py"):
        resolve(project, path)
    after = update("--continue")

    assert (before.exit_code, after.exit_code, ran[-1]) == (1, 0, "pytest -q -n 2")


def test_a_dossier_that_cannot_be_read_is_explained(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)
    update()
    (project.folder / ".template-update" / "state.json").write_text("{}")

    result = update("--continue")

    assert result.exit_code == 1
    assert "Delete the folder .template-update" in " ".join(result.output.split())


def test_an_update_that_was_undone_cannot_be_continued(
    template: Repository, project: Repository, update: Run
) -> None:
    in_conflict(template, project)
    update()
    project.git("reset", "--quiet", "--hard")

    result = update("--continue")

    assert result.exit_code == 1
    assert result.output == "The update to 1.1.0 was undone, so there is nothing to continue.\n"


@pytest.mark.parametrize("option", ["--check", "--dry-run", "--to=1.1.0", "--summary=summary.md"])
def test_continue_stands_alone(project: Repository, update: Run, option: str) -> None:
    result = update("--continue", option)

    assert (result.exit_code, "--continue cannot be combined with" in result.output) == (1, True)


# Which tests

FILES = {
    "tests/users/test_emails.py",
    "tests/users/test_login.py",
    "tests/web/test_errors.py",
    "tests/test_settings.py",
}


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("tests/users/test_login.py", ["tests/users/test_login.py"]),
        ("tests/users/conftest.py", ["tests/users"]),
        ("app/users/emails.py", ["tests/users/test_emails.py"]),
        ("app/users/emails/verify.txt", ["tests/users/test_emails.py"]),
        ("app/users/models.py", ["tests/users"]),
        ("app/web/middleware.py", ["tests/test_settings.py", "tests/web/test_errors.py"]),
        ("app/notes/routes.py", ["tests"]),
        ("app/main.py", ["tests"]),
        ("pyproject.toml", ["tests"]),
    ],
)
def test_the_tests_of_a_file_are_found(path: str, tests: list[str]) -> None:
    imports = {
        "app.web.middleware": ["tests/web/test_errors.py", "tests/test_settings.py"],
        "app.users.models": [f"tests/users/test_{each}.py" for each in range(9)],
    }

    assert related_tests(path, FILES, lambda module: imports.get(module, [])) == tests


def test_tests_that_import_a_module_are_found(template: Repository, project: Repository, update: Run) -> None:
    imports = {
        "app/one/two.py": LINES,
        "tests/test_a.py": "from app.one import three, two\n",
        "tests/test_b.py": "import app.one.two\n",
        "tests/test_c.py": "from app.one.two import name\n",
        "tests/test_d.py": "from app.one.two_more import name\n",
        "tests/conftest.py": "import app.one.two\n",
    }
    template.commit({f"template/{path}": text for path, text in imports.items()}, tag="1.0.1")
    update()
    project.commit()
    project.commit({"app/one/two.py": fixed(3).replace("mended", "mine")})
    template.commit({"template/app/one/two.py": fixed(3)}, tag="1.1.0")

    (conflict,) = json.loads(update("--dry-run", "--json").stdout)["to_resolve"]

    assert conflict["tests"] == ["tests/test_a.py", "tests/test_b.py", "tests/test_c.py"]


def test_an_entry_belongs_to_the_files_that_it_names() -> None:
    news = [
        News(
            "2.0.0",
            "",
            "### Changed\n\n- One (`app/a.py`).\n- Two (`app/a.py.txt`).\n\n### Added\n\n- Three.",
        )
    ]

    assert list(entries_about("app/a.py", news)) == ["- 2.0.0: One (`app/a.py`)."]


# --show


def test_show_prints_the_change_of_one_file(template: Repository, project: Repository, update: Run) -> None:
    template.commit(
        {"template/app/code.py": fixed(3), "template/migrations/0001.py": "# Two.\n"}, tag="1.1.0"
    )

    result = update("--show", "app/code.py")

    assert result.exit_code == 0
    assert result.stdout.startswith("diff --git a/app/code.py b/app/code.py\n")
    assert "+line 3, mended\n" in result.stdout
    assert "0001" not in result.stdout
    assert project.git("status", "--porcelain") == ""


def test_show_follows_a_file_that_was_moved(template: Repository, shop: Repository, update: Run) -> None:
    shop.commit({"services/shop/app/code.py": None, "services/shop/app/mine.py": LINES})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    change = update("--show", "app/code.py").stdout

    assert "+++ b/services/shop/app/mine.py\n" in change


def test_show_says_if_nothing_changes_or_exists(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    same, missing = update("--show", "Dockerfile"), update("--show", "app/cod.py")

    assert (same.exit_code, same.stdout, "Dockerfile would stay as it is." in same.stderr) == (0, "", True)
    assert (missing.exit_code, "app/cod.py is neither in this project nor" in missing.stderr) == (1, True)


@pytest.mark.parametrize("folder", [".", "app", "tests/"])
def test_show_needs_a_file(template: Repository, update: Run, folder: str) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update("--show", folder)

    assert (result.exit_code, f"{folder} is a folder. Name one of its files." in result.stderr) == (1, True)


# The data


def test_a_name_that_is_not_utf_8_is_printed_with_escapes(
    template: Repository, project: Repository, update: Run
) -> None:
    os.rename(project.folder / "app/code.py", os.fsencode(project.folder) + b"/app/caf\xe9.py")
    project.commit()
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update("--check", "--json")

    assert "app/caf\udce9.py" in json.loads(result.stdout)["changed"]
    assert "you moved it to app/caf\\udce9.py" in result.stderr


def test_a_finding_has_its_line_and_command(template: Repository, project: Repository, update: Run) -> None:
    with_findings(template, project)

    found = json.loads(update("--dry-run", "--json").stdout)

    by_path = {
        each["path"]: (each["kind"], each["line"], each["command"].split(" ")[:2])
        for each in found["findings"]
    }
    assert by_path == {
        "app/code.py": ("conflicts", 3, ["git", "add"]),
        "tests/test_code.py": ("moved", None, ["git", "diff"]),
        "migrations/0001.py": ("missed", None, ["git", "diff"]),
        "Dockerfile": ("kept", None, [""]),
    }
    assert (found["from"], found["to"]) == ("1.0.0", "1.1.0")


# Progress


def test_a_terminal_shows_how_long_a_step_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opens a pseudo-terminal, because the tests have no other terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stdout", terminal)
        report = Report(Options())
        report.step("Rendering [1.0.0] ...")
        report.say("Done.")
    shown = everything_from(ours)

    assert "Rendering [1.0.0] ..." in shown
    assert "0:00:0" in shown
    assert shown.index("0:00:0") < shown.index("Done.")


def everything_from(terminal: int) -> str:
    """What was written to a pseudo-terminal whose other end is closed."""
    written = b""
    with os.fdopen(terminal, "rb", buffering=0) as file, suppress(OSError):
        # Linux reports the end of the output as an error.
        while part := file.read(10_000):
            written += part
    return written.decode()


@pytest.mark.parametrize("as_json", [False, True])
def test_without_a_terminal_and_with_json_a_step_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: as_json, raising=False)
    report = Report(Options(as_json=as_json))

    report.step("Rendering ...")

    assert "".join(capsys.readouterr()) == "Rendering ...\n"


# The summary


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        (9, "**The update merges without a conflict. Ruff and the tests pass.**\n"),
        (3, "**1 conflict. Do not merge this until every conflict is resolved.**\n"),
    ],
)
def test_a_summary_begins_with_the_verdict(
    template: Repository, project: Repository, update: Run, tmp_path: Path, line: int, verdict: str
) -> None:
    project.commit({"app/code.py": LINES.replace("line 3\n", "mine\n")})
    template.commit({"template/app/code.py": fixed(line), "CHANGELOG.md": NEWS}, tag="1.1.0")

    update("--summary", str(tmp_path / "summary.md"))

    text = (tmp_path / "summary.md").read_text("utf-8")
    assert text.startswith(verdict)
    assert "## Security\n\n**1.1.0**\n\n- A hole is closed" in text
    assert text.index("## Security") < text.index("## Changelog")
    if line == 3:
        assert (
            "- [ ] `app/code.py`, line 3: you and the template changed the same lines. Then: `uv run pytest`"
            in text
        )


def test_a_summary_names_what_a_person_must_look_at(
    template: Repository, project: Repository, update: Run, tmp_path: Path
) -> None:
    project.commit({"app/code.py": None})
    template.commit({"template/app/code.py": fixed(3), "template/migrations/0002.py": ""}, tag="1.1.0")

    update("--summary", str(tmp_path / "summary.md"))

    text = (tmp_path / "summary.md").read_text("utf-8")
    assert text.startswith("**The update merges without a conflict, but not every check passes.**\n")
    assert "- [ ] app/code.py: the template changed this file and you deleted or moved it." in text
    assert "- [ ] The database lacks new migrations" in text


def test_a_summary_is_short_enough_for_github(template: Repository, update: Run, tmp_path: Path) -> None:
    news = "# Changelog\n\n## 1.1.0\n\n" + "- A change that takes a line.\n" * 3000
    template.commit({"CHANGELOG.md": news}, tag="1.1.0")

    update("--summary", str(tmp_path / "summary.md"))

    text = (tmp_path / "summary.md").read_text("utf-8")
    assert len(text) < 65_536
    assert text.endswith("(Shortened. The workflow's log has the full text.)\n")


def test_a_folder_that_is_not_a_dossier_is_kept(
    template: Repository, project: Repository, update: Run
) -> None:
    """Other tools also write files called state.json."""
    project.commit({"infra/state.json": "{}", "infra/keys.txt": "mine"})
    template.commit({"template/app/new.py": "# New.\n"}, tag="1.1.0")

    result = update("--dossier", "infra")

    assert project.read("infra/keys.txt") == "mine"
    assert "is not empty and does not contain a dossier" in result.output

"""`app features`, `app add` and `app remove`, and the options that they share with `template-update`.

The template is as small as the one in test_template_update.py. The project's own commands only pretend to
run.
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from test_template_update import (
    LINES,
    TEMPLATE,
    Repository,
    bare_git,
    copied,
    fixed,
    project,
    ran,
    template,
)
from typer.testing import CliRunner, Result

from template_update import command, feature_commands, rendering
from template_update import repository as git_repository
from template_update.checks import Checks
from template_update.project import ProjectTools
from template_update.update import Update

__all__ = ["bare_git", "project", "ran", "template"]

FEATURES = """
cache: {does: Answers come faster., needs: [docker]}
docker: {does: A container., needs: []}
ledger: {does: What users owe., needs: []}
"""
QUESTIONS = """docker: {type: bool, default: true}
cache: {type: bool, ask: false, default: false}
ledger: {type: bool, ask: false, default: false}
"""
EXCLUDED = ", ".join(
    f'"[% if not {name} %]/{path}[% endif %]"'
    for name, path in {"docker": "Dockerfile", "cache": "app/cache.py", "ledger": "app/ledger"}.items()
)
MIGRATION = 'revision = "ledger_0001"\ndown_revision = None\ndepends_on = None\n'
OWN = '"""mine"""\nrevision = "app_0002"\ndown_revision = "app_0001"\ndepends_on = {}\n'
DROP = "migrations/versions/drop.py"


@pytest.fixture(scope="module")
def first_version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A template with the features above, and a project without any."""
    folder = tmp_path_factory.mktemp("first")
    questions = TEMPLATE["copier.yml"].replace("docker: {type: bool, default: true}\n", QUESTIONS)
    files = TEMPLATE | {
        "copier.yml": questions.replace('"[% if not docker %]/Dockerfile[% endif %]"', EXCLUDED),
        "features.yml": FEATURES,
        "template/app/cache.py": "# Fast.\n",
        "template/app/ledger/models.py": "# A table.\n",
        "template/app/ledger/migrations/ledger_0001.py": MIGRATION,
        "template/migrations/versions/app_0001.py": 'revision = "app_0001"\n',
    }
    Repository(folder / "template").commit(files, tag="1.0.0")
    copied(folder / "template", folder / "project", docker=False)
    return folder


@pytest.fixture(autouse=True)
def in_project(project: Repository, monkeypatch: pytest.MonkeyPatch, ran: list[str]) -> None:
    """Runs Copier in this process, because starting a new one would take longer than the work itself."""

    def render(copies: list[rendering.Copy]) -> None:
        for copy in copies:
            copied(copy.template, copy.folder, copy.version, **copy.answers)

    monkeypatch.setattr(rendering, "render", render)
    monkeypatch.chdir(project.folder)


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    """The ledger's tables in the database and their row counts. The database exists but is not migrated."""
    rows: dict[str, int | None] = {"entries": None}

    def output(tools: ProjectTools, *arguments: str) -> str:
        if arguments[:3] == ("app.cli", "db", "export"):
            *tables, option, file = arguments[3:]
            assert option == "--output"
            # The project can export a table only before its feature is removed.
            models = sorted(path.name for path in Path("app/ledger").glob("*.py"))
            Path(file).write_text(f"{tables} of {models}")
            return ""
        assert arguments == ("app.cli", "db", "tables", "--json")
        tables = [{"name": name, "feature": "ledger", "rows": count} for name, count in rows.items()]
        return json.dumps([{"name": "users", "feature": "users", "rows": 7}, *tables])

    monkeypatch.setattr(ProjectTools, "output", output)
    return rows


def features(*arguments: str) -> Result:
    """`features("add", "docker")`: run the command, skipping the project's tests."""
    skipped = [] if arguments[0] == "list" else ["--skip-tests"]
    return CliRunner().invoke(feature_commands.cli, [*arguments, *skipped])


def update(*arguments: str) -> Result:
    return CliRunner().invoke(command.cli, [*arguments, "--skip-tests"])


def said(result: Result) -> str:
    return " ".join(result.output.split())


# Listing features


def test_the_features_are_listed(project: Repository) -> None:
    features("add", "docker")

    rows = [line.split("  ") for line in features("list").output.splitlines()]

    found = [[cell.strip() for cell in row if cell] for row in rows]
    assert found == [
        ["FEATURE", "STATE", "NEEDS", "WHAT IT DOES"],
        ["cache", "available", "docker", "Answers come faster."],
        ["docker", "installed", "-", "A container."],
        ["ledger", "available", "-", "What users owe."],
    ]


def test_the_features_are_listed_as_data() -> None:
    found = json.loads(features("list", "--json").stdout)

    assert found["version"] == "1.0.0"
    assert found["features"][0] == {
        "name": "cache",
        "does": "Answers come faster.",
        "needs": ["docker"],
        "is_there": False,
    }


def test_a_version_without_a_list_says_so(template: Repository, project: Repository) -> None:
    template.commit({"features.yml": None}, tag="0.9.0")
    answers = project.read(".copier-answers.yml").replace("1.0.0", "0.9.0")
    project.commit({".copier-answers.yml": answers})

    for result in (features("list"), features("add", "docker")):
        assert result.exit_code == 1
        assert "Update it first: `uv run app template-update`." in said(result)


# Adding and removing


def test_adding_and_removing_restores_every_byte(project: Repository) -> None:
    before = project.git("rev-parse", "HEAD^{tree}")

    added = features("add", "docker")
    project.commit()
    there = "Dockerfile" in project.tree()
    removed = features("remove", "docker")
    project.commit()

    assert (added.exit_code, there, removed.exit_code) == (0, True, 0)
    assert project.git("rev-parse", "HEAD^{tree}") == before


def test_a_long_path_of_the_template_keeps_its_form(project: Repository, template: Repository) -> None:
    """Copier folds long paths, and a project generated elsewhere has the path as it was folded there."""
    answers = project.read(".copier-answers.yml")
    folded = f'"{template.folder.parent}\\\n  /{template.folder.name}"'
    project.commit({".copier-answers.yml": answers.replace(str(template.folder), folded)})

    features("add", "docker")

    assert f"_src_path: {folded}\n" in project.read(".copier-answers.yml")


def test_several_features_are_one_merge_and_may_need_each_other(project: Repository) -> None:
    added = features("add", "cache", "docker")
    project.commit()
    both = {"Dockerfile", "app/cache.py"} & project.tree().keys()
    removed = features("remove", "docker", "cache")

    assert (added.exit_code, len(both), removed.exit_code) == (0, 2, 0)
    assert not {"Dockerfile", "app/cache.py"} & project.tree().keys()


def test_the_version_stays(project: Repository, template: Repository) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = features("add", "docker")

    assert "The version stays 1.0.0." in result.output
    assert project.read("app/code.py") == LINES
    assert "_commit: 1.0.0\n" in project.read(".copier-answers.yml")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("add dokcer", "dokcer is not a feature. The features are cache, docker, ledger."),
        ("add cache", "cache needs docker: run `uv run app add docker cache`."),
        ("remove docker", "docker is not installed."),
        ("remove dokcer", "dokcer is not a feature."),
        (
            "add cache nothing",
            "cache needs docker: run `uv run app add docker cache`. nothing is not a feature.",
        ),
    ],
)
def test_what_cannot_be_done_is_explained(project: Repository, arguments: str, sentence: str) -> None:
    result = features(*arguments.split())

    assert result.exit_code == 1
    assert sentence in said(result)
    assert project.git("status", "--porcelain") == ""


def test_a_feature_that_another_one_needs_stays(project: Repository) -> None:
    features("add", "docker", "cache")
    project.commit()

    again, alone = features("add", "docker"), features("remove", "docker")

    assert "docker is already installed." in said(again)
    assert "cache needs docker. To remove all of them: `uv run app remove cache docker`." in said(alone)


def test_uncommitted_changes_are_refused_in_dry_runs_too(project: Repository) -> None:
    (project.folder / "app" / "code.py").write_text("mine\n")

    for options in ([], ["--dry-run"]):
        result = features("add", "docker", *options)
        assert result.exit_code == 1
        assert "Commit or stash these changes first:" in said(result)


def test_edited_files_stay(project: Repository) -> None:
    features("add", "docker")
    project.commit({"Dockerfile": "FROM mine\n"})

    result = features("remove", "docker")

    assert result.exit_code == 1
    assert "Dockerfile: the template removed this file and you changed it. Delete it or keep it." in said(
        result
    )
    assert project.read("Dockerfile") == "FROM mine\n"


# Features with tables


@pytest.fixture
def with_ledger(project: Repository, rows: dict[str, int | None]) -> Repository:
    """A project with the feature that has a table."""
    assert "run `uv run app db upgrade`" in said(features("add", "ledger"))
    project.commit()
    return project


@pytest.fixture
def alembic(project: Repository, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that were run. `app db revision` writes a migration."""
    ran: list[str] = []

    def run(tools: ProjectTools, *arguments: str) -> bool:
        ran.append(" ".join(arguments))
        if arguments[:3] == ("app.cli", "db", "revision"):
            text = OWN.format('["ledger_0001", "users_0005"]').replace("mine", arguments[-1])
            (project.folder / DROP).write_text(f"{text}\n\ndef upgrade() -> None:\n    drop()\n")
        return True

    monkeypatch.setattr(ProjectTools, "run", run)
    return ran


def test_tables_that_do_not_exist_yet_go_with_the_feature(with_ledger: Repository) -> None:
    result = features("remove", "ledger")

    assert result.exit_code == 0
    assert "If they have been applied to another database, undo this and run" in said(result)
    assert not [name for name in with_ledger.tree() if name.startswith("app/ledger")]


@pytest.mark.parametrize(
    ("count", "words"), [(0, "entries: no rows"), (1, "entries: 1 row"), (2, "entries: 2 rows")]
)
@pytest.mark.parametrize("how", ["remove", "answers"])
def test_tables_are_not_lost(
    with_ledger: Repository, rows: dict[str, int | None], count: int, words: str, how: str
) -> None:
    rows["entries"] = count

    result = features("remove", "ledger") if how == "remove" else update("--answers", "ledger=false")

    assert result.exit_code == 1
    assert f"The database in DATABASE_URL contains tables of ledger: {words} Export" in said(result)
    assert "`uv run app remove ledger --drop-data`" in said(result)
    assert with_ledger.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        ("The database cannot be used.", "failed: The database cannot be used."),
        ("Traceback (most recent call last):\n  x\nSyntaxError: wrong", "failed: SyntaxError: wrong"),
    ],
)
def test_tables_that_cannot_be_counted_are_not_lost(
    project: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, stderr: str, sentence: str
) -> None:
    features("add", "ledger")
    project.commit()
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{stderr}\nEND\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))

    result = features("remove", "ledger")

    assert result.exit_code == 1
    assert sentence in said(result)
    assert "Traceback" not in result.output
    assert project.git("status", "--porcelain") == ""


def test_migrations_that_others_depend_on_are_not_lost(with_ledger: Repository) -> None:
    with_ledger.commit({"migrations/versions/mine.py": OWN.format('("users_0005", "ledger_0001")')})

    result = features("remove", "ledger")

    assert result.exit_code == 1
    assert "migrations/versions/mine.py: depends on the migrations in app/ledger/migrations" in said(result)
    assert with_ledger.git("status", "--porcelain") == ""


def test_dropping_tables_makes_a_migration_and_keeps_the_others(
    with_ledger: Repository, rows: dict[str, int | None], alembic: list[str]
) -> None:
    rows["entries"] = 2

    result = features("remove", "ledger", "--drop-data", "--yes")

    assert result.exit_code == 0
    assert "To be dropped from the database in DATABASE_URL: entries: 2 rows" in said(result)
    assert alembic[:4] == [
        "app.cli db check",
        "app.cli db revision --message drop the tables of ledger",
        "app.cli db upgrade",
        "app.cli db check",
    ]
    staged = with_ledger.git("diff", "--cached", "--name-status").splitlines()
    assert staged == ["M\t.copier-answers.yml", "D\tapp/ledger/models.py", f"A\t{DROP}"]


def test_tables_are_dropped_only_if_models_and_database_agree(
    with_ledger: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProjectTools, "run", lambda tools, *command: False)

    result = features("remove", "ledger", "--drop-data")

    assert result.exit_code == 1
    assert "must match first. Run `uv run app db upgrade`, then `uv run app db check`." in said(result)
    assert with_ledger.git("status", "--porcelain") == ""


def test_a_feature_comes_back_with_its_tables(with_ledger: Repository, alembic: list[str]) -> None:
    features("remove", "ledger", "--drop-data")
    with_ledger.commit()

    result = features("add", "ledger")

    assert result.exit_code == 1
    assert f"{DROP}: emptied, because you added ledger again." in said(result)
    assert "The database lacks new migrations: run `uv run app db upgrade`." in said(result)
    emptied = with_ledger.read(DROP)
    assert 'revision = "app_0002"\ndown_revision = "app_0001"' in emptied
    assert 'depends_on = "users_0005"' in emptied
    assert "drop()" not in emptied
    assert with_ledger.git("diff", "--name-only") == ""


def test_a_migration_between_dropping_and_adding_is_reported(
    with_ledger: Repository, alembic: list[str]
) -> None:
    with_ledger.commit({"migrations/versions/mine.py": OWN.format('"ledger_0001"')})
    features("remove", "ledger", "--drop-data")
    with_ledger.commit()

    result = features("add", "ledger", "--yes")

    assert result.exit_code == 1
    assert "migrations/versions/mine.py depends on the migrations in app/ledger/migrations, so" in said(
        result
    )


SHARED = LINES.replace("line 3\n", "[% if ledger %]line 3[% else %]none[% endif %]\n")


@pytest.fixture
def conflicting(template: Repository, with_ledger: Repository) -> Repository:
    """A project in which removing the ledger conflicts."""
    template.commit({"template/app/code.py.jinja": SHARED, "template/app/code.py": None})
    template.git("tag", "--force", "1.0.0")
    with_ledger.commit({"app/code.py": LINES.replace("line 3\n", "mine\n")})
    return with_ledger


def test_a_feature_comes_back_with_its_tables_despite_a_conflict(
    with_ledger: Repository, alembic: list[str]
) -> None:
    features("remove", "ledger", "--drop-data")
    with_ledger.commit({"app/ledger/models.py": "# My own ledger.\n"})

    result = features("add", "ledger")

    assert f"{DROP}: emptied, because you added ledger again." in said(result)
    assert "drop()" not in with_ledger.git("show", f":{DROP}")
    (with_ledger.folder / "app/ledger/models.py").write_text("# A table.\n")
    with_ledger.git("add", "app/ledger/models.py")
    assert (update("--continue", "--yes").exit_code, alembic[-3:-1]) == (
        0,
        ["app.cli db upgrade", "app.cli db check"],
    )


def test_a_removal_with_a_conflict_drops_the_tables_once_it_is_resolved(
    conflicting: Repository, rows: dict[str, int | None], alembic: list[str]
) -> None:
    rows["entries"] = 2
    features("remove", "ledger", "--drop-data")
    index = conflicting.read(".template-update/README.md")
    assert 'Once nothing is left, it also creates the migration "drop the tables of ledger".' in index
    conflicting.git("checkout", "--quiet", "--theirs", "app/code.py")
    conflicting.git("add", "app/code.py")
    alembic.clear()

    first, again = update("--continue"), update("--continue", "--yes")

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert alembic[0] == "app.cli db revision --message drop the tables of ledger"
    assert [each for each in alembic if "revision" in each] == alembic[:1]
    assert f"A\t{DROP}" in conflicting.git("diff", "--cached", "--name-status").splitlines()


def test_a_removal_that_was_undone_drops_nothing(
    conflicting: Repository, rows: dict[str, int | None], alembic: list[str]
) -> None:
    features("remove", "ledger", "--drop-data")
    conflicting.git("reset", "--quiet", "--hard")
    alembic.clear()

    result = update("--continue")

    assert (result.exit_code, alembic) == (1, [])
    assert "The change of answers was undone, so there is nothing to continue." in said(result)


def test_an_emptied_migration_drops_nothing_any_more(
    project: Repository, rows: dict[str, int | None], alembic: list[str]
) -> None:
    emptied = '"""drop the tables of docker and ledger\n\nEmpty, because the feature was added again.\n"""\n'
    project.commit({DROP: f'{emptied}revision = "app_0002"\n'})

    result = features("add", "ledger", "--yes")

    assert (result.exit_code, "drops tables of" in said(result)) == (0, False)
    assert project.read(DROP).startswith(emptied)


# Exports


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The path for an export."""
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def uv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """`uv("exit 1")`: the ledger has two entries, and `app db export` runs this shell code instead."""

    def write(export: str) -> None:
        tables = json.dumps([{"name": "entries", "feature": "ledger", "rows": 2}])
        uv = tmp_path / "uv"
        uv.write_text(f"#!/bin/sh\n[ \"$6\" = export ] || {{ echo '{tables}'; exit; }}\n{export}\n")
        uv.chmod(0o755)
        monkeypatch.setenv("UV", str(uv))

    return write


@pytest.mark.parametrize("options", [[], ["--drop-data"]])
def test_exporting_writes_the_rows_and_then_makes_the_migration(
    with_ledger: Repository,
    rows: dict[str, int | None],
    alembic: list[str],
    file: Path,
    options: list[str],
) -> None:
    rows |= {"accounts": 1, "entries": 2, "drafts": None}

    result = features("remove", "ledger", "--export", str(file), "--yes", *options)

    assert result.exit_code == 0
    assert file.read_text() == "['entries', 'accounts'] of ['models.py']"
    assert f"Exported entries, accounts to {file}. It can contain secrets" in said(result)
    assert "app.cli db revision --message drop the tables of ledger" in alembic
    assert {DROP, "app/ledger/migrations/ledger_0001.py"} < with_ledger.tree().keys()
    assert "app/ledger/models.py" not in with_ledger.tree()


def test_a_feature_without_tables_has_nothing_to_export(project: Repository, file: Path) -> None:
    features("add", "docker")
    project.commit()

    result = features("remove", "docker", "--export", str(file))

    assert (result.exit_code, file.exists()) == (0, False)
    assert "There are no tables to export." in said(result)


@pytest.mark.parametrize("options", [["--dry-run"], ["--diff", "-"]], ids=" ".join)
def test_seeing_it_first_exports_nothing(
    with_ledger: Repository,
    rows: dict[str, int | None],
    alembic: list[str],
    file: Path,
    options: list[str],
) -> None:
    rows["entries"] = 2

    result = features("remove", "ledger", "--export", str(file), *options)

    assert (result.exit_code, file.exists()) == (0, False)
    assert f"The update would export the tables to {file}." in said(result)
    assert with_ledger.git("status", "--porcelain") == ""


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_an_export_overwrites_nothing(
    with_ledger: Repository, rows: dict[str, int | None], file: Path, kind: str, options: list[str]
) -> None:
    rows["entries"] = 2
    if kind == "file":
        file.write_text("mine")
    else:
        file.symlink_to("nothing")

    result = features("remove", "ledger", "--export", str(file), *options)

    assert result.exit_code == 1
    assert "ledger.jsonl already exists, and an export does not overwrite files. Choose" in said(result)
    assert kind != "file" or file.read_text() == "mine"
    assert with_ledger.git("status", "--porcelain") == ""


@pytest.mark.parametrize("place", ["ledger.jsonl", "app/ledger.jsonl", "../link/ledger.jsonl"])
def test_an_export_is_not_where_git_would_commit_it(
    with_ledger: Repository, rows: dict[str, int | None], tmp_path: Path, place: str
) -> None:
    rows["entries"] = 2
    (tmp_path / "link").symlink_to(with_ledger.folder / "app")

    result = features("remove", "ledger", "--export", place)

    assert result.exit_code == 1
    assert f"Git would commit {place}, which can contain secrets. Choose a folder outside" in said(result)
    assert with_ledger.git("status", "--porcelain") == ""
    assert not Path(place).exists()


def test_an_export_may_be_where_git_ignores_it(
    with_ledger: Repository, rows: dict[str, int | None], alembic: list[str]
) -> None:
    rows["entries"] = 2
    with_ledger.commit({".gitignore": ".env\n/data/\n"})
    (with_ledger.folder / "data").mkdir()

    result = features("remove", "ledger", "--export", "data/ledger.jsonl", "--yes")

    assert (result.exit_code, "data/ledger.jsonl" in with_ledger.tree()) == (0, True)


@pytest.mark.parametrize("parent", ["nowhere", ".env"])
def test_an_export_needs_a_folder(with_ledger: Repository, parent: str) -> None:
    (with_ledger.folder / ".env").touch()

    result = features("remove", "ledger", "--export", f"{parent}/ledger.jsonl")

    assert result.exit_code == 1
    assert f"{parent} is not a folder that you can write to. Choose another one." in said(result)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            "x cannot be written: No space left.",
            "--output {file}` failed: x cannot be written: No space left.",
        ),
        ("The database cannot be used.", "--output {file}` failed: The database cannot be used."),
        ("No such command 'export'.", "too old for --export. Update it first: `uv run app template-update`."),
    ],
)
def test_a_failed_export_removes_nothing(
    project: Repository, uv: Callable[[str], None], file: Path, message: str, sentence: str
) -> None:
    features("add", "ledger")
    project.commit()
    before = project.tree()
    uv(f"cat >&2 <<'END'\n{message}\nEND\nexit 1")

    result = features("remove", "ledger", "--export", str(file), "--yes")

    assert result.exit_code == 1
    assert "The export failed, so nothing was removed. `uv run app db export entries" in said(result)
    assert sentence.format(file=file) in said(result)
    assert "Traceback" not in result.output
    assert (project.tree(), project.git("status", "--porcelain")) == (before, "")


def test_an_export_can_go_to_standard_output(
    project: Repository, uv: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    features("add", "ledger")
    project.commit()
    uv('echo "rows: $*"; echo more >&2')

    result = features("remove", "ledger", "--export", "-", "--yes")

    assert capfd.readouterr().out == "rows: run python -m app.cli db export entries --output -\n"
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Exported entries to standard output." in said(result)


# Dry runs


@pytest.mark.parametrize("conflicts", [False, True])
def test_a_dry_run_has_the_exit_code_of_the_real_one(
    template: Repository, project: Repository, conflicts: bool
) -> None:
    project.commit({"app/code.py": LINES.replace("line 3\n", "mine\n")})
    template.commit({"template/app/code.py": fixed(3 if conflicts else 9)}, tag="1.1.0")
    before = project.tree()

    result = update("--dry-run")

    assert result.exit_code == int(conflicts)
    assert "2 files would change." in result.output
    assert ("The update would conflict." in result.output) == conflicts
    assert (project.tree(), project.git("status", "--porcelain")) == (before, "")
    assert update().exit_code == result.exit_code


def test_a_dry_run_names_the_migration(
    with_ledger: Repository, rows: dict[str, int | None], alembic: list[str]
) -> None:
    result = features("remove", "ledger", "--drop-data", "--dry-run")

    assert (result.exit_code, alembic) == (0, ["app.cli db check"])
    assert "The update would create a migration: drop the tables of ledger." in said(result)
    assert with_ledger.git("status", "--porcelain") == ""


# The patch


@pytest.mark.parametrize("conflicts", [False, True])
def test_the_patch_is_what_would_be_applied(
    template: Repository, project: Repository, tmp_path: Path, conflicts: bool
) -> None:
    project.commit({"app/code.py": LINES.replace("line 3\n", "müne\n")})
    template.commit(
        {"template/app/code.py": fixed(3 if conflicts else 9), "template/app/logo.png": b"\0\xff"},
        tag="1.1.0",
    )
    patch = tmp_path / "update.patch"

    result = update("--diff", str(patch))

    assert result.exit_code == int(conflicts)
    assert project.git("status", "--porcelain") == ""
    project.git("apply", str(patch))
    by_hand = project.tree()
    project.git("reset", "--quiet", "--hard")
    project.git("clean", "--quiet", "--force", "-d")
    update()
    written = {
        path: text for path, text in project.tree().items() if not path.startswith(".template-update/")
    }
    assert written == by_hand


def test_the_patch_is_alone_on_standard_output(project: Repository) -> None:
    result = features("add", "docker", "--diff", "-")

    assert result.stdout.startswith("diff --git a/.copier-answers.yml b/.copier-answers.yml\n")
    assert result.stdout.endswith("+FROM scratch\n")
    assert "2 files would change." in result.stderr


@pytest.mark.parametrize(
    "options", ["--json and --diff -", "--json and --export -", "--diff - and --export -"]
)
def test_standard_output_is_for_one_purpose(with_ledger: Repository, options: str) -> None:
    result = features("remove", "ledger", *options.replace(" and", "").split())

    assert result.exit_code == 1
    assert f"Use only one of {options}: each writes to standard output." in result.stderr
    assert with_ledger.git("status", "--porcelain") == ""


def test_a_patch_that_cannot_be_written_is_explained(project: Repository) -> None:
    result = features("add", "docker", "--diff", "nowhere/a.patch")

    assert (result.exit_code, "nowhere/a.patch cannot be written: No such" in said(result)) == (1, True)


# Data


def test_data_is_alone_on_standard_output(template: Repository, project: Repository) -> None:
    project.commit({"app/code.py": LINES.replace("line 3\n", "mine\n")})
    news = "# Changelog\n\n## 1.1.0\n\n- More (`app/code.py`).\n\n### Security\n\n- A hole.\n"
    template.commit({"template/app/code.py": fixed(3), "CHANGELOG.md": news}, tag="1.1.0")

    result = update("--json")

    found = json.loads(result.stdout)
    assert (result.exit_code, found["from"], found["to"], found["is_applied"]) == (1, "1.0.0", "1.1.0", True)
    assert found["news"] == [{"version": "1.1.0", "security": "- A hole.", "rest": "- More (`app/code.py`)."}]
    assert found["conflicts"] == ["app/code.py"]
    (finding,) = found["findings"]
    assert (finding["kind"], finding["path"], finding["needs_person"]) == ("conflicts", "app/code.py", True)
    assert finding["sentence"] in result.stderr


def test_a_check_and_a_dry_run_print_data(template: Repository, project: Repository) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    check, dry_run = update("--check", "--json"), update("--dry-run", "--json")

    assert (check.exit_code, dry_run.exit_code) == (2, 0)
    assert json.loads(check.stdout) == json.loads(dry_run.stdout)


def test_problems_after_the_merge_are_data(with_ledger: Repository) -> None:
    with_ledger.git("reset", "--quiet", "--hard", "HEAD~1")

    found = json.loads(features("add", "ledger", "--json").stdout)

    assert found["answers"] == {"ledger": True}
    assert found["problems"] == ["The database lacks new migrations: run `uv run app db upgrade`."]


def test_an_error_is_data(project: Repository) -> None:
    result = features("add", "dokcer", "--json")

    error = "dokcer is not a feature. The features are cache, docker, ledger."
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"error": error})
    assert error in result.stderr


def test_up_to_date_is_data(project: Repository) -> None:
    found = json.loads(update("--json").stdout)

    assert found == {"from": "1.0.0", "to": "1.0.0", "is_needed": False}


def test_the_projects_tools_print_to_standard_error(
    project: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()  # The other tests only pretend to run them.
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho ran\n")
    uv.chmod(0o755)
    monkeypatch.setenv("UV", str(uv))

    for to_stderr in (False, True):
        assert ProjectTools(project.folder, to_stderr=to_stderr).run("ruff")

    assert capfd.readouterr() == ("ran\n", "ran\n")


# Ctrl+C


def test_ctrl_c_before_the_end_of_the_merge_changes_nothing(
    project: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(update: Update, keep: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Update, "merge", interrupted)

    result = features("add", "docker")

    assert (result.exit_code, "Interrupted. Nothing has changed." in result.output) == (130, True)
    assert project.git("status", "--porcelain") == ""


def test_ctrl_c_at_the_question_changes_nothing(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(checks: Checks) -> bool:
        raise typer.Abort

    monkeypatch.setattr(Checks, "may_migrate", interrupted)

    result = features("add", "docker")

    assert (result.exit_code, "Interrupted. Nothing has changed." in result.output) == (130, True)
    assert project.git("status", "--porcelain") == ""


def test_ctrl_c_does_not_leave_half_of_the_files(
    project: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_out = git_repository.Repository._check_out

    def interrupted(repository: git_repository.Repository, *arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        check_out(repository, *arguments)

    monkeypatch.setattr(git_repository.Repository, "_check_out", interrupted)

    result = features("add", "docker")

    assert result.exit_code == 0
    assert "A  Dockerfile" in project.git("status", "--porcelain")


def test_ctrl_c_during_the_checks_says_how_to_undo(
    project: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(tools: ProjectTools, *command: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(ProjectTools, "run", interrupted)

    result = features("add", "docker")

    assert result.exit_code == 130
    assert "`git reset --hard` undoes it." in said(result)


def test_ctrl_c_after_a_migration_says_that_the_database_must_go_back_first(
    project: Repository, rows: dict[str, int | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(tools: ProjectTools, *command: str) -> bool:
        if command == ("app.cli", "db", "check"):
            raise KeyboardInterrupt
        return True

    monkeypatch.setattr(ProjectTools, "run", interrupted)

    result = features("add", "ledger", "--yes")

    assert result.exit_code == 130
    assert "but not the migration of the database. Run `uv run app db downgrade REVISION` first." in said(
        result
    )

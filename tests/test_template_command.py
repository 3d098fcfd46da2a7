"""`uv run app template-update`, `features`, `add` and `remove` in a project run the update tool with uv.

test_template_update.py tests the tool itself. Here uv is a script that records its arguments, except in the
last tests, which are end-to-end.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from conftest import Render, clean_environment, commit, copier, run, snapshot
from uv import find_uv_bin

UV = """#!/bin/sh
pwd > {folder}/where
printf '%s\\n' "$@" > {folder}/arguments
exit 3
"""
TAGS = ["1.9.0", "1.10.0", "1.2.0", "2.0.0rc1", "2026-11-01-backup"]


@dataclass
class Project:
    """A project whose template is a repository that contains only tags."""

    folder: Path
    template: Path
    python: Path
    env: dict[str, str]

    def is_from(self, source: str) -> None:
        """Write *source* into the answers as Copier does."""
        answers = self.folder / ".copier-answers.yml"
        answers.write_text(yaml.safe_dump({"_commit": "1.0.0", "_src_path": source}, indent=4))

    def update(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.app("template-update", *options)

    def app(self, *command: str, folder: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "app.cli", *command],
            cwd=self.folder / folder,
            env=clean_environment() | self.env | {"PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )

    def arguments(self) -> list[str]:
        """How uv was called."""
        return (self.folder.parent / "arguments").read_text().splitlines()

    def source(self) -> str:
        """The source from which uv was told to run the tool."""
        tool, command, option, source, script, *_ = self.arguments()
        assert (tool, command, option, script) == ("tool", "run", "--from", "template-update")
        return source.removeprefix(f"git+{self.template.as_uri()}")


@pytest.fixture(scope="module")
def rendered(compiled: Render) -> Path:
    return compiled()


@pytest.fixture
def project(rendered: Path, python: Path, tmp_path: Path) -> Project:
    template = tmp_path / "template"
    template.mkdir()
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=template)
    commit(template, "First")
    for tag in TAGS:
        run("git", "tag", tag, cwd=template)
    uv = tmp_path / "uv"
    uv.write_text(UV.format(folder=tmp_path))
    uv.chmod(0o755)
    folder = tmp_path / "project"
    shutil.copytree(rendered, folder)
    project = Project(folder, template, python, {"UV": str(uv)})
    project.is_from(str(template))
    return project


# Which version


def test_it_runs_the_tool_of_the_newest_release(project: Project):
    project.update()

    assert project.source() == "@1.10.0"


@pytest.mark.parametrize(
    ("to", "version"),
    [
        ("1.9.0", "@1.9.0"),
        ("v1.9.0", "@1.9.0"),
        ("2.0.0rc1", "@2.0.0rc1"),
        ("0123abc", "@0123abc"),
        ("HEAD", ""),
        # The newest tool knows which versions exist and reports them.
        ("7", ""),
    ],
)
def test_it_runs_the_tool_of_the_requested_version(project: Project, to: str, version: str):
    project.update("--to", to)

    assert project.source() == version


def test_tags_with_a_v_prefix_are_versions(project: Project):
    run("git", "tag", "v1.11.0", cwd=project.template)

    project.update()

    assert project.source() == "@v1.11.0"


def test_without_tags_it_runs_the_tool_of_the_newest_commit(project: Project):
    run("git", "tag", "--delete", *TAGS, cwd=project.template)

    project.update()

    assert project.source() == ""


# Where the template is

REMOTE = {
    "https://git.test/owner/name.git": "https://git.test/owner/name.git",
    "git+https://git.test/owner/name.git": "https://git.test/owner/name.git",
    "gh:owner/name": "https://github.com/owner/name",
    "gl:owner/name.git": "https://gitlab.com/owner/name.git",
    "git@git.test:owner/name.git": "ssh://git@git.test/owner/name.git",
    "git@git.test:/srv/name.git": "ssh://git@git.test/srv/name.git",
    "ssh://git@git.test:22/owner/name.git": "ssh://git@git.test:22/owner/name.git",
}


@pytest.mark.parametrize(("source", "url"), REMOTE.items(), ids=REMOTE)
def test_template_urls_resolve_as_in_copier(project: Project, source: str, url: str):
    project.is_from(source)
    project.env |= {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{project.template}.insteadOf",
        "GIT_CONFIG_VALUE_0": url,
    }

    project.update()

    assert project.source() == f"git+{url}@1.10.0"


def test_a_path_may_contain_any_character(project: Project):
    elsewhere = project.folder.parent / "a long name, with spaces and an @ and 'quotes'" / "that YAML folds"
    elsewhere.parent.mkdir()
    project.template = project.template.rename(elsewhere)
    project.is_from(str(elsewhere))

    project.update()

    assert project.source() == "@1.10.0"


def test_a_path_may_start_with_the_home_folder(project: Project):
    project.is_from("~/template")
    project.env["HOME"] = str(project.template.parent)

    project.update()

    assert project.source() == "@1.10.0"


# What is passed to the tool


def test_options_are_passed_to_the_tool_unchanged(project: Project):
    options = ["--check", "--answers", "docker=false", "--answers=ci=none", "--newer-option"]

    project.update(*options, "--to=1.9.0")

    assert project.arguments()[5:] == ["--to", "1.9.0", *options]


def test_the_tool_runs_in_the_project_folder_and_returns_its_exit_code(project: Project):
    done = project.update()

    assert done.returncode == 3
    assert (project.folder.parent / "where").read_text().strip() == str(project.folder)


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (["features"], ["list"]),
        (["features", "--json"], ["list", "--json"]),
        (["add", "pages"], ["add", "pages"]),
        (["add", "pages", "--yes", "docker", "--newer=1"], ["add", "pages", "--yes", "docker", "--newer=1"]),
        (["remove", "--drop-data", "pages"], ["remove", "--drop-data", "pages"]),
        (["remove", "pages", "--diff", "-"], ["remove", "pages", "--diff", "-"]),
    ],
    ids=" ".join,
)
def test_commands_of_features_run_the_newest_tool(project: Project, command: list[str], arguments: list[str]):
    done = project.app(*command)

    assert done.returncode == 3
    source = f"git+{project.template.as_uri()}@1.10.0"
    assert project.arguments() == ["tool", "run", "--from", source, "template-features", *arguments]


@pytest.mark.parametrize(
    "command", [["template-update"], ["add", "pages"], ["remove", "pages"]], ids=" ".join
)
def test_a_patch_is_written_where_the_user_is(project: Project, command: list[str]):
    project.app(*command, "--diff", "a.patch", folder="tests")

    assert project.arguments()[-2:] == ["--diff", str(project.folder / "tests" / "a.patch")]


@pytest.mark.parametrize("option", ["--dossier", "--summary"])
def test_a_report_is_written_where_the_user_is(project: Project, option: str):
    project.app("template-update", option, "report", folder="tests")

    assert project.arguments()[-2:] == [option, str(project.folder / "tests" / "report")]


@pytest.mark.parametrize("file", ["a.jsonl", "-"])
def test_an_export_is_written_where_the_user_is(project: Project, file: str):
    project.app("remove", "totp", "--export", file, "--yes", folder="tests")

    written = file if file == "-" else str(project.folder / "tests" / file)
    assert project.arguments()[5:] == ["remove", "totp", "--yes", "--export", written]


@pytest.mark.parametrize(
    ("uv", "exit_code"),
    [
        # The tool has found a new version.
        ('case "$*" in *--help*) exit 0;; esac; exit 2', 2),
        # uv cannot install the tool, and prints that itself.
        ("echo error: >&2; exit 2", 1),
    ],
    ids=["the tool", "uv"],
)
def test_exit_code_2_only_means_a_new_version(project: Project, uv: str, exit_code: int):
    Path(project.env["UV"]).write_text(f"#!/bin/sh\n{uv}\n")

    assert project.update("--check").returncode == exit_code


@pytest.mark.parametrize(
    "command",
    [["template-update", "--to"], ["add"], ["remove", "--export"], ["template-update", "--diff", ""]],
    ids=" ".join,
)
def test_a_wrong_option_has_the_exit_code_of_other_errors(project: Project, command: list[str]):
    done = project.app(*command)

    assert (done.returncode, "Traceback" in done.stderr) == (1, False)


OF_ALL = ["--dry-run", "--diff", "--json", "--yes", "--skip-tests"]
OPTIONS = {
    "template-update": [
        "--check",
        "--to",
        "--answers",
        "--dry-run",
        "--diff",
        "--show",
        "--dossier",
        "--continue",
        "--summary",
        "--json",
        "--yes",
        "--skip-tests",
    ],
    "features": ["--json"],
    "add": ["--dry-run", "--diff", "--json", "--yes", "--skip-tests"],
    "remove": ["--drop-data", "--export", "--dry-run", "--diff", "--json", "--yes", "--skip-tests"],
}


TOOL = {
    "template-update": ["template-update"],
    "features": ["template-features", "list"],
    "add": ["template-features", "add"],
    "remove": ["template-features", "remove"],
}


@pytest.mark.parametrize(("command", "options"), OPTIONS.items(), ids=OPTIONS)
def test_help_names_every_option(project: Project, command: str, options: list[str]):
    said = project.app(command, "--help").stdout
    tool = Path(sys.executable).with_name(TOOL[command][0])
    said_by_the_tool = run(tool, *TOOL[command][1:], "--help", cwd=project.folder)

    for option in options:
        assert option in said
        assert option in said_by_the_tool
    assert not (project.folder.parent / "arguments").exists()


# Obstacles


def without_uv(project: Project) -> None:
    only_git = project.folder.parent / "bin"
    only_git.mkdir()
    (only_git / "git").symlink_to(shutil.which("git"))
    del project.env["UV"]
    project.env["PATH"] = str(only_git)


def without_git(project: Project) -> None:
    project.env["PATH"] = ""


def without_answers(project: Project) -> None:
    (project.folder / ".copier-answers.yml").unlink()


def with_broken_answers(project: Project) -> None:
    (project.folder / ".copier-answers.yml").write_text("docker: [\n")


def with_half_answers(project: Project) -> None:
    (project.folder / ".copier-answers.yml").write_text("docker: true\n")


def with_a_relative_source(project: Project) -> None:
    project.is_from("../template")


def without_the_template(project: Project) -> None:
    project.template.rename(project.template.parent / "elsewhere")


def of_somebody_else(project: Project) -> None:
    project.env["GIT_TEST_ASSUME_DIFFERENT_OWNER"] = "1"


def without_development_tools(project: Project) -> None:
    (project.folder / "yaml.py").write_text("raise ImportError\n")


@pytest.mark.parametrize(
    ("made_wrong", "sentence"),
    [
        (without_uv, "`pip install uv`"),
        (without_git, "This command needs git"),
        (without_answers, "does not say where the template is"),
        (with_broken_answers, "does not say where the template is"),
        (with_half_answers, "does not say where the template is"),
        (with_a_relative_source, "URL or absolute path as _src_path"),
        (without_the_template, "If it has moved"),
        (of_somebody_else, "If you trust it, run `git config --global --add safe.directory"),
        (without_development_tools, "`uv sync` installs them"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_obstacles_are_explained(project: Project, made_wrong, sentence: str):
    made_wrong(project)

    done = project.update()

    assert done.returncode == 1
    assert sentence in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (project.folder.parent / "arguments").exists()


def test_a_password_in_the_templates_url_is_not_printed(project: Project):
    project.is_from("https://me:secret@127.0.0.1:9/template")

    done = project.update()

    assert (done.returncode, "https://127.0.0.1:9/template" in done.stderr) == (1, True)
    assert "secret" not in done.stdout + done.stderr


# End to end


def release(template: Path, version: str) -> None:
    """Add a version with a different update tool and a change to the project."""
    command = template / "src" / "template_update" / "command.py"
    command.write_text(f"{command.read_text('utf-8')}\n\nprint('The tool of {version}.')\n", "utf-8")
    manager = template / "template" / "app" / "users" / "manager.py"
    manager.write_text(f"{manager.read_text('utf-8')}# Of {version}.\n", "utf-8")
    commit(template, version, tag=version)


def app(project: Path, *command: str, **env: str) -> str:
    """`uv run app` as a user runs it, in the project's own environment."""
    return run(find_uv_bin(), "run", "app", *command, cwd=project, env=env)


def test_the_newest_tool_updates_from_a_local_template_offline(
    tmp_path: Path,
):
    template, project = tmp_path / "the template @ home", tmp_path / "project"
    template.mkdir()
    snapshot(template)
    copier("copy", "--quiet", "--defaults", template, project, cwd=tmp_path)
    run("git", "init", "--quiet", cwd=project)
    app(project, "--version")
    commit(project, "Generated")

    release(template, "1.1.0")
    first = app(project, "template-update", "--skip-tests")
    commit(project, "1.1.0")
    release(template, "1.2.0")
    second = app(project, "template-update", "--skip-tests", UV_OFFLINE="1")

    assert "The tool of 1.1.0." in first
    assert "The tool of 1.2.0." in second
    assert "$ ruff check --quiet" in second
    assert (project / "app/users/manager.py").read_text("utf-8").endswith("# Of 1.1.0.\n# Of 1.2.0.\n")
    assert "_commit: 1.2.0\n" in (project / ".copier-answers.yml").read_text("utf-8")
    assert run("git", "diff", "--name-only", cwd=project) == ""

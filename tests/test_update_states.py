"""`template-update` in every state that a repository can be in: nothing is lost silently.

The template and the project are those of test_template_update.py.
"""

import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copier import run_update
from test_template_update import (
    LINES,
    Repository,
    Run,
    bare_git,
    copied,
    first_version,
    fixed,
    project,
    quick_copier,
    ran,
    template,
    update,
    update_with_copier,
)
from typer.testing import CliRunner

from template_update import feature_commands, rendering, report
from template_update import repository as git_repository
from template_update.git import UpdateError
from template_update.update import Update

__all__ = [
    "bare_git",
    "first_version",
    "project",
    "quick_copier",
    "ran",
    "template",
    "update",
    "update_with_copier",
]


@pytest.fixture
def shop(template: Repository, update: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A larger repository with the project in `services/shop`, where the user is."""
    copied(template.folder, tmp_path / "all" / "services" / "shop")
    everything = Repository(tmp_path / "all")
    everything.commit({"README.md": "Of all.\n", "library/code.py": "# Shared.\n"})
    monkeypatch.chdir(everything.folder / "services" / "shop")
    return everything


# What git is told to ignore


def in_the_repository(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    (project.folder / ".git" / "info").mkdir(exist_ok=True)
    (project.folder / ".git" / "info" / "exclude").write_text("new.py\nsecret.py\n/tests/*\n")


def everywhere(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    excludes = project.folder.parent / "git" / "ignore"
    excludes.parent.mkdir()
    excludes.write_text("new.py\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(excludes.parent.parent))


def in_a_variable(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    excludes = project.folder.parent / "ignored"
    excludes.write_text("new.py\n")
    for name, value in {"COUNT": "1", "KEY_0": "core.excludesFile", "VALUE_0": str(excludes)}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)


def by_a_filter(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    # If a file is as new as the index, git rereads it through the filter and then reports it as changed.
    for path in project.folder.rglob("*.py"):
        os.utime(path, (1, 1))
    project.git("update-index", "--refresh")
    (project.folder / ".git" / "info").mkdir(exist_ok=True)
    (project.folder / ".git" / "info" / "attributes").write_text("*.py filter=empty\n")
    project.git("config", "filter.empty.clean", "true")


@pytest.mark.parametrize("ignored", [in_the_repository, everywhere, in_a_variable, by_a_filter])
def test_a_persons_own_rules_for_git_hide_no_change(
    template: Repository,
    project: Repository,
    update: Run,
    monkeypatch: pytest.MonkeyPatch,
    ignored: Callable[..., None],
) -> None:
    template.commit(
        {
            "template/app/code.py": fixed(3),
            "template/app/new.py": "# New.\n",
            "template/tests/test_code.py": fixed(4),
        },
        tag="1.1.0",
    )
    ignored(project, monkeypatch)

    result = update()

    assert (result.exit_code, project.read("app/new.py")) == (0, "# New.\n")
    assert (project.read("app/code.py"), project.read("tests/test_code.py")) == (fixed(3), fixed(4))


def test_a_sparse_checkout_with_the_whole_project_is_enough(
    template: Repository, shop: Repository, update: Run
) -> None:
    os.chdir(shop.folder / "services" / "shop")
    shop.git("sparse-checkout", "set", "services/shop")
    template.commit({"template/app/code.py": fixed(3), "template/app/new.py": "# New.\n"}, tag="1.1.0")

    result = update()

    assert (result.exit_code, shop.read("services/shop/app/code.py")) == (0, fixed(3))
    assert shop.read("services/shop/app/new.py") == "# New.\n"
    assert shop.git("show", "HEAD:library/code.py") == shop.git("show", ":library/code.py")


@pytest.fixture
def partial_clone(tmp_path: Path) -> Callable[..., Path]:
    """`partial_clone(repository)`: a clone without the files that are not checked out."""

    def clone(repository: Repository, *options: str) -> Path:
        repository.git("config", "uploadpack.allowFilter", "true")
        repository.git("config", "uploadpack.allowAnySHA1InWant", "true")
        address, folder = repository.folder.as_uri(), tmp_path / "partial"
        repository.git("clone", "--quiet", "--filter=blob:none", *options, address, str(folder))
        return folder

    return clone


def test_the_files_that_a_partial_clone_lacks_are_fetched(
    template: Repository, project: Repository, update: Run, partial_clone: Callable[..., Path]
) -> None:
    """The comparison with the last update needs the files from before that update."""
    project.commit({"app/code.py": LINES.replace("line 10\n", "mine\n")})
    template.commit({"template/app/code.py": fixed(2)}, tag="1.0.1")
    update()
    project.commit()
    project.commit({"app/code.py": fixed(2).replace("line 10\n", "also mine\n")})
    template.commit({"template/app/code.py": fixed(4, text=fixed(2))}, tag="1.1.0")
    os.chdir(partial_clone(project))

    result = update()

    assert result.exit_code == 0
    assert "line 4, mended" in Path("app/code.py").read_text()


def test_a_partial_and_sparse_clone_is_updated(
    template: Repository, shop: Repository, update: Run, partial_clone: Callable[..., Path]
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    os.chdir(partial_clone(shop, "--sparse"))
    shell("git sparse-checkout set services/shop")
    os.chdir("services/shop")

    result = update()

    assert (result.exit_code, Path("app/code.py").read_text()) == (0, fixed(3))
    assert "?" in shell("git rev-list --objects --missing=print HEAD")


# In a folder of a larger repository


def commands(text: str) -> list[str]:
    """The commands that the messages in *text* suggest, excluding those that run the project."""
    found = re.findall(r"`([^`]+)`", " ".join(text.split()))
    return [each for each in found if re.match("git|rm", each)]


def shell(command: str) -> str:
    """Run *command* in the user's folder."""
    done = subprocess.run(["bash", "-euc", command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def with_findings(template: Repository, repository: Repository, project: str = "") -> None:
    """Make the next update produce one finding of each kind."""
    repository.commit(
        {
            f"{project}app/code.py": fixed(3).replace("mended", "mine"),
            f"{project}tests/test_code.py": None,
            f"{project}mine/the tests.py": LINES,
            f"{project}migrations/0001.py": None,
            f"{project}Dockerfile": "FROM mine\n",
        }
    )
    template.commit(
        {
            "template/app/code.py": fixed(3),
            "template/tests/test_code.py": fixed(4),
            "template/migrations/0001.py": "# One, mended.\n",
            "template/Dockerfile": None,
        },
        tag="1.1.0",
    )


def test_every_command_works_in_the_folder_of_the_project(
    template: Repository, shop: Repository, update: Run
) -> None:
    with_findings(template, shop, "services/shop/")

    result = update()

    printed = {command: shell(command) for command in commands(result.output)}
    add, review, diff = printed
    assert "+# One, mended." in printed[diff]
    assert "+line 4, mended" in printed[review]
    assert add == "git add app/code.py"
    assert shop.git("ls-files", "--unmerged") == ""
    assert "services/shop" not in result.output
    assert (
        "tests/test_code.py: the template changed this file and you moved it to mine/the tests.py."
        in result.output
    )
    for sentence in ("app/code.py: you and", "migrations/0001.py: the", "Dockerfile: the"):
        assert f"\n{sentence}" in result.output


def test_data_has_paths_from_the_folder_of_the_project(
    template: Repository, shop: Repository, update: Run
) -> None:
    with_findings(template, shop, "services/shop/")

    found = json.loads(update("--dry-run", "--json").stdout)

    paths = ["Dockerfile", "app/code.py", "migrations/0001.py", "tests/test_code.py"]
    assert sorted(each["path"] for each in found["findings"]) == paths
    assert found["conflicts"] == ["app/code.py"]
    assert sorted(found["changed"]) == sorted([".copier-answers.yml", "app/code.py", "mine/the tests.py"])


def test_a_patch_can_be_applied_in_the_folder_of_the_project(
    template: Repository, shop: Repository, update: Run, tmp_path: Path
) -> None:
    template.commit({"template/app/code.py": fixed(3), "template/app/new.py": "# New.\n"}, tag="1.1.0")
    update("--diff", str(tmp_path / "a.patch"))

    shell(f"git apply {tmp_path}/a.patch")

    assert (shop.read("services/shop/app/code.py"), shop.read("services/shop/app/new.py")) == (
        fixed(3),
        "# New.\n",
    )


def test_what_is_in_the_way_is_named_from_the_folder_of_the_project(
    template: Repository, shop: Repository, update: Run
) -> None:
    template.commit({"template/app/new.txt": "theirs"}, tag="1.1.0")
    shop.commit({".gitignore": "*.txt\n"})
    (shop.folder / "services/shop/app/new.txt").write_text("mine")
    ignored = update()
    (shop.folder / "services/shop/app/code.py").write_text("mine")
    (shop.folder / "library" / "code.py").write_text("mine")
    uncommitted = update()

    assert "The template adds app/new.txt, where" in ignored.output
    assert "these changes first:\n   M ../../library/code.py\n   M app/code.py\n" in uncommitted.output


@pytest.mark.parametrize("link", [False, True])
def test_an_ignored_file_is_not_replaced_by_a_folder(
    template: Repository, project: Repository, update: Run, tmp_path: Path, link: bool
) -> None:
    template.commit({"template/data/seed.json": "{}\n"}, tag="1.1.0")
    project.commit({".gitignore": "/data\n/.env\n"})
    data = project.folder / "data"
    (data.symlink_to(tmp_path) if link else data.write_text("mine"))

    result = update()

    assert "The template adds data, where you have ignored files." in result.output
    assert data.is_symlink() if link else data.read_text() == "mine"


# When the user goes on working meanwhile


def save_a_file(project: Repository) -> None:
    (project.folder / "app/code.py").write_text("mine")


def commit_a_file(project: Repository) -> None:
    project.commit({"app/own.py": "# Mine.\n"})


@pytest.mark.parametrize(
    ("meanwhile", "sentence"),
    [
        (save_a_file, "app/code.py: changed since the update started."),
        (commit_a_file, "The last commit changed during the update."),
    ],
)
def test_what_is_saved_or_committed_meanwhile_is_kept(
    template: Repository,
    project: Repository,
    update: Run,
    monkeypatch: pytest.MonkeyPatch,
    meanwhile: Callable[[Repository], None],
    sentence: str,
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    apply = Update.apply

    def late(self: Update) -> None:
        meanwhile(project)
        apply(self)

    monkeypatch.setattr(Update, "apply", late)

    result = update()

    assert result.exit_code == 1
    assert sentence in result.output
    assert "Nothing was updated." in result.output
    assert "_commit: 1.0.0\n" in project.read(".copier-answers.yml")
    if meanwhile is save_a_file:
        assert project.read("app/code.py") == "mine"
    else:
        assert project.git("status", "--porcelain") == ""


# When a file cannot be written

NEW = {"template/app/code.py": fixed(3), "template/app/big.py": "#" * 100_000, "template/tests/new.py": ""}


def by_a_full_disk(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file size limit kills git, as a disk quota would, and git leaves its lock file behind."""
    check_out = git_repository.Repository._check_out

    def limited(*arguments: Any) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
        try:
            check_out(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    monkeypatch.setattr(git_repository.Repository, "_check_out", limited)


def by_a_filter_that_fails(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git can write some files, but not the test file."""
    (repository.folder / ".git" / "info").mkdir(exist_ok=True)
    (repository.folder / ".git" / "info" / "attributes").write_text("new.py filter=none\n")
    repository.git("config", "filter.none.smudge", "false")
    repository.git("config", "filter.none.required", "true")


def after_the_files(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are written, but the conflict cannot be recorded in the index."""
    check_out = git_repository.Repository._check_out

    def failing(repository: git_repository.Repository, tree: str, stages: Any) -> None:
        check_out(repository, tree, stages)
        raise OSError("No space left on device")

    monkeypatch.setattr(git_repository.Repository, "_check_out", failing)


@pytest.mark.parametrize("stopped", [by_a_full_disk, by_a_filter_that_fails, after_the_files])
def test_half_an_update_is_rolled_back(
    template: Repository,
    project: Repository,
    update: Run,
    monkeypatch: pytest.MonkeyPatch,
    stopped: Callable[..., None],
) -> None:
    project.commit({"app/code.py": fixed(3).replace("mended", "mine"), ".gitignore": "/.env\n"})
    template.commit(NEW | {"template/Dockerfile": None}, tag="1.1.0")
    stopped(project, monkeypatch)
    (project.folder / "uv.lock").write_text("locked\n")
    before = project.tree()

    result = update()

    assert result.exit_code == 1
    assert "Not every file could be written: " in result.output
    assert "Nothing was changed." in result.output
    assert project.tree() == before
    assert project.git("status", "--porcelain") == "?? uv.lock\n"
    assert "_commit: 1.0.0\n" in project.read(".copier-answers.yml")


def test_what_could_not_be_rolled_back_is_named(
    template: Repository, project: Repository, update: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    template.commit(NEW, tag="1.1.0")
    with monkeypatch.context() as patch:
        by_a_filter_that_fails(project, patch)
        patch.setattr(git_repository.Repository, "_remove", lambda *arguments: None)
        result = update()

    assert result.exit_code == 1
    assert "These files have changed: ?? app/big.py" in result.output
    assert update().output.startswith("The last update was stopped while it was writing files.")
    (undo,) = commands(result.output)
    shell(undo)
    assert project.git("status", "--porcelain") == ""


@pytest.fixture
def half_an_update(
    template: Repository, project: Repository, update: Run, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], None]:
    """`half_an_update()`: start an update that is killed while it is writing."""

    class Killed(BaseException):
        pass

    def killed(repository: git_repository.Repository, tree: str, stages: object) -> None:
        repository.git("checkout", tree, "--", "app")
        raise Killed

    def start() -> None:
        template.commit(NEW, tag="1.1.0")
        with monkeypatch.context() as patch:
            patch.setattr(git_repository.Repository, "_check_out", killed)
            with pytest.raises(Killed):
                update()

    return start


def test_an_update_that_was_killed_can_be_undone(
    project: Repository, update: Run, half_an_update: Callable[[], None]
) -> None:
    half_an_update()
    (project.folder / ".git" / "index.lock").touch()
    (project.folder / "app" / "big.py").write_text("#" * 99)

    (undo,) = commands(update().output)
    shell(undo)

    assert (update().exit_code, project.read("app/code.py")) == (0, fixed(3))


@pytest.mark.parametrize("path", ["app/code.py", "app/own.py"])
def test_work_after_an_undone_update_is_not_taken_for_half_an_update(
    template: Repository, project: Repository, update: Run, half_an_update: Callable[[], None], path: str
) -> None:
    half_an_update()
    project.git("reset", "--quiet", "--hard")
    (project.folder / path).write_text(f"{LINES}mine\n")

    result = update()

    assert "Commit or stash these changes first:" in result.output
    assert "reset --hard" not in result.output


def test_untracked_files_that_git_hides_are_no_part_of_half_an_update(
    project: Repository, update: Run, half_an_update: Callable[[], None]
) -> None:
    half_an_update()
    project.git("config", "status.showUntrackedFiles", "no")
    (project.folder / "app/own.py").write_text("mine")

    result = update()

    assert "?? app/own.py" in result.output
    assert "reset --hard" not in result.output


@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_an_update_that_is_stopped_at_any_moment_loses_nothing(
    first_version: Path,
    template: Repository,
    project: Repository,
    update: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
) -> None:
    project.commit({"app/code.py": fixed(3).replace("mended", "mine"), "app/own.py": "# Mine.\n"})
    template.commit(NEW | {"template/Dockerfile": None}, tag="1.1.0")
    whole, *copies = (tmp_path / f"copy {number}" for number in range(21))
    for copy in (whole, *copies):
        shutil.copytree(project.folder, copy, symlinks=True)
    command = [sys.executable, str(Path(__file__).parent / "stopped_update.py"), name, str(first_version)]

    subprocess.run([*command, whole, *copies], check=True)

    before, after = without_dossier(project), without_dossier(Repository(whole))
    assert ">>>>>>> the template's\n" in after["app/code.py"].decode()
    states: set[str] = set()
    for copy in copies:
        stopped = Repository(copy)
        monkeypatch.chdir(copy)
        assert stopped.git("rev-parse", "HEAD") == project.git("rev-parse", "HEAD")
        if without_dossier(stopped) == after:
            states.add("merged")
            assert "app/code.py" in update("--continue").output
            continue
        if without_dossier(stopped) == before:
            states.add("unchanged")
        else:
            states.add("half")
            (undo,) = commands(update().output)
            shell(undo)
        assert without_dossier(stopped) == before
        assert stopped.git("status", "--porcelain") == ""
        update()
        assert without_dossier(stopped) == after
    assert {"unchanged", "merged"} <= states
    assert name == "SIGKILL" or "half" not in states


def without_dossier(repository: Repository) -> dict[str, bytes]:
    """The working tree without the description of its conflicts, which `--continue` does not need."""
    return {
        path: content
        for path, content in repository.tree().items()
        if not path.startswith(".template-update/")
    }


def test_another_git_command_is_not_disturbed(template: Repository, project: Repository, update: Run) -> None:
    template.commit(NEW, tag="1.1.0")
    lock = project.folder / ".git" / "index.lock"
    lock.touch()

    result = update()

    assert (result.exit_code, lock.exists()) == (1, True)
    (remove,) = commands(result.output)
    shell(remove)
    assert update().exit_code == 0


# States in which an update cannot start


def of_somebody_else(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(project.folder.parent / "gitconfig"))
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


def in_a_merge(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    project.git("switch", "--quiet", "--create", "other")
    project.commit({"app/mine.py": ""})
    project.git("switch", "--quiet", "main")
    project.commit({"app/yours.py": ""})
    project.git("merge", "--quiet", "--no-commit", "--strategy", "ours", "other")


def in_a_rebase(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    project.commit({"app/mine.py": ""})
    project.git("-c", "sequence.editor=sed -i s/pick/edit/", "rebase", "--quiet", "--interactive", "HEAD~1")


def in_a_cherry_pick(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    project.commit({"app/mine.py": ""})
    project.git("-c", "core.editor=true", "cherry-pick", "--no-commit", "HEAD~0", "--strategy-option=ours")
    (project.folder / ".git" / "CHERRY_PICK_HEAD").write_text(project.git("rev-parse", "HEAD"))


def in_a_sparse_checkout(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    project.git("sparse-checkout", "set", "migrations")


def with_an_overlooked_file(project: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    project.git("update-index", "--assume-unchanged", "app/code.py")
    (project.folder / "app" / "code.py").write_text(LINES.replace("line 7\n", "mine\n"))
    monkeypatch.setattr(project, "tree", dict)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (of_somebody_else, "This repository belongs to another user"),
        (in_a_merge, "A merge is in progress."),
        (in_a_rebase, "A rebase is in progress."),
        (in_a_cherry_pick, "A cherry-pick is in progress."),
        (in_a_sparse_checkout, "This is a sparse checkout without app/code.py and 2 more."),
        (with_an_overlooked_file, "Git was told to ignore changes to app/code.py"),
    ],
)
def test_a_state_in_the_way_is_named_with_its_cure(
    template: Repository,
    project: Repository,
    update: Run,
    monkeypatch: pytest.MonkeyPatch,
    state: Callable[..., None],
    sentence: str,
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    state(project, monkeypatch)
    before = project.tree()

    result = update()

    assert (result.exit_code, project.tree()) == (1, before)
    assert sentence in " ".join(result.output.split())
    assert len(result.output) < 400
    cure = commands(result.output)[-1]
    shell(cure.replace("--abort", "--quit") if state is in_a_cherry_pick else cure)
    assert sentence not in " ".join(update().output.split())


def test_a_project_in_an_ignored_folder_is_told(
    template: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: Run
) -> None:
    Repository(tmp_path / "all").commit({".gitignore": "/services\n"})
    copied(template.folder, tmp_path / "all" / "services" / "shop")
    monkeypatch.chdir(tmp_path / "all" / "services" / "shop")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Tests")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "tests@example.com")
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update()

    assert (result.exit_code, len(result.output) < 400) == (1, True)
    assert f"The repository in {tmp_path}/all ignores this project" in result.output
    (cure,) = commands(result.output)
    shell(cure)
    assert update().exit_code == 0
    assert Path("app/code.py").read_text() == fixed(3)


def test_a_project_that_was_never_committed_is_told(
    template: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, update: Run
) -> None:
    Repository(tmp_path / "all").commit()
    copied(template.folder, tmp_path / "all" / "shop")
    monkeypatch.chdir(tmp_path / "all" / "shop")

    result = update("--check")

    assert result.exit_code == 1
    assert ".copier-answers.yml is not committed. Run `git add" in result.output


@pytest.mark.parametrize("option", ["--check", "--skip-tests"])
def test_markers_that_were_committed_are_found(
    template: Repository, shop: Repository, update: Run, option: str
) -> None:
    with_findings(template, shop, "services/shop/")
    update()
    shop.commit()
    template.commit({"template/app/code.py": fixed(5, text=fixed(3))}, tag="1.2.0")

    result = update(option)

    assert (result.exit_code, len(result.output.splitlines())) == (1, 1)
    assert result.output.startswith(
        "app/code.py: conflict markers (<<<<<<<) from the last update have been committed."
    )


# States that do not block an update


def test_an_uncommitted_lock_file_is_taken_along(template: Repository, shop: Repository, update: Run) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    (shop.folder / "services/shop/uv.lock").write_text("locked\n")

    result = update()

    assert result.exit_code == 0
    assert "uv.lock was not committed. It is now part of this change." in result.output
    assert "A  services/shop/uv.lock" in shop.git("status", "--porcelain")


@pytest.mark.parametrize("name", ["shop ", " shop"])
def test_the_name_of_a_folder_may_start_or_end_with_a_space(
    template: Repository, project: Repository, update: Run, tmp_path: Path, name: str
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    outer = Repository(tmp_path / name)
    copied(template.folder, outer.folder / name)
    outer.commit()
    os.chdir(outer.folder / name)

    result = update()

    assert (result.exit_code, outer.read(f"{name}/app/code.py")) == (0, fixed(3))


def test_a_deleted_lock_file_is_not_part_of_the_change(
    template: Repository, project: Repository, update: Run
) -> None:
    project.commit({"uv.lock": "locked\n"})
    (project.folder / "uv.lock").unlink()
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update()

    assert (result.exit_code, "now part of this change" in result.output) == (0, False)


def test_a_detached_head_and_a_shallow_clone_are_no_obstacle(
    template: Repository, project: Repository, update: Run, tmp_path: Path
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    project.commit({"app/mine.py": ""})
    project.git("clone", "--quiet", "--depth", "1", project.folder.as_uri(), str(tmp_path / "shallow"))
    os.chdir(tmp_path / "shallow")
    shell("git switch --quiet --detach")

    result = update()

    assert (result.exit_code, Path("app/code.py").read_text()) == (0, fixed(3))


def test_a_worktree_and_a_submodule_are_updated(
    template: Repository, project: Repository, update: Run, tmp_path: Path
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    project.git("worktree", "add", "--quiet", str(tmp_path / "worktree"))
    outer = Repository(tmp_path / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "--quiet", str(project.folder), "inner")

    for folder in (tmp_path / "worktree", outer.folder / "inner"):
        os.chdir(folder)
        assert (update().exit_code, Path("app/code.py").read_text()) == (0, fixed(3))
    assert project.git("status", "--porcelain") == ""


def windows(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def test_the_line_endings_of_windows_stay_where_they_are(
    template: Repository, project: Repository, update: Run
) -> None:
    mine = LINES.replace("line 15\n", "mine\n")
    project.commit({"app/code.py": windows(mine)})
    template.commit({"template/app/code.py": fixed(3), "template/app/new.py": "# New.\n"}, tag="1.1.0")

    result = update()

    assert result.exit_code == 0
    assert project.tree()["app/code.py"] == windows(fixed(3, text=mine))
    assert project.tree()["app/new.py"] == b"# New.\n"


def test_a_project_with_the_line_endings_of_windows_gets_new_files_with_them(
    template: Repository, project: Repository, update: Run
) -> None:
    everything = {path: windows(text.decode()) for path, text in project.tree().items() if path != ".env"}
    moved = {"app/code.py": None, "app/mine.py": windows(LINES.replace("line 15\n", "mine\n"))}
    project.commit(everything)
    project.commit(moved)
    template.commit(
        {
            "template/app/code.py": fixed(3),
            "template/app/new.py": "# New.\n",
            "template/app/list.gz": b"\0\n",
        },
        tag="1.1.0",
    )

    update()

    after = project.tree()
    assert after["app/mine.py"] == windows(fixed(3).replace("line 15\n", "mine\n"))
    assert (after["app/new.py"], after["app/list.gz"]) == (b"# New.\r\n", b"\0\n")
    assert b"_commit: 1.1.0\r\n" in after[".copier-answers.yml"]
    assert project.git("diff", "--name-only", "HEAD", "--", "tests", "migrations", "README.md") == ""


def test_new_files_with_fixed_line_endings_keep_them_in_a_project_for_windows(
    template: Repository, project: Repository, update: Run
) -> None:
    project.commit({path: windows(text.decode()) for path, text in project.tree().items() if path != ".env"})
    project.commit({".gitattributes": b"*.bin binary\r\n*.sh text eol=lf\r\n"})
    new = {"template/app/new.bin": b"a\n", "template/run.sh": b"a\n", "template/app/odd.dat": b"\xff\n"}
    template.commit(new, tag="1.1.0")

    update()

    after = project.tree()
    assert (after["app/new.bin"], after["run.sh"], after["app/odd.dat"]) == (b"a\n", b"a\n", b"\xff\n")


def test_linked_files_and_folders_are_kept(
    template: Repository, project: Repository, update: Run, tmp_path: Path
) -> None:
    project.commit({"app/code.py": None, "tests/test_code.py": None, "shared/test_code.py": LINES})
    (project.folder / "app" / "code.py").symlink_to("notes.py")
    (project.folder / "tests").rmdir()
    (project.folder / "tests").symlink_to("shared")
    project.commit()
    template.commit(
        {
            "template/app/code.py": fixed(3),
            "template/tests/test_code.py": fixed(3),
            "template/tests/test_new.py": "# New.\n",
        },
        tag="1.1.0",
    )

    result = update()

    assert result.exit_code == 1
    assert "app/code.py: " in result.output
    assert "tests" in result.output
    assert project.read("app/notes.py") == "# An example.\n"
    assert (project.folder / "app" / "code.py").readlink() == Path("notes.py")


# Versions and answers


def test_a_version_is_read_as_it_is_written(
    template: Repository, project: Repository, update_with_copier: Run
) -> None:
    """YAML reads 1.10 as the number 1.1."""
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1")
    template.commit({"template/app/code.py": fixed(4)}, tag="1.10")
    answers = project.read(".copier-answers.yml")
    project.commit({".copier-answers.yml": answers.replace("_commit: 1.0.0", "_commit: 1.10")})
    project.git("update-ref", "-d", "HEAD")
    project.commit()

    assert "this project is at 1.10, and" in update_with_copier().output


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("docker: maybe", "docker must be true or false, not maybe."),
        ("color: blue", "cannot be used with the answers in .copier-answers.yml or --answers: Invalid"),
        ("color: [red, green]", "cannot be used with the answers in"),
        ("color: 2026-11-29", "cannot be used with the answers in"),
    ],
)
def test_an_answer_that_cannot_be_is_told_in_a_sentence(
    template: Repository, project: Repository, update_with_copier: Run, answer: str, sentence: str
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    name = answer.partition(":")[0]
    answers = re.sub(rf"^{name}: .*$", answer, project.read(".copier-answers.yml"), flags=re.MULTILINE)
    project.commit({".copier-answers.yml": answers})

    result = update_with_copier()

    *_, last = result.output.splitlines()
    assert (result.exit_code, sentence in last, len(result.output.splitlines()) < 8) == (1, True, True)
    assert ".copier-answers.yml" in last


def test_the_news_of_an_untagged_commit_begin_after_its_tag(
    template: Repository, project: Repository, update: Run
) -> None:
    changes = "# Changelog\n\n## Unreleased\n\n- Not yet.\n\n## 1.0.0\n\n- The first.\n"
    template.commit({"template/app/code.py": fixed(3)})
    update("--to", "HEAD")
    project.commit()
    template.commit({"CHANGELOG.md": changes})

    result = update("--to", "HEAD")

    assert ("Not yet." in result.output, "The first." in result.output) == (True, False)


def test_exit_code_2_only_means_a_new_version(project: Repository, update: Run) -> None:
    for wrong in (["--no-such-option"], ["--to"], ["a word"]):
        assert update(*wrong).exit_code == 1
    for wrong in (["remove", "--no-such-option"], ["add"], [], ["no-such-command"]):
        assert CliRunner().invoke(feature_commands.cli, wrong).exit_code == 1


@pytest.mark.parametrize("option", ["--diff", "--show", "--summary", "--dossier"])
def test_an_empty_value_is_refused(
    template: Repository, project: Repository, update: Run, option: str
) -> None:
    """It may come from a shell variable that is not set. Without the option, the update would be applied."""
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update(option, "")

    assert (result.exit_code, "must not be empty" in result.output) == (1, True)
    assert project.git("status", "--porcelain") == ""


def test_characters_that_the_terminal_lacks_are_escaped() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), "latin-1")

    assert report._printable("a → b, \udcff, ä", stream) == "a \\u2192 b, \\udcff, ä"


# What else could change the result


def test_copiers_git_ignores_the_settings_of_the_user(
    template: Repository,
    project: Repository,
    update_with_copier: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    project.commit({"app/code.py": LINES.replace("line 15\n", "mine\n")})
    template.commit({"template/app/code.py": fixed(3), "template/app/new.py": "# New.\n"}, tag="1.1.0")
    settings = tmp_path / "gitconfig"
    settings.write_text("[core]\n\tautocrlf = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))

    result = update_with_copier()

    assert result.exit_code == 0, result.output
    assert project.git("show", ":app/new.py") == "# New.\n"
    assert project.git("show", ":.copier-answers.yml").count("\r") == 0


def test_in_a_hook_copier_leaves_the_project_as_it_is(
    template: Repository, project: Repository, update_with_copier: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    project.git("tag", "1.1.0")
    project.commit({"app/own.py": "# Later.\n"})
    # Git sets this variable in hooks, and for aliases in a worktree.
    monkeypatch.setenv("GIT_DIR", str(project.folder / ".git"))

    result = update_with_copier("--dry-run")

    assert "1 file would change." not in result.output
    assert "2 files would change." in result.output
    assert project.git("symbolic-ref", "HEAD").strip().startswith("refs/heads/")
    assert project.git("status", "--porcelain") == ""


def test_if_a_render_fails_the_others_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[subprocess.Popen[str]] = []

    def start(copy: rendering.Copy) -> subprocess.Popen[str]:
        command = "exit 1" if copy.version == "1.0.0" else "exec sleep 600"
        started.append(subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True))
        return started[-1]

    monkeypatch.setattr(rendering, "_start", start)
    copies = [rendering.Copy(tmp_path, version, {}, tmp_path) for version in ("1.0.0", "1.1.0")]

    with pytest.raises(UpdateError):
        rendering.render(copies)

    assert [process.returncode for process in started] == [1, -signal.SIGKILL]


def test_an_error_after_the_merge_says_that_the_project_has_changed(
    template: Repository, project: Repository, update: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    def refuse(repository: git_repository.Repository, path: str) -> bool:
        raise UpdateError("git add failed: beyond a symbolic link")

    monkeypatch.setattr(git_repository.Repository, "stage", refuse)

    result = update()

    assert result.exit_code == 1
    assert "git add failed: beyond a symbolic link" in result.output
    assert "The change is complete but not committed: `git diff --cached` shows it" in result.output


MIGRATION = "template/app/shop/migrations/shop_0001.py"


def test_a_version_that_lacks_migrations_is_not_merged(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({MIGRATION: "# One.\n"}, tag="1.0.1")
    update()
    project.commit()
    template.commit({MIGRATION: None}, tag="1.1.0")

    result = update()

    assert result.exit_code == 1
    assert "Version 1.1.0 of the template lacks the migrations in app/shop/migrations" in result.output
    assert project.git("status", "--porcelain") == ""


def test_a_folder_of_migrations_can_be_renamed(
    template: Repository, project: Repository, update: Run
) -> None:
    template.commit({MIGRATION: "# One.\n"}, tag="1.0.1")
    update()
    project.commit()
    template.commit({MIGRATION: None, MIGRATION.replace("shop/", "store/"): "# One.\n"}, tag="1.1.0")

    result = update()

    assert "lacks the migrations" not in result.output
    assert (project.folder / "app/store/migrations/shop_0001.py").is_file()


@pytest.mark.parametrize("mine", ["docs", "docs/mine.md"])
def test_a_file_where_the_other_side_has_a_folder_gets_a_readable_name(
    template: Repository, project: Repository, update: Run, mine: str
) -> None:
    project.commit({mine: "Mine.\n"})
    theirs = "docs/theirs.md" if mine == "docs" else "docs"
    template.commit({f"template/{theirs}": "Theirs.\n"}, tag="1.1.0")

    result = update()

    moved = "docs~yours" if mine == "docs" else "docs~theirs"
    assert result.exit_code == 1
    assert (project.folder / moved).is_file()
    assert moved in result.output
    assert not re.search("~[0-9a-f]{40}", result.output)


def test_a_symbolic_link_of_yours_is_a_conflict_with_a_changed_file(
    template: Repository, project: Repository, update: Run
) -> None:
    (project.folder / "app/code.py").unlink()
    (project.folder / "app/code.py").symlink_to("../tests/test_code.py")
    project.commit()
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")

    result = update()

    assert result.exit_code == 1
    assert "app/code.py" in result.output
    assert not re.search("~[0-9a-f]{40}", result.output)
    assert fixed(3).encode() in project.tree().values()


def test_the_name_of_the_folder_stays_in_paths_that_contain_it(
    template: Repository, tmp_path: Path, update: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(template.folder, tmp_path / "all" / "app")
    everything = Repository(tmp_path / "all")
    everything.commit({"app/docs": "Mine.\n", "app/app/docs": "Mine.\n"})
    monkeypatch.chdir(tmp_path / "all" / "app")
    template.commit({"template/app/docs/theirs.md": "Theirs.\n"}, tag="1.1.0")

    result = update()

    assert "app/docs~yours" in result.output
    assert "app/app/docs" not in result.output


def test_conflict_markers_are_found_in_a_file_with_any_name(project: Repository, update: Run) -> None:
    project.commit({"a\nb.txt": "One.\n<<<<<<< yours\n"})

    found = git_repository.Repository(project.folder).markers()

    assert found == {"a\nb.txt": 2}


# After a raw `copier update`


@pytest.fixture
def updated_by_copier(template: Repository, project: Repository) -> Callable[[], None]:
    """Commits the result of `copier update` in the project."""

    def updated() -> None:
        run_update(str(project.folder), defaults=True, overwrite=True, quiet=True)
        project.commit()

    return updated


LOOKS_ALIKE = (
    "def {}():\n    a = 1\n    a = 2\n    a = 3\n    b = 2\n    c = 3\n    d = 4\n    return a\n\n\n"
)


def a_move(template: Repository, project: Repository) -> str:
    project.commit({"app/code.py": None, "app/mine.py": LINES})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    return "app/mine.py"


def an_edit_of_a_file_that_is_removed(template: Repository, project: Repository) -> str:
    project.commit({"app/code.py": LINES + "mine\n"})
    template.commit({"template/app/code.py": None}, tag="1.1.0")
    return "app/code.py"


def an_edit_of_a_file_that_the_template_moves(template: Repository, project: Repository) -> str:
    project.commit({"tests/test_code.py": LINES.replace("line 9\n", "mine\n"), "app/code.py": None})
    template.commit({"template/tests/test_code.py": None, "template/tests/test_more.py": LINES}, tag="1.1.0")
    return "tests/test_more.py"


def a_binary_file(template: Repository, project: Repository) -> str:
    project.commit({"app/list.gz": b"\0mine"})
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    return "app/list.gz"


@pytest.mark.parametrize("newer", [False, True], ids=["nothing new", "a new version"])
@pytest.mark.parametrize(
    "lose",
    [a_move, an_edit_of_a_file_that_is_removed, an_edit_of_a_file_that_the_template_moves, a_binary_file],
)
def test_what_copier_lost_is_merged_by_the_next_update(
    template: Repository,
    project: Repository,
    update: Run,
    updated_by_copier: Callable[[], None],
    lose: Callable[..., str],
    newer: bool,
) -> None:
    template.commit({"template/app/list.gz": b"\0theirs"}, tag="1.0.1")
    update()
    project.commit()
    path = lose(template, project)
    update()
    wanted = project.tree()[path]
    project.git("reset", "--quiet", "--hard")
    updated_by_copier()
    assert project.tree().get(path) != wanted
    project.commit({"app/later.py": "# Later work.\n"})
    if newer:
        template.commit({"template/migrations/0001.py": "# One, mended.\n"}, tag="1.2.0")

    result = update()

    assert result.exit_code == 1
    lost = "the commit that merged 1.1.0 lacks a change, probably because of `copier update`."
    assert f"{path}: {lost} It is merged now." in result.output
    assert project.tree()[path] == wanted
    assert [shell(each) for each in commands(result.output) if path in each]
    assert ("From 1.1.0 to 1.2.0" in result.output) is newer
    project.commit()
    again = update()
    assert (again.exit_code, "Nothing to pull" in again.output) == (0, True)


def test_a_loss_that_was_left_out_is_not_offered_again(
    template: Repository, project: Repository, update: Run, updated_by_copier: Callable[[], None]
) -> None:
    path = an_edit_of_a_file_that_is_removed(template, project)
    updated_by_copier()
    update()
    project.git("rm", "--quiet", "--force", path)
    # Nothing has been committed since, so the loss is offered once more.
    repeated = update("--dry-run")
    project.commit({"app/later.py": "# Later work.\n"})

    result = update()

    assert f"{path}: the commit that merged 1.1.0 lacks a change" in repeated.output
    assert (result.exit_code, "Nothing to pull" in result.output) == (0, True)


def test_work_after_copier_is_kept(
    template: Repository, project: Repository, update: Run, updated_by_copier: Callable[[], None]
) -> None:
    path = a_move(template, project)
    updated_by_copier()
    project.commit({path: LINES.replace("line 15\n", "later\n")})

    update()

    assert project.read(path) == fixed(3).replace("line 15\n", "later\n")


def test_what_copier_lost_is_only_shown_if_other_work_is_there(
    template: Repository, project: Repository, update: Run, updated_by_copier: Callable[[], None]
) -> None:
    path = a_move(template, project)
    updated_by_copier()
    project.commit({path: LINES.replace("line 3\n", "later\n")})

    result = update()

    assert (result.exit_code, project.git("status", "--porcelain")) == (1, "")
    (shown,) = [each for each in commands(result.output) if path in each]
    assert "+line 3, mended" in shell(shown)


def test_an_update_by_this_tool_lost_nothing(template: Repository, project: Repository, update: Run) -> None:
    """This works even though the same commit resolves a conflict and edits files."""
    project.commit({"app/code.py": LINES.replace("line 3\n", "mine\n"), "migrations/0001.py": None})
    changed = {"template/app/code.py": fixed(3), "template/tests/test_code.py": fixed(3)}
    added = {"template/migrations/0001.py": "# Mended.\n", "template/app/new.py": "# New.\n"}
    template.commit(changed | added, tag="1.1.0")
    update()
    project.commit(
        {
            "app/code.py": LINES.replace("line 3\n", "both\n"),
            "tests/test_code.py": LINES.replace("line 3\n", "line 3, mended by me\n"),
            "app/new.py": "# Mine.\n",
        }
    )

    result = update()

    assert (result.exit_code, "Nothing to pull" in result.output) == (0, True)


IMPORTS = "import zlib\nimport abc\nimport os\n\n\ndef f():\n    return abc, os, zlib\n"
SORTED = IMPORTS.replace("import zlib\n", "").replace("os\n", "os\nimport zlib\n", 1)
WITH_FIX = {"template/app/code.py": fixed(3)}
MINE = {"app/code.py": LINES.replace("line 15\n", "mine\n")}
WITHOUT_LINE = {"app/code.py": LINES.replace("line 5\n", "")}
LINE_MOVED = WITHOUT_LINE["app/code.py"].replace("line 15\n", "line 15\nline 5\n")


@pytest.mark.parametrize(
    ("mine", "theirs", "by_hand"),
    [
        ({}, {"template/app/new.py": "# New.\n"}, {"app/new.py": None}),
        ({}, WITH_FIX, {"app/code.py": LINES}),
        (MINE, WITH_FIX, {"app/code.py": fixed(3)}),
        (WITHOUT_LINE, {"template/app/code.py": LINE_MOVED}, WITHOUT_LINE),
        ({}, {"template/app/code.py": IMPORTS}, {"app/code.py": SORTED}),
    ],
    ids=["new file deleted", "change rejected", "edit dropped", "line deleted again", "imports sorted"],
)
def test_a_merge_that_was_changed_by_hand_is_not_a_loss(
    template: Repository,
    project: Repository,
    update: Run,
    mine: dict[str, str],
    theirs: dict[str, str],
    by_hand: dict[str, str | None],
) -> None:
    project.commit(mine)
    template.commit(theirs, tag="1.1.0")
    update()
    project.commit(by_hand)

    result = update()

    assert (result.exit_code, "Nothing to pull" in result.output) == (0, True)


def test_a_loss_is_no_new_version(
    template: Repository, project: Repository, update: Run, updated_by_copier: Callable[[], None]
) -> None:
    a_move(template, project)
    updated_by_copier()

    result = update("--check")

    assert (result.exit_code, "lacks a change" in result.output) == (0, True)


def test_an_old_version_that_cannot_be_rendered_is_not_compared(
    template: Repository, project: Repository, update: Run
) -> None:
    answers = project.read(".copier-answers.yml")
    project.commit({".copier-answers.yml": answers.replace("docker: true", "docker: maybe")})
    project.commit({".copier-answers.yml": answers.replace("_commit: 1.0.0", "_commit: 1.1.0")})
    template.commit({"template/tests/test_code.py": fixed(3)}, tag="1.1.0")
    template.commit({"template/app/code.py": fixed(3)}, tag="1.2.0")

    result = update()

    assert (result.exit_code, project.read("app/code.py")) == (0, fixed(3))


def test_a_reverted_update_is_not_a_loss(template: Repository, project: Repository, update: Run) -> None:
    template.commit({"template/app/code.py": fixed(3)}, tag="1.1.0")
    update()
    project.commit()
    project.git("revert", "--no-edit", "HEAD")

    result = update()

    assert (result.exit_code, project.read("app/code.py")) == (0, fixed(3))


def test_an_edit_that_copier_misplaced_is_put_back(
    template: Repository, project: Repository, update: Run, updated_by_copier: Callable[[], None]
) -> None:
    zero, one = map(LOOKS_ALIKE.format, ["zero", "one"])
    template.commit({"template/app/code.py": one}, tag="1.0.1")
    update()
    project.commit()
    mine = one.replace("b = 2", "b = 2000")
    project.commit({"app/code.py": mine})
    template.commit({"template/app/code.py": zero + one}, tag="1.1.0")
    updated_by_copier()
    assert project.read("app/code.py") != zero + mine

    result = update()

    assert (result.exit_code, project.read("app/code.py")) == (1, zero + mine)

"""`template-update` in every state that a repository can be in: nothing goes missing without a word.

The template and the project are those of test_template_update.py.
"""

import os
from pathlib import Path

import pytest
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
def shop(template: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A larger repository with the project in `services/shop`, where the person is."""
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
    (project.folder / ".git" / "info").mkdir(exist_ok=True)
    (project.folder / ".git" / "info" / "attributes").write_text("*.py filter=empty\n")
    project.git("config", "filter.empty.clean", "true")


@pytest.mark.parametrize("ignored", [in_the_repository, everywhere, in_a_variable, by_a_filter])
def test_a_persons_own_rules_for_git_hide_no_change(
    template: Repository,
    project: Repository,
    update: Run,
    monkeypatch: pytest.MonkeyPatch,
    ignored: object,
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


# In a folder of a larger repository


def test_the_fixture_has_a_project_in_a_folder(shop: Repository) -> None:
    assert shop.read("services/shop/app/code.py") == LINES

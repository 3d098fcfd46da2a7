"""The contract with older versions is kept (`contract.py`), and each kind of violation is detected.

`versions/` contains the recorded releases. Data written by them is in test_upgrade.py.
"""

import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY
from contract import violations
from packaging.version import Version

RELEASES = sorted((REPOSITORY / "tests" / "versions").glob("*.tar.xz"))


@pytest.mark.parametrize("archive", RELEASES, ids=lambda archive: archive.name.removesuffix(".tar.xz"))
def test_no_released_promise_is_broken(archive: Path, template: Path, tmp_path: Path):
    with tarfile.open(archive) as released:
        released.extractall(tmp_path, filter="data")

    assert violations(tmp_path, template) == []


def test_a_released_version_exists():
    assert RELEASES


def without(path: str) -> Callable[[Path], object]:
    return lambda folder: (folder / path).unlink()


def replacing(path: str, old: str, new: str) -> Callable[[Path], object]:
    def replace(folder: Path) -> None:
        text = (folder / path).read_text("utf-8")
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1), "utf-8")

    return replace


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("template/app/users/manager.py"), "app/users/manager.py is gone"),
        (replacing("copier.yml", "\ndocker:", "\ncontainers:"), "The question docker is gone"),
        (replacing("copier.yml", "default: My app", "default: Our app"), "project_name has another default"),
        (replacing("copier.yml", "type: bool", "type: str"), "docker has another type"),
        (
            replacing("copier.yml", "GitLab CI: gitlab\n", "GitLab CI: gitlab-ci\n"),
            "lacks the choices gitlab",
        ),
        (
            replacing("copier.yml", "\nexample:", "\nnewest: {type: str}\nexample:"),
            "newest is new and has no",
        ),
        (
            replacing("template/app/users/migrations/users_0001_initial.py", "length=320", "length=400"),
            "users_0001_initial.py is released and has changed",
        ),
        (
            replacing(
                "template/app/main.py",
                "template updates never touch them.\n    return",
                "they stay.\n    return",
            ),
            "app/main.py lacks a seam",
        ),
        (
            replacing("template/app/main.py", "touch them.\n    return app", "touch them.\n    return (app)"),
            "It was:     return app",
        ),
        (
            replacing(
                "template/app/pages/routes/login.py", "# isort: split\n\n", "# isort: split\nimport json\n\n"
            ),
            "app/pages/routes/login.py has another line after the seam",
        ),
        (
            replacing(
                "template/tests/test_smoke.py",
                "go below; template updates never touch them.\n",
                "go below; template updates never touch them.\n\nA_TEST = 1\n",
            ),
            "It was: the end of the file",
        ),
    ],
)
def test_breaking_changes_are_detected(
    template: Path, tmp_path: Path, change: Callable[[Path], object], sentence: str
):
    new = tmp_path / "new"
    shutil.copytree(template, new, ignore=shutil.ignore_patterns(".git"))
    change(new)

    (violation,) = violations(template, new)

    assert sentence in violation


def test_every_heading_of_the_changelog_is_a_version():
    changelog = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## (\S+)", changelog, flags=re.MULTILINE)

    assert headings[0] == "Unreleased" or Version(headings[0])
    assert [Version(each) for each in headings[1:]] == sorted(map(Version, headings[1:]), reverse=True)


def test_every_changelog_entry_names_existing_files():
    changelog = (REPOSITORY / "CHANGELOG.md").read_text("utf-8")
    entries = re.split(r"^- ", changelog, flags=re.MULTILINE)[1:]

    for entry in entries:
        named = [name for name in re.findall(r"`([\w./-]+)`", entry) if is_of_the_template(name)]
        assert named, f"This entry names no file to look at:\n{entry}"


def is_of_the_template(name: str) -> bool:
    return any((REPOSITORY / "template" / each).exists() for each in (name, f"{name}.jinja"))

"""`Blobs` reads any object, and its answers never get out of step."""

import subprocess
from pathlib import Path

import pytest
from conftest import run

from template_update.blobs import Blobs
from template_update.git import Git, UpdateError


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    run("git", "init", "--quiet", cwd=tmp_path)
    for name, content in {"plain.txt": b"plain\n", "empty.txt": b"", "binary": b"\0 missing\n\xff"}.items():
        (tmp_path / name).write_bytes(content)
    run("git", "add", "--all", cwd=tmp_path)
    return tmp_path


def test_answers_stay_in_step(repository: Path):
    blobs = Blobs(Git(repository))
    tree = run("git", "write-tree", cwd=repository).strip()
    names = ["plain.txt", "not here", "two\nlines missing\nof a name", "", "empty.txt", "binary"]

    found = {name: blobs.text(f"{tree}:{name}") for name in names}

    assert found == {
        "plain.txt": "plain\n",
        "not here": None,
        "two\nlines missing\nof a name": None,
        "": None,
        "empty.txt": "",
        "binary": "\0 missing\n\udcff",
    }


class FakeGit(Git):
    """A git that writes *line* for every object, as another version of git might."""

    def __init__(self, folder: Path, line: str) -> None:
        super().__init__(folder)
        self._line = line

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        script = f"while read -r -d '' name; do printf '{self._line}'; done"
        pipe = subprocess.PIPE
        return subprocess.Popen(["bash", "-c", script], stdin=pipe, stdout=pipe)


def test_a_submodule_is_not_a_file(tmp_path: Path):
    blobs = Blobs(FakeGit(tmp_path, "0123abcd submodule\\n"))

    assert [blobs.text("tree:one"), blobs.text("tree:two\nlines")] == [None, None]


def test_anything_else_is_an_error(tmp_path: Path):
    with pytest.raises(UpdateError, match="git cat-file failed"):
        Blobs(FakeGit(tmp_path, "fatal: no\\n")).text("tree:one")

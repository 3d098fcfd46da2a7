"""The template in several versions: the last recorded one, the current one, and generated next ones."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from packaging.version import Version as Number
from versions import RELEASES, Version, compared, texts

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "src"))

from template_update.rendering import Copy, render  # noqa: E402 - from this repository

PRESENT = "1.0.0"
RECORDED = "as recorded"
"""The only real step: from the last recorded version to the current one."""
KINDS = (*RELEASES, RECORDED)


@dataclass(frozen=True)
class Step:
    """An update from one version to the next."""

    kind: str
    old: Path
    new: Path
    """The folders with the rendered projects, before and after the update."""
    tag: str
    """The new version's number."""
    files: dict[str, str]
    """The text of each file in the old project."""
    version: Version


class Template:
    """A repository with this repository's working tree as version 1.0.0."""

    def __init__(self, folder: Path) -> None:
        """Create the repository in *folder*. Its first commit is the last recorded version."""
        self._folder = folder
        self.repository = folder / "template"
        self.repository.mkdir()
        self._git("init", "--quiet", "--initial-branch", "main")
        self.recorded = _unpack_last(self.repository)
        self._commit(self.recorded)
        self._git("rm", "-r", "--quiet", ".")
        for name in _git(REPOSITORY, "ls-files", "-z", "-co", "--exclude-standard").split("\0"):
            if (REPOSITORY / name).is_file():
                (self.repository / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, self.repository / name)
        self._commit(PRESENT)
        self.copied_once = [path.strip("/") for path in self._configuration()["_skip_if_exists"]]

    def steps(self, seed: int, variants: int, kinds: Sequence[str]) -> list[Step]:
        """Steps to *variants* next versions of each kind, and from the recorded to the current version."""
        renders = {tag: self._folder / f"render-{tag}" for tag in (self.recorded, PRESENT)}
        render([Copy(self.repository, tag, {}, renders[tag]) for tag in renders])
        before, old = (texts(each) for each in renders.values())
        steps = [
            self._release(
                kind, f"{major}.{number}.0", renders[PRESENT], old, Random(f"{kind} {seed} {number}")
            )
            for major, kind in enumerate(RELEASES, 2)
            for number in range(variants if kind in kinds else 0)
        ]
        if RECORDED not in kinds:
            return steps
        return [*steps, Step(RECORDED, *renders.values(), PRESENT, before, compared(before, old))]

    def _release(self, kind: str, tag: str, render: Path, old: dict[str, str], random: Random) -> Step:
        """Add a version to the template, and derive its rendered project from *render*."""
        plain = {
            path: text for path, text in texts(self.repository / "template").items() if _target(path) in old
        }
        changed = RELEASES[kind](plain, random)
        new = self._folder / f"render-{tag}"
        # Rendering would take longer than everything else. Copying is enough, because a version does not
        # change any Jinja code.
        shutil.copytree(render, new, copy_function=os.link)
        for path, text in changed.items():
            rendered = text if path == _target(path) else _merged(old[_target(path)], plain[path], text)
            if rendered is None:
                continue
            (new / _target(path)).unlink(missing_ok=True)
            _write(new / _target(path), rendered)
            _write(self.repository / "template" / path, text)
        self._commit(tag)
        self._git("checkout", "--quiet", PRESENT)
        return Step(kind, render, new, tag, old, compared(old, texts(new)))

    def _configuration(self) -> dict[str, Any]:
        return yaml.safe_load((self.repository / "copier.yml").read_text("utf-8"))

    def _commit(self, tag: str) -> None:
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", tag)
        self._git("tag", tag)

    def _git(self, *arguments: str) -> str:
        return _git(self.repository, *arguments)


def _target(path: str) -> str:
    """The path of a template file in a rendered project."""
    return path.removesuffix(".jinja")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _merged(rendered: str, old: str, new: str) -> str | None:
    """The text that *new* renders to, if *old* renders to *rendered* and both have the same Jinja code.

    Returns None if *new* differs next to Jinja code. In that case, only rendering would show its text.
    """
    with TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("rendered", "old", "new")]
        for path, text in zip(files, (rendered, old, new), strict=True):
            path.write_text(text, "utf-8")
        command = ["git", "merge-file", "-p", *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else None


def _unpack_last(folder: Path) -> str:
    """Unpack the last recorded version, and return its number."""
    archives = (REPOSITORY / "tests" / "versions").glob("*.tar.xz")
    newest = max(archives, key=lambda each: Number(each.name.removesuffix(".tar.xz")))
    with tarfile.open(newest) as archive:
        archive.extractall(folder, filter="data")
    return newest.name.removesuffix(".tar.xz")


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout

"""Both ways to update a project, without running the commands: this tool's merge, and the git steps of
`copier update`.

Rendering takes longer than merging, and here all projects share the same renders. `commands.py` compares the
results with those of the commands.
"""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "src"))

from template_update.merge import Merger
from template_update.misplaced import misplaced
from template_update.repository import Repository
from template_update.returned import returned

CONTEXT = 3
"""The number of lines around each change in a patch. This is Copier's default."""


@dataclass
class Merged:
    """The result of an update."""

    files: dict[str, str]
    """The text of each edited file."""
    told: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """The path and the text of each line that the report lists because it came back or was misplaced."""


class Workshop:
    """A repository with the unedited generated project, in which edited projects are merged."""

    def __init__(self, folder: Path, old: Path, copied_once: Sequence[str]) -> None:
        """Create the repository in *folder*, and commit the files in the render *old* to it."""
        folder.mkdir()
        self._folder = folder
        self._old = old
        self._copied_once = copied_once
        self._project = folder / "project"
        self._own = folder / "own"
        self._copiers = folder / "copier"
        for each in (self._project, self._own, self._copiers):
            each.mkdir()
        self._git("init", "--quiet", "--initial-branch", "main")
        self._git("--work-tree", str(old), "add", "--all")
        self._git(*_IDENTITY, "commit", "--quiet", "--message", "Generated")
        self._merger = Merger(Repository(self._project), self._own)

    def tree(self, files: dict[str, str]) -> str:
        """The tree of the generated project with *files* replaced."""
        parts = [
            b"commit refs/heads/edited\ncommitter benchmark <> 0 +0000\ndata 0\nfrom refs/heads/main^0\n"
        ]
        for path, text in files.items():
            content = text.encode()
            parts.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content))
        _run("git", "fast-import", "--quiet", "--force", cwd=self._project, given=b"".join(parts))
        return self._git("rev-parse", "edited^{tree}").strip()

    def merged(self, tree: str, new: Path, paths: Iterable[str]) -> Merged:
        """The files at *paths* after this tool has merged the render *new* into the project *tree*."""
        merge = self._merger.merge(self._old, new, tree, yours=[*self._copied_once], brought=[])
        told = {(path, line) for path, _, line in returned(self._merger, merge, tree)}
        told |= {(line.path, line.text) for line in misplaced(self._merger, merge, tree)}
        return Merged(self._texts(merge.result, paths), told)

    def patched(self, tree: str, files: dict[str, str], new: Path) -> Merged:
        """*files* in the project *tree* after the steps by which `copier update` merges the render *new*.

        Copier applies the project's changes to the new version as a patch. If part of the patch does not
        apply to a file, Copier merges that file.
        """
        applied = {path: text for path, text in files.items() if not self._is_copied_once(path)}
        diff = ("diff-tree", f"--unified={CONTEXT}", "--inter-hunk-context=-1", "HEAD", tree, "--", *applied)
        patch = self._git(*diff)
        for path in applied:
            (self._copiers / path).parent.mkdir(parents=True, exist_ok=True)
            (self._copiers / path).write_bytes((new / path).read_bytes())
        _run("git", "apply", "--reject", cwd=self._copiers, given=patch.encode(), check=False)
        found = dict(files)
        for path, text in applied.items():
            file = self._copiers / path
            rejected = file.with_name(f"{file.name}.rej")
            if rejected.exists():
                rejected.unlink()
                file.write_text(text, "utf-8")
                labels = [part for name in _LABELS for part in ("-L", name)]
                sides = (str(file), str(self._old / path), str(new / path))
                _run("git", "merge-file", *labels, "--", *sides, cwd=self._copiers, check=False)
            found[path] = file.read_text("utf-8")
        return Merged(found)

    def _is_copied_once(self, path: str) -> bool:
        return path.startswith(tuple(self._copied_once))

    def _texts(self, tree: str, paths: Iterable[str]) -> dict[str, str]:
        wanted = [*paths]
        done = _run(
            "git",
            "cat-file",
            "--batch",
            cwd=self._project,
            given="".join(f"{tree}:{path}\n" for path in wanted).encode(),
        )
        found: dict[str, str] = {}
        rest = done.stdout
        for path in wanted:
            about, _, rest = rest.partition(b"\n")
            if about.endswith(b"missing"):
                continue
            length = int(about.split()[2])
            found[path], rest = rest[:length].decode(), rest[length + 1 :]
        return found

    def _git(self, *arguments: str, given: str = "") -> str:
        return _run("git", *arguments, cwd=self._project, given=given.encode()).stdout.decode()


_IDENTITY = ("-c", "user.name=benchmark", "-c", "user.email=benchmark@example.com")
_LABELS = ("before updating", "last update", "after updating")
_QUIET = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def _run(
    *command: str, cwd: Path, given: bytes = b"", check: bool = True
) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | _QUIET | {"GIT_CEILING_DIRECTORIES": str(cwd.parent)}
    return subprocess.run(command, cwd=cwd, env=environment, input=given, capture_output=True, check=check)

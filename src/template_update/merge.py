"""Git's three-way merge of the project, the template version it came from, and the new version.

`copier update` applies the project's changes as a patch. A patch can put a change into the wrong function
and loses changes to binary files and the template's changes to files that were moved. Git's merge has none of
these problems, and it is complete before the working tree changes.
"""

import os
import shutil
import signal
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from template_update.git import Git, UpdateError
from template_update.template import ANSWERS_FILE

_IDENTITY = ("-c", "user.name=template-update", "-c", "user.email=template-update@localhost")
_MERGE = ("-c", "merge.renames=true", "-c", "merge.directoryRenames=conflict", "-c", "diff.renames=true")
"""Overrides the user's configuration of git: follow moved files, but never guess a place for new ones."""

_SAME_LINES = "you and the template changed the same lines"

type _Stages = dict[str, str]


@dataclass
class Merge:
    """The result of a merge. Paths are relative to the project's repository."""

    old: str
    new: str
    """The trees of the template's versions: `git diff old new -- path` shows what the template changed."""
    commits: dict[str, str]
    """The commits that git names in conflict markers, with readable names."""
    result: str
    """The tree to check out, including conflict markers."""
    changed: list[str] = field(default_factory=list[str])
    """The files that the update changes, adds or removes in the project."""
    added: list[str] = field(default_factory=list[str])
    """Those of them that it adds."""
    conflicts: dict[str, str] = field(default_factory=dict[str, str])
    """The files that both sides changed in conflicting ways, with git's message."""
    missed: list[str] = field(default_factory=list[str])
    """The files that the template changed and the project deleted: they stay deleted."""
    kept: list[str] = field(default_factory=list[str])
    """The files that the template removed and the project edited: they stay."""
    moved: dict[str, str] = field(default_factory=dict[str, str])
    """Old to new path of files that the template changed and the project moved: merged in the new place."""
    stages: dict[str, _Stages] = field(default_factory=dict[str, _Stages])
    """Mode and object of each version of a conflict, for the index, so that git and editors show it."""


class Merger:
    """Merges renders into the project at *project*, which may be a folder of a larger repository."""

    def __init__(self, project: Path) -> None:
        """Find the repository.

        Raises:
            UpdateError: the project has no git repository, or no commit.
        """
        inside = Git(project)
        inside.require_version()
        if inside.run("rev-parse", "--verify", "--quiet", "HEAD").returncode != 0:
            raise UpdateError(
                "Git merges updates, but this project is not committed to a repository yet:"
                ' `git init && git add -A && git commit -m "Generated"`.'
            )
        self.prefix = inside("rev-parse", "--show-prefix").strip()
        self.git = Git(Path(inside("rev-parse", "--show-toplevel").strip()))

    def require_clean_tree(self) -> None:
        """Refuse uncommitted changes: git could neither undo the update nor tell them from it.

        Raises:
            UpdateError: there are uncommitted changes, which the text names.
        """
        if changes := self.git("status", "--porcelain").splitlines():
            shown = "\n".join(f"  {each}" for each in changes[:10])
            more = f"\n  and {len(changes) - 10} more" if len(changes) > 10 else ""
            raise UpdateError(
                f"Commit or stash these changes first. An update needs a clean tree:\n{shown}{more}"
            )

    def difference(self, old: Path, new: Path, paths: list[str]) -> str:
        """The template's changes to *paths*, as a patch without ignored files such as `.env`."""
        trees = [self._tree_of(folder, left_out=[]) for folder in (old, new)]
        return self.git("diff", *trees, "--", *paths) if paths else ""

    def merge(self, old: Path, new: Path, *, yours: list[str], brought: list[str]) -> Merge:
        """Merge the difference between the renders *old* and *new* into the project's last commit.

        *yours* are the paths that updates never change. *brought* are those of them that *new* introduces.
        """
        head = self.git("rev-parse", "HEAD^{tree}").strip()
        base = self._in_repository(self._tree_of(old, left_out=yours))
        theirs = self._in_repository(
            self._tree_of(new, left_out=[each for each in yours if each not in brought])
        )
        root = self._commit("as it was made", base)
        sides = self._commit("yours", head, root), self._commit("the template's", theirs, root)
        commits: dict[str, str] = {root: "as it was made", sides[0]: "yours", sides[1]: "the template's"}
        done = self.git.run(*_MERGE, "merge-tree", "--write-tree", "-z", "--messages", *sides)
        if done.returncode not in (0, 1):
            raise UpdateError(f"git merge-tree failed: {done.stderr.strip()}")
        result, stages, messages = _parsed(done.stdout)
        merge = Merge(base, theirs, commits, result)
        for path, found in stages.items():
            match sorted(found):
                case ["1", "3"]:
                    merge.missed.append(path)
                case ["1", "2"]:
                    merge.kept.append(path)
                case _:
                    merge.conflicts[path] = messages.get(path, _SAME_LINES)
                    merge.stages[path] = found
        merge.result = self._finished(merge, theirs)
        template_changed = set(self._names("diff", "--name-only", "--no-renames", base, theirs))
        merge.moved = {
            source: target for source, target in self._renames(base, head) if source in template_changed
        }
        named = ("diff", "--name-only", "--no-renames", head, merge.result)
        merge.changed = self._names(*named)
        merge.added = self._names(*named, "--diff-filter=A")
        return merge

    def patch(self, merge: Merge) -> str:
        """What `apply` would change, for `git apply` in the top folder of the repository."""
        plain = ("--binary", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames")
        prefixes = ("--src-prefix=a/", "--dst-prefix=b/")
        return _with_names(self.git("diff", *plain, *prefixes, "HEAD", merge.result), merge.commits)

    def apply(self, merge: Merge) -> None:
        """Write the result to the working tree and the index, with conflicts as after `git merge`.

        Ctrl+C has no effect meanwhile, so that all of it is written or nothing.

        Raises:
            UpdateError: an ignored file is in the way.
        """
        self.require_free_places(merge)
        with _uninterrupted():
            self._write(merge)

    def require_free_places(self, merge: Merge) -> None:
        """Refuse to overwrite ignored files.

        Raises:
            UpdateError: an ignored file is where the template adds one.
        """
        if in_the_way := [path for path in merge.added if os.path.lexists(self.git.folder / path)]:
            named = ", ".join(in_the_way)
            raise UpdateError(
                f"The template adds {named}, where you have ignored files. Move them away first."
            )

    def _write(self, merge: Merge) -> None:
        self.git("read-tree", "-m", "-u", "HEAD", merge.result)
        nothing = "0" * len(merge.result)
        for path, found in merge.stages.items():
            unmerged = "".join(f"{each} {stage}\t{path}\0" for stage, each in found.items())
            self.git("update-index", "-z", "--index-info", given=f"0 {nothing}\t{path}\0{unmerged}")
            conflict = self.git.folder / path
            if conflict.is_file():
                text = conflict.read_bytes().decode("utf-8", "surrogateescape")
                named = _with_names(text, merge.commits)
                conflict.write_bytes(named.encode("utf-8", "surrogateescape"))

    def stage(self, path: str) -> bool:
        """Stage what has changed at a path in the project, and return whether the update changes it."""
        there = self.prefix + path
        if (self.git.folder / there).exists():
            self.git("add", "--", there)
        return bool(self._names("diff", "--cached", "--name-only", "HEAD", "--", there))

    def inside(self, path: str) -> str:
        """Return a path in the repository as a path in the project."""
        return path.removeprefix(self.prefix)

    def _names(self, *command: str) -> list[str]:
        return [name for name in self.git(*command, "-z").split("\0") if name]

    def _renames(self, base: str, head: str) -> Iterator[tuple[str, str]]:
        found = self._names("diff", "--name-status", "--diff-filter=R", "-M", base, head)
        for position in range(0, len(found), 3):
            yield found[position + 1], found[position + 2]

    def _commit(self, message: str, tree: str, *parents: str) -> str:
        named = [part for parent in parents for part in ("-p", parent)]
        return self.git(*_IDENTITY, "commit-tree", tree, *named, given=message).strip()

    @contextmanager
    def _index(self, **environment: str | Path) -> Generator[Git]:
        """Git with a temporary index."""
        with TemporaryDirectory() as folder:
            yield Git(self.git.folder, GIT_INDEX_FILE=Path(folder) / "index", **environment)

    def _tree_of(self, render: Path, *, left_out: list[str]) -> str:
        """The tree of a render, without the files that its `.gitignore` excludes, such as secrets."""
        shutil.rmtree(render / ".git", ignore_errors=True)
        git_folder = self.git("rev-parse", "--absolute-git-dir").strip()
        with self._index(GIT_DIR=git_folder, GIT_WORK_TREE=render) as git:
            git("-c", "core.excludesFile=", "-c", "core.autocrlf=false", "add", "--all")
            if left_out:
                git("rm", "-r", "--force", "--cached", "--quiet", "--ignore-unmatch", "--", *left_out)
            return git("write-tree").strip()

    def _in_repository(self, tree: str) -> str:
        """The tree of the whole repository with the project's folder replaced by *tree*."""
        if not self.prefix:
            return tree
        with self._index() as git:
            git("read-tree", "HEAD")
            git("rm", "-r", "--force", "--cached", "--quiet", "--", self.prefix)
            git("read-tree", f"--prefix={self.prefix}", tree)
            return git("write-tree").strip()

    def _finished(self, merge: Merge, theirs: str) -> str:
        """The result, with deleted files left deleted and Copier's answers file from the new version."""
        answers = f"{self.prefix}{ANSWERS_FILE}"
        for findings in (merge.conflicts, merge.stages):
            findings.pop(answers, None)
        entry = self.git("ls-tree", "-z", theirs, "--", answers)
        with self._index() as git:
            git("read-tree", merge.result)
            if merge.missed:
                git("rm", "--force", "--cached", "--quiet", "--ignore-unmatch", "--", *merge.missed)
            git("update-index", "-z", "--index-info", given=entry)
            return git("write-tree").strip()


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Ignore Ctrl+C, here and in the commands that are run."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _with_names(text: str, commits: dict[str, str]) -> str:
    """*text* with readable names in conflict markers instead of the commits."""
    for commit, name in commits.items():
        text = text.replace(commit, name)
    return text


def _parsed(output: str) -> tuple[str, dict[str, _Stages], dict[str, str]]:
    """Parse `git merge-tree -z`: the tree, the versions of conflicting files, and a message for each path."""
    fields = iter(output.split("\0"))
    tree = next(fields)
    stages: dict[str, _Stages] = {}
    while entry := next(fields, ""):
        about, _, path = entry.partition("\t")
        mode, found, stage = about.split()
        stages.setdefault(path, {})[stage] = f"{mode} {found}"
    messages: dict[str, str] = {}
    while count := next(fields, ""):
        paths = [next(fields) for _ in range(int(count))]
        kind, text = next(fields), next(fields)
        if kind.startswith("CONFLICT") and kind != "CONFLICT (contents)":
            messages.update(dict.fromkeys(paths, text.strip().rstrip(".")))
    return tree, stages, messages

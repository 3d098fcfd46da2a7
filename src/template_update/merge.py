"""Git's three-way merge of the project, the template version it came from, and the new version.

`copier update` applies the project's changes as a patch. A patch can put a change into the wrong function,
and it loses changes to binary files and the template's changes to moved files. Git's merge has none of these
problems, and it finishes before the working tree changes.
"""

import re
import shutil
import subprocess  # nosec B404 - only for its result type
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from template_update.blobs import Blobs
from template_update.git import LITERAL, ONLY_THE_REPOSITORY, Git, UpdateError, reason
from template_update.insertions import MARKER_SIZE, resolve
from template_update.rendering import ANSWERS_FILE
from template_update.repository import Repository

_IDENTITY = ("-c", "user.name=template-update", "-c", "user.email=template-update@localhost")
_WRITE_TREE = ("write-tree", "--missing-ok")
"""A partial clone may lack files outside of the project's folder. A merge does not read them."""
_SAME_LINES = "you and the template changed the same lines"

_OTHER_TYPE = "distinct types"
"""Part of git's message if one side has a symbolic link and the other a file."""
_MARKER = re.compile(r"(?<=^>>>>>>> )theirs(?=[:\r\n]|\Z)", re.MULTILINE)

type _Stages = dict[str, str]


@dataclass
class Merge:
    """The result of a merge. Paths are relative to the project's repository."""

    old: str
    new: str
    """The trees of the template's versions: `git diff old new -- path` shows what the template changed."""
    result: str
    """The tree to check out, including conflict markers."""
    head: str
    """The tree of the project's last commit."""
    changed: list[str] = field(default_factory=list[str])
    """The files that the update changes, adds or removes in the project."""
    added: list[str] = field(default_factory=list[str])
    """The changed files that are new in the project."""
    conflicts: dict[str, str] = field(default_factory=dict[str, str])
    """The files that both sides changed in conflicting ways, with git's message."""
    insertions: list[str] = field(default_factory=list[str])
    """The files whose only conflicts were next to insertions (`insertions.py`). They are merged."""
    missed: list[str] = field(default_factory=list[str])
    """The files that the template changed and the project deleted. They stay deleted."""
    kept: list[str] = field(default_factory=list[str])
    """The files that the template removed and the project edited. They are kept."""
    moved: dict[str, str] = field(default_factory=dict[str, str])
    """Maps the old path to the new path of each file that the template changed and the project moved. The
    change is merged at the new path.
    """
    stages: dict[str, _Stages] = field(default_factory=dict[str, _Stages])
    """The mode and object ID of every version of each conflicting file. They go into the index, so that git
    and editors show the conflict.
    """


class Merger:
    """Merges renders into the last commit of *repository*.

    It works in a separate bare repository in *folder*, which must be temporary. Both repositories share their
    objects, but the project's and the user's git settings and ignore rules do not apply. An update therefore
    produces the same result on every machine.
    """

    def __init__(self, repository: Repository, folder: Path) -> None:
        """Create the repository."""
        self._repository = repository
        self._trees: dict[Path, str] = {}
        find = ("rev-parse", "--path-format=absolute")
        objects = repository.git(*find, "--git-path", "objects").removesuffix("\n")
        self._environment = {
            "GIT_DIR": folder / "own.git",
            "GIT_OBJECT_DIRECTORY": objects,
            **ONLY_THE_REPOSITORY,
            **LITERAL,
        }
        self._git = Git(folder, **self._environment)
        self._blobs = Blobs(self._git)
        self._git("init", "--quiet", "--bare", "--template=", f"--object-format={self._object_format()}")
        for name in ("excludesFile", "attributesFile"):
            self._git("config", f"core.{name}", "")

    def difference(self, old: Path, new: Path, paths: list[str]) -> str:
        """The template's changes to *paths*, as a patch without ignored files such as `.env`."""
        trees = [self._tree_of(folder, left_out=[]) for folder in (old, new)]
        return self._git("diff", "--no-ext-diff", *trees, "--", *paths) if paths else ""

    def merge(self, old: Path, new: Path, onto: str = "", *, yours: list[str], brought: list[str]) -> Merge:
        """Merge the difference between the renders *old* and *new* into the tree *onto*, by default the tree
        of the project's last commit.

        *yours* lists the paths that updates never change, and *brought* lists those of them that *new*
        introduces.
        """
        head = onto or self.tree("HEAD")
        self.fetch(head)
        self.fetch(self.tree("HEAD"))
        base = self._in_repository(head, self._tree_of(old, left_out=yours))
        kept_out = [each for each in yours if each not in brought]
        theirs = self._in_repository(head, self._tree_of(new, left_out=kept_out))
        root = self._commit("as it was made", base)
        # Git uses these names in conflict markers, in messages, and for files that are in the way of folders.
        sides = {"yours": self._commit("yours", head, root), "theirs": self._commit("theirs", theirs, root)}
        for name, commit in sides.items():
            self._git("update-ref", f"refs/heads/{name}", commit)
        done = self._git.run("merge-tree", "--write-tree", "-z", "--messages", *sides)
        if done.returncode not in (0, 1):
            raise UpdateError(f"git merge-tree failed: {reason(done)}")
        result, stages, messages = _parsed(done.stdout)
        merge = Merge(base, theirs, result, self.tree("HEAD"))
        resolved: dict[str, str] = {}
        for path, found in stages.items():
            match sorted(found):
                case ["1", "3"] if _OTHER_TYPE not in messages.get(path, ""):
                    merge.missed.append(path)
                case ["1", "2"]:
                    merge.kept.append(path)
                case _:
                    entry, conflicts = ("", 1) if path in messages else self._with_insertions(path, found)
                    if entry:
                        resolved[path] = entry
                    if not conflicts:
                        merge.insertions.append(path)
                        continue
                    merge.conflicts[path] = self._message(messages.get(path, _SAME_LINES))
                    merge.stages[path] = found
        merge.result = self._finished(merge, resolved)
        template_changed = set(self.changes(base, theirs))
        merge.moved = {
            source: target for source, target in self._renames(base, head) if source in template_changed
        }
        merge.changed = self.changes(merge.head, merge.result)
        merge.added = self.changes(merge.head, merge.result, "--diff-filter=A")
        return merge

    def _message(self, text: str) -> str:
        """Git's message *text*, with paths relative to the project's folder."""
        if prefix := self._repository.prefix:
            text = re.sub(rf"(?<!\S){re.escape(prefix)}(?=\S)", "", text)
        return re.sub(r"(?<!\S)theirs(?=[\s,.]|$)", "the template's", text)

    def fetch(self, tree: str) -> None:
        """Fetch the files of *tree* that a partial clone lacks and that a merge may read.

        Raises:
            UpdateError: the remote cannot be reached.
        """
        entries = [each.partition("\t") for each in self._repository.names("ls-tree", "-r", tree)]
        files = {path: about.split()[2] for about, _, path in entries if " blob " in about}
        near = [path for path in files if self._is_near(path)]
        # The separate repository does not know the remote, so the project's own repository must fetch the
        # files. A diff fetches all of them at once, but `git cat-file` fetches them one by one.
        blobs = "".join(f"{files[path]}\n" for path in near)
        if " missing\n" in self._git("cat-file", "--batch-check", given=blobs):
            prefix = self._repository.prefix
            outside = [path for path in near if not path.startswith(prefix)]
            nothing = self._repository.git("hash-object", "-t", "tree", "-w", "--stdin").strip()
            options = ("--numstat", "--no-ext-diff", "--no-textconv")
            self._repository.git("diff", *options, nothing, tree, "--", prefix or ".", *outside)

    def tree(self, commit: str) -> str:
        """The tree of one of the project's commits."""
        return self._repository.git("rev-parse", f"{commit}^{{tree}}").strip()

    def changes(self, old: str, new: str, *options: str) -> list[str]:
        """The paths at which the trees *old* and *new* differ."""
        return self._names("diff", "--name-only", "--no-renames", *options, old, new)

    def reader(self, tree: str, prefix: str) -> Callable[[str], str | None]:
        """A function that returns the text of a file in the folder *prefix* of *tree*, or None if there is no
        such file.
        """

        @cache
        def read(path: str) -> str | None:
            return self._blobs.text(f"{tree}:{prefix}{path}")

        return read

    def files(self, tree: str, prefix: str) -> list[str]:
        """The paths in the folder *prefix* of *tree*, relative to that folder."""
        found = self._names("ls-tree", "-r", "--name-only", tree, "--", prefix or ".")
        return [path.removeprefix(prefix) for path in found]

    def matching(self, tree: str, prefix: str, pattern: str, folder: str) -> list[str]:
        """The files in the folder *prefix* + *folder* of *tree* that have a line matching *pattern*."""
        command = ("grep", "-z", "--name-only", "-E", pattern, tree, "--", f"{prefix}{folder}")
        found = self._git.run(*command).stdout.split("\0")
        return [name.removeprefix(f"{tree}:{prefix}") for name in found if name]

    def sides(self, merge: Merge, path: str) -> list[bytes | None]:
        """The versions of a file with a conflict: the project's, the template's old one and its new one."""
        return [self._content(merge.stages[path].get(stage, "")) for stage in ("2", "1", "3")]

    def _content(self, entry: str) -> bytes | None:
        """The content of an entry of the form "mode object", or None for a missing entry or a submodule."""
        if not entry.startswith("1") or entry.startswith("16"):
            return None
        return self._git("cat-file", "blob", entry.split()[1]).encode("utf-8", "surrogateescape")

    def lines(self, tree: str, path: str) -> list[str] | None:
        """The lines of a file in *tree*, or None if there is no such file."""
        text = self._blobs.text(f"{tree}:{path}")
        return None if text is None else text.split("\n")

    def repair(self, old: str, new: str, paths: list[str]) -> tuple[str, list[str]]:
        """Merge the differences in *paths* between the trees *old* and *new* into the project's last commit.

        Returns the tree and the conflicting paths. Files at those paths stay as they are.
        """
        with self._index() as git:
            git("read-tree", old)
            _remove(git, paths)
            git("update-index", "-z", "--index-info", given=self._entries(new, paths))
            repaired = git(*_WRITE_TREE).strip()
        head = self.tree("HEAD")
        root = self._commit("old", old)
        sides = (self._commit("yours", head, root), self._commit("repaired", repaired, root))
        done = self._git.run("merge-tree", "--write-tree", "-z", *sides)
        tree, stages, _ = _parsed(done.stdout)
        with self._index() as git:
            git("read-tree", tree)
            _remove(git, stages)
            git("update-index", "-z", "--index-info", given=self._entries(head, stages))
            return git(*_WRITE_TREE).strip(), list(stages)

    def _entries(self, tree: str, paths: Iterable[str]) -> str:
        """The entries for *paths* in *tree*, in the format of `git update-index`."""
        return self._git("ls-tree", "-z", tree, "--", *paths) if paths else ""

    def patch(self, merge: Merge, *paths: str) -> str:
        """The changes that `apply` would make, as a patch for `git apply` in the repository's top folder.

        If *paths* is given, the patch is limited to these paths.
        """
        options = ("--no-ext-diff", "--binary", "--no-renames")
        return self._git("diff", *options, merge.head, merge.result, "--", *paths)

    def apply(self, merge: Merge) -> None:
        """Write the result to the working tree and the index, leaving conflicts as `git merge` does.

        Raises:
            UpdateError: an ignored file is in the way, or a file cannot be written. If anything has changed,
                the message says so.
        """
        self._repository.require_free_places(merge.added)
        self._repository.write(merge.head, merge.result, merge.changed, merge.stages)

    def write_out(self, tree: str, folder: Path) -> None:
        """Write to *folder* those files of *tree* that are in the project's folder or directly in one of its
        parent folders.
        """
        wanted = filter(self._is_near, self._names("ls-tree", "-r", "--name-only", tree))
        with self._index(folder) as git:
            git("read-tree", tree)
            git("checkout-index", "-z", "--stdin", given="\0".join(wanted))

    def merged_text(self, yours: str, old: str, new: str) -> str | None:
        """Merge three versions of a string. Returns None if they conflict."""
        done = self._merge_file([yours, old, new])
        return done.stdout if done.returncode == 0 else None

    def _merge_file(self, texts: list[str], *options: str) -> subprocess.CompletedProcess[str]:
        with TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("yours", "old", "new")]
            for file, text in zip(files, texts, strict=True):
                file.write_text(text, "utf-8", "surrogateescape", newline="")
            return self._git.run("merge-file", "--stdout", *options, *files)

    def stored(self, text: str) -> str:
        """Store *text* as a blob that does not belong to a tree. Returns the blob's abbreviated name."""
        return self._stored(text)[:12]

    def _stored(self, text: str) -> str:
        return self._git("hash-object", "-w", "--stdin", given=text).strip()

    def renames(self, old: str, new: str) -> dict[str, str]:
        """Maps the old path to the new path of each file renamed between the trees *old* and *new*."""
        return dict(self._renames(old, new))

    def _object_format(self) -> str:
        return self._repository.git("rev-parse", "--show-object-format").strip()

    def _is_near(self, path: str) -> bool:
        """Whether a file is in the project's folder or directly in one of its parents."""
        prefix = self._repository.prefix
        return path.startswith(prefix) or prefix.startswith(path[: path.rfind("/") + 1])

    def _names(self, *command: str) -> list[str]:
        return self._repository.names(*command, git=self._git)

    def _renames(self, base: str, head: str) -> Iterator[tuple[str, str]]:
        found = self._names("diff", "--name-status", "--diff-filter=R", "-M", "--no-rename-empty", base, head)
        for position in range(0, len(found), 3):
            yield found[position + 1], found[position + 2]

    def _commit(self, message: str, tree: str, *parents: str) -> str:
        named = [part for parent in parents for part in ("-p", parent)]
        return self._git(*_IDENTITY, "commit-tree", tree, *named, given=message).strip()

    @contextmanager
    def _index(self, work_tree: Path | None = None) -> Generator[Git]:
        """Git with a temporary index."""
        with TemporaryDirectory() as folder:
            tree, index = work_tree or Path(folder), Path(folder) / "index"
            yield Git(tree, **self._environment, GIT_INDEX_FILE=index, GIT_WORK_TREE=tree)

    def _tree_of(self, render: Path, *, left_out: list[str]) -> str:
        """The tree of a render, without *left_out* and without files that its `.gitignore` excludes."""
        if render not in self._trees:
            shutil.rmtree(render / ".git", ignore_errors=True)
            with self._index(render) as git:
                git("add", "--all")
                self._trees[render] = git(*_WRITE_TREE).strip()
        if not left_out:
            return self._trees[render]
        with self._index() as git:
            git("read-tree", self._trees[render])
            _remove(git, left_out)
            return git(*_WRITE_TREE).strip()

    def _in_repository(self, head: str, tree: str) -> str:
        """The whole repository's tree *head*, with the project's folder replaced by *tree*."""
        prefix = self._repository.prefix
        if not prefix:
            return tree
        with self._index() as git:
            git("read-tree", head)
            _remove(git, [prefix])
            git("read-tree", f"--prefix={prefix}", tree)
            return git(*_WRITE_TREE).strip()

    def _with_insertions(self, path: str, stages: _Stages) -> tuple[str, int]:
        """Resolve the conflicts next to insertions in a file. Returns the file's entry for `git update-index`
        (empty if no conflict was resolved) and the number of conflicts that remain.
        """
        modes = {entry.split()[0] for entry in stages.values()}
        sides = [self._content(stages.get(stage, "")) for stage in ("2", "1", "3")]
        if not modes <= {"100644", "100755"} or len(modes) > 1 or None in sides:
            return "", 1
        texts = [side.decode("utf-8", "surrogateescape") for side in sides if side is not None]
        options = ("--diff3", f"--marker-size={MARKER_SIZE}")
        merged = resolve(self._merge_file(texts, *options).stdout, self._with_markers)
        if merged is None:
            return "", 1
        return f"{modes.pop()} {self._stored(merged.text)}\t{path}\0", merged.conflicts

    def _with_markers(self, *texts: str) -> str:
        """Merge three versions of a part of a file, leaving conflict markers like those in other files."""
        names = ("yours", "the template's old version", "the template's")
        return self._merge_file([*texts], *(part for name in names for part in ("-L", name))).stdout

    def _finished(self, merge: Merge, resolved: dict[str, str]) -> str:
        """The result tree. It contains the entries in *resolved*, which maps paths to entries. Deleted files
        stay deleted, conflict markers have readable names, and Copier's answers file comes from the new
        version.
        """
        answers = f"{self._repository.prefix}{ANSWERS_FILE}"
        for findings in (merge.conflicts, merge.stages):
            findings.pop(answers, None)
        named = (self._with_names(merge.result, path) for path in merge.stages if path not in resolved)
        entries = "".join([*named, *resolved.values()]) + self._git("ls-tree", "-z", merge.new, "--", answers)
        with self._index() as git:
            git("read-tree", merge.result)
            _remove(git, merge.missed)
            git("update-index", "-z", "--index-info", given=entries)
            return git(*_WRITE_TREE).strip()

    def _with_names(self, tree: str, path: str) -> str:
        """The entry for *path* in *tree*, with readable names in the file's conflict markers."""
        entry = self._git("ls-tree", "-z", tree, "--", path)
        if not entry.startswith("100"):
            # This is a symbolic link, or there is no file at this path.
            return entry
        mode, _, found = entry.partition("\t")[0].split()
        text = self._git("cat-file", "blob", found)
        return f"{mode} {self._stored(_MARKER.sub("the template's", text))}\t{path}\0"


def _remove(git: Git, paths: Iterable[str]) -> None:
    """Remove *paths* from the index of *git*."""
    listed = ("--pathspec-from-file=-", "--pathspec-file-nul")
    if given := "\0".join(paths):
        git("rm", "-r", "--force", "--cached", "--quiet", "--ignore-unmatch", *listed, given=given)


def _parsed(output: str) -> tuple[str, dict[str, _Stages], dict[str, str]]:
    """Parse the output of `git merge-tree -z` into the tree, the versions of conflicting files, and a message
    for each path.
    """
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

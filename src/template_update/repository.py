"""The project's repository: where it is, whether an update can start, and how an update is written to it."""

import os
import re
import shlex
import signal
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from template_update.git import LITERAL, Git, UpdateError, cure_of_ownership
from template_update.rendering import ANSWERS_FILE

LOCK_FILE = "uv.lock"
"""Even the `uv run` that starts an update can change this file, so uncommitted changes to it are allowed."""
_STATUS = ("--porcelain", "--untracked-files=normal")
"""The user's git settings may hide untracked files, but undoing an interrupted update would delete them."""
_UNDER_WAY = {
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "rebase-apply/applying": "am",
    "rebase-merge": "rebase",
    "rebase-apply": "rebase",
}
_MARKERS = r"^(<<<<<<< (yours|before updating)|>>>>>>> (the template's|after updating))"
"""The conflict markers that this tool and `copier update` write."""
_COMMIT = '`git init && git add -A && git commit -m "Generated"`'


class Repository:
    """The repository that contains the project in *project*, which may be a subfolder of the repository."""

    def __init__(self, project: Path) -> None:
        """Find the repository.

        Raises:
            UpdateError: the project is not committed to a repository that git can use.
        """
        inside = Git(project)
        inside.require_version()
        top = inside.run("rev-parse", "--show-toplevel")
        if cure := cure_of_ownership(top.stderr):
            raise UpdateError(
                "This repository belongs to another user, so git refuses to use it. If you trust it, run"
                f" `{cure}`."
            )
        if top.returncode != 0 or inside.run("rev-parse", "--verify", "--quiet", "HEAD").returncode != 0:
            raise UpdateError(
                "Updates are merged with git, but this project is not committed to a repository yet. Run"
                f" {_COMMIT}."
            )
        self.project = project
        # A folder's name may start or end with spaces.
        self.prefix = inside("rev-parse", "--show-prefix").removesuffix("\n")
        self.git = Git(Path(top.stdout.removesuffix("\n")), **LITERAL)
        self._git_folder = Path(inside("rev-parse", "--absolute-git-dir").removesuffix("\n"))
        self._require_tracked(inside)

    def _require_tracked(self, inside: Git) -> None:
        if self.names("ls-tree", "--name-only", "HEAD", "--", f"{self.prefix}{ANSWERS_FILE}"):
            return
        if inside.run("check-ignore", "--quiet", ANSWERS_FILE).returncode == 0:
            raise UpdateError(
                f"The repository in {self.git.folder} ignores this project, so git cannot merge updates into"
                " it. Change the repository's .gitignore and commit the project, or create a repository for"
                f" the project with {_COMMIT}."
            )
        raise UpdateError(
            f'{ANSWERS_FILE} is not committed. Run `git add {ANSWERS_FILE} && git commit -m "Generated"`.'
        )

    def inside(self, path: str) -> str:
        """Make a path in the repository relative to the project's folder, which is the current folder."""
        return os.path.relpath(path, self.prefix or ".").replace(os.sep, "/")

    def names(self, *command: str, git: Git | None = None) -> list[str]:
        """The names that a git command prints."""
        first, *rest = command
        return [name for name in (git or self.git)(first, "-z", *rest).split("\0") if name]

    def line_endings(self) -> dict[str, bool]:
        """Maps the path of each committed text file in the project to whether it has Windows line endings."""
        about = ("ls-files", "--eol", "--", self.prefix or ".")
        entries = [each.split("\t", 1) for each in self.names(*about)]
        return {
            path.removeprefix(self.prefix): eol.startswith("i/crlf")
            for eol, path in entries
            if eol.startswith(("i/lf", "i/crlf", "i/mixed"))
        }

    def with_fixed_line_endings(self, paths: Iterable[str]) -> set[str]:
        """The project files among *paths* that git attributes mark as binary or as having Unix line
        endings.
        """
        given = "\0".join(f"{self.prefix}{path}" for path in paths)
        said = self.git("check-attr", "-z", "--stdin", "text", "eol", given=given).split("\0")
        values = zip(said[::3], said[1::3], said[2::3], strict=False)
        fixed = {("text", "unset"), ("eol", "lf")}
        return {path.removeprefix(self.prefix) for path, name, value in values if (name, value) in fixed}

    def text(self, commit: str, path: str) -> str:
        """The text of a project file in *commit*.

        Raises:
            UpdateError: there is no such file.
        """
        return self.git("show", f"{commit}:{self.prefix}{path}")

    def last_change_of_version(self) -> tuple[str, str] | None:
        """The last commit that changed the version in the answers file, and that commit's parent. None if git
        does not have both.
        """
        file = f"{self.prefix}{ANSWERS_FILE}"
        shown = ("--no-show-signature", "--format=%H %P")
        found = self.git("log", "-1", *shown, "-G^_commit:", "--", file).split()
        return (found[0], found[1]) if len(found) == 2 else None

    def was_offered(self, commit: str) -> bool:
        """Whether an update already restored what *commit* lost, and the user has committed since."""
        try:
            offered, head = self._offered.read_text("utf-8").split()
        except (OSError, ValueError):
            return False
        return offered == commit and head != self.git("rev-parse", "HEAD").strip()

    def note_offer(self, commit: str) -> None:
        """Remember that this update restores what *commit* lost. After the user's next commit, updates do not
        offer this again, so the user can leave it out.
        """
        self._offered.write_text(f"{commit} {self.git('rev-parse', 'HEAD')}", "utf-8")

    # Whether an update can start

    def require_no_markers(self) -> None:
        """Reject committed conflict markers, because a merge would hide them.

        Raises:
            UpdateError: a file has conflict markers. The message names it.
        """
        found = self.git.run(
            "grep", "-z", "--no-color", "--name-only", "-E", _MARKERS, "HEAD", "--", self.prefix or "."
        )
        if marked := [name.partition(":")[2] for name in found.stdout.split("\0") if name]:
            raise UpdateError(
                f"{', '.join(map(self.inside, marked))}: conflict markers (<<<<<<<) from the last update have"
                " been committed. Resolve the conflicts and commit first."
            )

    def require_clean_tree(self) -> None:
        """Reject a state in which git could not undo the update or tell it apart from other changes.

        Raises:
            UpdateError: there are uncommitted changes, a merge or similar operation is in progress, or git
                ignores changes to some files.
        """
        self._require_nothing_under_way()
        if self._is_half_written():
            raise UpdateError(
                f"The last update was stopped while it was writing files. Undo it first: {self._undo()}."
            )
        if changes := self._changes():
            shown = "\n".join(f"  {each}" for each in changes[:10])
            more = f"\n  and {len(changes) - 10} more" if len(changes) > 10 else ""
            raise UpdateError(
                f"An update needs a clean tree. Commit or stash these changes first:\n{shown}{more}"
            )
        self._require_all_seen()

    def _is_half_written(self) -> bool:
        """Whether all changes may come from an interrupted update, so that undoing it would lose nothing
        else.
        """
        if not self._note.exists():
            return False
        head, *rest = self._note.read_text("utf-8", "surrogateescape").split("\0")
        changed = [path for _, path in self._entries("--untracked-files=all")]
        is_half_written = (
            bool(changed)
            and head == self._tree_of_head()
            and all(path in rest[1:] and self._is_part_of(rest[0], path) for path in changed)
        )
        if not is_half_written:
            self._note.unlink()
        return is_half_written

    def _is_part_of(self, tree: str, path: str) -> bool:
        """Whether a file in the working tree is missing or is the beginning of the file in *tree*."""
        file = self.git.folder / path
        if not os.path.lexists(file):
            return True
        done = self.git.run("cat-file", "--filters", f"{tree}:{path}")
        if done.returncode != 0 or file.is_dir():
            return False
        content = os.fsencode(os.readlink(file)) if file.is_symlink() else file.read_bytes()
        return done.stdout.encode("utf-8", "surrogateescape").startswith(content)

    def _tree_of_head(self) -> str:
        return self.git("rev-parse", "HEAD^{tree}").strip()

    def _require_nothing_under_way(self) -> None:
        for name, operation in _UNDER_WAY.items():
            if (self._git_folder / name).exists():
                raise UpdateError(
                    f"A {operation} is in progress. Finish it (`git {operation} --continue`) or undo it"
                    f" (`git {operation} --abort`) first."
                )

    def _require_all_seen(self) -> None:
        """Reject files whose changes git was told to ignore, because git could not tell such changes apart
        from the update.
        """
        flags = [each.split(" ", 1) for each in self.names("ls-files", "-v", "--", self.prefix or ".")]
        hidden = [path for flag, path in flags if flag == "S" or flag.islower()]
        if not hidden:
            return
        named = self.inside(hidden[0]) + (f" and {len(hidden) - 1} more" if len(hidden) > 1 else "")
        if self.git.run("config", "--get", "core.sparseCheckout").stdout.strip() == "true":
            raise UpdateError(
                f"This is a sparse checkout without {named}. An update needs the whole project. Run"
                " `git sparse-checkout disable`."
            )
        shown = shlex.join(map(self.inside, hidden[:10]))
        raise UpdateError(
            f"Git was told to ignore changes to {named}, so an update could lose them. Run"
            f" `git update-index --no-skip-worktree {shown}` and"
            f" `git update-index --no-assume-unchanged {shown}`."
        )

    def has_uncommitted_lock(self) -> bool:
        """Whether uv.lock has uncommitted changes. If so, the update includes them."""
        return bool(self.git("status", *_STATUS, "--", f"{self.prefix}{LOCK_FILE}").strip())

    def require_free_places(self, added: Iterable[str]) -> None:
        """Refuse to overwrite ignored files.

        Raises:
            UpdateError: an ignored file exists at a path where the update adds a file or needs a folder.
        """
        if in_the_way := sorted({self.inside(place) for path in added for place in self._in_the_way(path)}):
            raise UpdateError(
                f"The template adds {', '.join(in_the_way)}, where you have ignored files. Move them away"
                " first."
            )

    def _in_the_way(self, path: str) -> Iterator[str]:
        if os.path.lexists(self.git.folder / path):
            yield path
        for parent in PurePosixPath(path).parents:
            folder = self.git.folder / parent
            is_no_folder = folder.is_symlink() or (folder.exists() and not folder.is_dir())
            if is_no_folder and not self.names("ls-files", "--", parent.as_posix()):
                yield parent.as_posix()

    def _changes(self) -> list[str]:
        """The lines that `git status` prints, except the one for uv.lock, with paths relative to the
        project's folder.
        """
        return [f"{state} {self.inside(path)}" for state, path in self._entries()]

    def _entries(self, *options: str) -> list[tuple[str, str]]:
        """The state and path of each changed file except uv.lock. The path of an untracked folder ends with a
        slash.
        """
        lines = self.names("status", *_STATUS, "--no-renames", *options)
        entries = [(line[:2], line[3:]) for line in lines]
        return [(state, path) for state, path in entries if path != f"{self.prefix}{LOCK_FILE}"]

    # Unfinished work after an update

    def markers(self) -> dict[str, int]:
        """The line number of the first conflict marker in each project file that has one."""
        found = self.git.run("grep", "-z", "--no-color", "-n", "-I", "-E", _MARKERS, "--", self.prefix or ".")
        entries = re.findall(r"([^\0]+)\0(\d+)\0.*\n?", found.stdout)
        lines: dict[str, int] = {}
        for path, line in entries:
            lines.setdefault(self.inside(path), int(line))
        return lines

    def unmerged(self) -> list[str]:
        """The project's files that git still lists as conflicting."""
        names = self.names("diff", "--name-only", "--diff-filter=U", "--", self.prefix or ".")
        return list(dict.fromkeys(map(self.inside, names)))

    def resolving(self, path: str) -> str:
        """The command that marks a file as resolved in git."""
        verb = "add" if os.path.lexists(self.project / path) else "rm"
        return f"git {verb} {shlex.quote(path)}"

    def merged(self) -> list[str]:
        """The project's files that differ from the last commit and still exist."""
        names = self.names("diff", "--name-only", "--diff-filter=AMR", "HEAD", "--", self.prefix or ".")
        return [self.inside(name) for name in names]

    # Writing the update

    def write(self, head: str, tree: str, changed: Sequence[str], stages: dict[str, dict[str, str]]) -> None:
        """Check out *tree*, and put the conflicts in *stages* into the index.

        *head* is the tree of the last commit, and *changed* lists the paths at which *tree* differs from it.

        Either everything is written or nothing is. Ctrl+C has no effect unless it ends a running git command.
        In that case, everything is rolled back.

        Raises:
            UpdateError: a file cannot be written, or the project has changed since the merge. The message
                states whether everything is as it was before.
        """
        if self._index_lock.exists():
            raise UpdateError(
                "Another git command is running in this repository, or was killed. If none is running, run"
                f" `rm {shlex.quote(str(self._index_lock))}` and repeat the update."
            )
        with _uninterrupted():
            self._require_unchanged(head, [*changed, *stages])
            try:
                note = "\0".join([head, tree, *changed, *stages])
                self._note.write_text(note, "utf-8", "surrogateescape")
                self._check_out(tree, stages)
            except (UpdateError, OSError) as error:
                self._roll_back([*changed, *stages], str(error))
            self._note.unlink()

    def _require_unchanged(self, head: str, paths: Sequence[str]) -> None:
        """Refuse to continue if the user has saved or committed something since the update started. Rendering
        takes time, and so does waiting for the user's confirmation.

        Raises:
            UpdateError: one of *paths* has changed, or the last commit no longer has the tree *head*.
        """
        if self._tree_of_head() != head:
            raise UpdateError(
                "The last commit changed during the update. Nothing was updated. Repeat the update."
            )
        saved = [path for _, path in self._entries() if _is_one_of(path, paths)]
        if saved:
            raise UpdateError(
                f"{', '.join(map(self.inside, saved))}: changed since the update started."
                " Nothing was updated. Commit or stash your changes, and repeat the update."
            )

    def _check_out(self, tree: str, stages: dict[str, dict[str, str]]) -> None:
        self.git("read-tree", "-m", "-u", "HEAD", tree)
        nothing = "0" * len(tree)
        for path, found in stages.items():
            unmerged = "".join(f"{each} {stage}\t{path}\0" for stage, each in found.items())
            self.git("update-index", "-z", "--index-info", given=f"0 {nothing}\t{path}\0{unmerged}")

    def _roll_back(self, paths: list[str], why: str) -> None:
        """Restore *paths* to their state in HEAD.

        Raises:
            UpdateError: always. The message states whether everything is as it was.
        """
        if "index.lock" not in why:
            # A git process that was killed may have left its lock behind.
            self._index_lock.unlink(missing_ok=True)
        there = set(self.names("ls-tree", "-r", "--name-only", "HEAD"))
        listed = ("--pathspec-from-file=-", "--pathspec-file-nul")
        added = [path for path in paths if path not in there]
        for path in added:
            self._remove(self.git.folder / path)
        untracked = ("rm", "-r", "--force", "--cached", "--quiet", "--ignore-unmatch", *listed)
        self.git.run(*untracked, given="\0".join(added))
        restored = ("restore", "--source=HEAD", "--staged", "--worktree", *listed)
        self.git.run(*restored, given="\0".join(path for path in paths if path in there))
        # Ignore all other changes, because the user may have saved files during the update.
        entries = [entry for entry in self._entries() if _is_one_of(entry[1], paths)]
        if left := [f"{state} {self.inside(path)}" for state, path in entries]:
            raise UpdateError(
                f"Not every file could be written: {why}. These files have changed:"
                f" {', '.join(left[:10])}. Once files can be written again, undo this: {self._undo()}."
            )
        self._note.unlink(missing_ok=True)
        raise UpdateError(f"Not every file could be written: {why}. Nothing was changed.")

    def _remove(self, file: Path) -> None:
        """Remove *file* and any folders that this leaves empty."""
        with suppress(OSError):
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self.git.folder:
                    break
                folder.rmdir()

    def _undo(self) -> str:
        lock = f"rm -f {shlex.quote(str(self._index_lock))} && " if self._index_lock.exists() else ""
        note = f" && rm -f {shlex.quote(str(self._note))}" if self._note.exists() else ""
        return f"`{lock}git add --all && git reset --hard{note}`"

    @property
    def _index_lock(self) -> Path:
        return self._git_folder / "index.lock"

    @property
    def _note(self) -> Path:
        """A file that exists while an update is being written. If this update does not finish, the next one
        finds the file.
        """
        return self._git_folder / "template-update"

    @property
    def _offered(self) -> Path:
        return self._git_folder / "template-update-offered"

    def stage(self, path: str) -> bool:
        """Stage the changes at *path* in the project. Returns whether the update changes anything there."""
        there = self.prefix + path
        if (self.git.folder / there).exists():
            self.git("add", "--", there)
        return bool(self.names("diff", "--cached", "--name-only", "HEAD", "--", there))


def _is_one_of(path: str, paths: Iterable[str]) -> bool:
    """Whether *path* is one of *paths*, or an untracked folder (ending with a slash) that contains one."""
    return any(each == path or (path.endswith("/") and each.startswith(path)) for each in paths)


@contextmanager
def _uninterrupted() -> Generator[None]:
    """Ignore Ctrl+C in this process and in the commands it runs."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

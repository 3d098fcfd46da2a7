"""Reads files from git's object database."""

import re
import subprocess  # nosec B404 - git is a command
import weakref
from contextlib import suppress

from template_update.git import Git, UpdateError

_FOUND = re.compile(rb"[0-9a-f]+ (\w+) (\d+)\n")
_SUBMODULE = re.compile(rb"[0-9a-f]+ submodule\n")
"""Git 2.51 and later print this for a submodule."""
_NOT_FOUND = (b" missing\n", b" ambiguous\n")


class Blobs:
    """Reads files through one git process. Starting one process per file would take longer than merging."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._process: subprocess.Popen[bytes] | None = None

    def text(self, name: str) -> str | None:
        """Return the text of an object such as `tree:path`, or None if the file does not exist.

        Raises:
            UpdateError: git has exited.
        """
        if self._process is None:
            self._process = self._git.start("cat-file", "--batch", "-z")
            weakref.finalize(self, self._process.communicate)
        asked, answered = self._process.stdin, self._process.stdout
        if asked is None or answered is None:
            raise RuntimeError("git was started without pipes")
        with suppress(BrokenPipeError):
            asked.write(name.encode("utf-8", "surrogateescape") + b"\0")
            asked.flush()
        line = answered.readline()
        if found := _FOUND.fullmatch(line):
            length = int(found[2])
            content = answered.read(length + 1)[:length]
            if len(content) < length:
                raise UpdateError("git cat-file failed.")
            return content.decode("utf-8", "surrogateescape") if found[1] == b"blob" else None
        if _SUBMODULE.fullmatch(line):
            return None
        # Git repeats the name, which may contain line breaks.
        for _ in range(name.count("\n")):
            line += answered.readline()
        if not line.endswith(_NOT_FOUND):
            raise UpdateError("git cat-file failed.")
        return None

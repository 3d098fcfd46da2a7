"""A copy of one version of the project, in which the project's tools can run.

Code that imports a file with a conflict cannot run. In the copy, such a file contains only the user's side of
each conflict, so everything else can be checked before the conflicts are resolved.
"""

import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from template_update.merge import Merger
from template_update.repository import LOCK_FILE, Repository

_CONFLICT = re.compile(
    rb"^<<<<<<< yours[^\n]*\n(.*?)^=======\r?\n.*?^>>>>>>> the template's[^\n]*\n", re.MULTILINE | re.DOTALL
)
_NOT_COMMITTED = (".env", LOCK_FILE)
"""Files that the tools may need and that git might not track."""


@contextmanager
def copy_of(merger: Merger, repository: Repository, tree: str) -> Generator[Path]:
    """Copy the project as it is in *tree*, with the user's side of each conflict. Yields the folder."""
    with TemporaryDirectory(prefix="template-update-") as folder:
        merger.write_out(tree, Path(folder))
        copy = Path(folder) / repository.prefix
        for path in (path for path in copy.rglob("*") if path.is_file() and not path.is_symlink()):
            content = path.read_bytes()
            if b"<<<<<<< yours" in content:
                path.write_bytes(_CONFLICT.sub(rb"\1", content))
        for name in _NOT_COMMITTED:
            if (repository.project / name).is_file() and not (copy / name).exists():
                shutil.copyfile(repository.project / name, copy / name)
        environment = repository.project / os.environ.get("UV_PROJECT_ENVIRONMENT", ".venv")
        if environment.is_dir() and not (copy / ".venv").exists():
            (copy / ".venv").symlink_to(environment)
        yield copy

"""Makes `.env` and the SQLite database readable only by their owner (CWE-732).

Neither git nor Copier preserves mode 0600, so the commands that run the application set it. Template-owned.
"""

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from app.cli.common import sqlite_file

if TYPE_CHECKING:
    from app.settings import Settings

OWNER_ONLY = 0o600
OWNER_AND_GROUP = 0o660


def keep_private(settings: "Settings") -> None:
    """Deny other users of this machine access to `.env` and the SQLite database, and print what was changed.

    If a file's mode cannot be changed, because another user owns the file or the disk is read-only, a warning
    is printed and the application runs anyway. Windows has no file modes.
    """
    if os.name == "nt":
        return
    changed = [str(path) for path in _files_with_secrets(settings) if path.is_file() and _tighten(path)]
    if changed:
        typer.echo(
            f"Changed the permissions of {', '.join(changed)}: other users of this machine could read"
            f" {'them' if len(changed) > 1 else 'it'}.",
            err=True,
        )


def _files_with_secrets(settings: "Settings") -> list[Path]:
    from app.settings import DEFAULT_ENV_FILE

    database = sqlite_file(settings)
    beside = ("", "-wal", "-shm", "-journal")
    return [DEFAULT_ENV_FILE, *(Path(f"{database}{suffix}") for suffix in beside if database)]


def _tighten(path: Path) -> bool:
    """Remove other users' access to *path*. Returns whether the mode was changed."""
    status = path.stat()
    is_ours = (status.st_uid, status.st_gid) == (os.geteuid(), os.getegid())
    # A file with a different owner or group is shared on purpose, for example with a service that needs the
    # file to start.
    allowed = OWNER_ONLY if is_ours else OWNER_AND_GROUP
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~allowed == 0:
        return False
    try:
        path.chmod(mode & allowed)
    except OSError as error:
        _warn(path, error.strerror or "unknown error")
        return False
    if stat.S_IMODE(path.stat().st_mode) & ~allowed:
        _warn(path, "its file system does not support permissions")
        return False
    return True


def _warn(path: Path, reason: str) -> None:
    typer.secho(
        f"Other users of this machine can read {path}, which contains secrets, and its permissions cannot"
        f" be changed ({reason}): have its owner run `chmod 600 {path}`.",
        fg=typer.colors.YELLOW,
        err=True,
    )

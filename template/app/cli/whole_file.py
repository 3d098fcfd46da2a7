"""Atomically writes a file that only its owner can read. Template-owned."""

import os
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from app.cli.common import fail
from app.cli.permissions import OWNER_ONLY


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Generator[Path]:
    """A file to write to. It is renamed to *path* at the end of the block, or deleted if the block raises.

    Exits with a message if *path* cannot be written, or if it exists and *replace* is false.
    """
    if os.path.lexists(path) and not replace:
        fail(f"{path} already exists, and existing files are not overwritten. Choose another file.")
    with explained(path):
        # Keep the suffix, because git may ignore files based on their suffix.
        number, name = mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=path.suffix)
        os.close(number)
    part = Path(name)
    try:
        with _exit_on_sigterm():
            yield part
        with explained(path):
            with part.open("rb+") as written:
                os.fsync(written.fileno())
            if not replace:
                # Fails if someone else has created the file in the meantime.
                path.touch(OWNER_ONLY, exist_ok=False)
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
        # SQLite leaves its journal behind if the disk is full.
        Path(f"{part}-journal").unlink(missing_ok=True)


@contextmanager
def _exit_on_sigterm() -> Generator[None]:
    """Raise SystemExit on SIGTERM, which would otherwise end the process without cleaning up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def explained(output: str | Path) -> Generator[None]:
    """Exit with a message if *output* cannot be written."""
    try:
        yield
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). Click exits quietly.
        raise
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}. Choose another file or folder.")

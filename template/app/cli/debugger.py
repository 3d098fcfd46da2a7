"""The debugger for `breakpoint()` under `app dev`. Template-owned.

`app dev` handles requests in a worker process whose standard input is closed, so pdb would exit immediately
with BdbQuit. This module connects pdb to the terminal instead.
"""

import os
import pdb  # nosec
import sys
from pathlib import Path

_TERMINAL = Path("/dev/tty")


def use_terminal() -> None:
    """Make `breakpoint()` open pdb on the terminal, in this process and its child processes."""
    os.environ.setdefault("PYTHONBREAKPOINT", f"{__name__}.{set_trace.__name__}")


def set_trace() -> None:
    """Open pdb in the calling function."""
    caller = sys._getframe().f_back  # pyright: ignore[reportPrivateUsage]
    try:
        stdin, stdout = _TERMINAL.open("r"), _TERMINAL.open("w")
    except OSError as error:
        print(f"breakpoint(): there is no terminal for pdb ({error.strerror}). Continuing.", file=sys.stderr)
        return
    stdout.write("\nA request that you debug for longer than REQUEST_TIMEOUT gets a 504.\n")
    pdb.Pdb(stdin=stdin, stdout=stdout).set_trace(caller)

"""Makes `app serve` and `app worker` exit with code 0 if SIGTERM arrives while they are still starting.
Template-owned.

`app/cli/__init__.py` imports this module first, because the other imports take most of a second. Without a
handler, SIGTERM terminates the process abnormally, and a supervisor reports a failure.
"""

import os
import signal
import sys


def _end(*_: object) -> None:
    # Cleanup code in an import could swallow SystemExit. Nothing that needs closing is open yet.
    os._exit(0)


if sys.argv[1:2] in (["serve"], ["worker"]):
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _end)

"""Ends `app serve` and `app worker` with exit code 0 if SIGTERM arrives before they have started working.
Template-owned.

`app/cli/__init__.py` imports this module first, because the other imports take most of a second. Until a
process handles SIGTERM, the signal ends it with an error, and a supervisor reports a failure.
"""

import os
import signal
import sys


def _end(*_: object) -> None:
    # An import's clean-up could swallow SystemExit. Nothing that needs closing is open yet.
    os._exit(0)


if sys.argv[1:2] in (["serve"], ["worker"]):
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _end)

"""Shows on a terminal which step is running and for how long."""

import sys

from rich.console import Console
from rich.progress import Progress as Display
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text


class Progress:
    """Shows a line for each step, with a timer that runs until the next step or message."""

    def __init__(self, *, to_stderr: bool) -> None:
        """Find out whether the stream is a terminal."""
        # Rich would treat FORCE_COLOR, which CI often sets, as a sign of a terminal.
        stream = sys.stderr if to_stderr else sys.stdout
        self.is_shown = stream.isatty()
        self._console = Console(stderr=to_stderr)
        self._display: Display | None = None

    def begin(self, step: str) -> None:
        """Show *step* until `end` is called."""
        self.end()
        columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}"), TimeElapsedColumn())
        # By default, Rich would redirect standard output and standard error to this console.
        self._display = Display(*columns, console=self._console, redirect_stdout=False, redirect_stderr=False)
        self._display.add_task(Text(step).markup, total=None)
        self._display.start()

    def end(self) -> None:
        """End the line, so that something else can be printed."""
        if self._display:
            for task in self._display.task_ids:
                self._display.update(task, total=1, completed=1)
            self._display.stop()
        self._display = None

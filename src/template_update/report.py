"""The output of a command: messages for people, and the same information as data for programs."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

import typer

from template_update.git import UpdateError
from template_update.options import INTERRUPTED, NEEDS_ATTENTION, Options
from template_update.progress import Progress
from template_update.summary import summary

_CREDENTIALS = re.compile(r"(https?://)[^/\s\"']+@")
"""Matches the credentials in a URL. They are not printed, because CI logs and pull requests can be public."""


class Report:
    """Prints messages to standard output, or to standard error if standard output is reserved for data."""

    def __init__(self, options: Options) -> None:
        self.data: dict[str, Any] = {}
        """What `--json` prints."""
        self._as_json = options.as_json
        self._summary = options.summary
        self.to_stderr = bool(options.on_stdout)
        self._progress = Progress(to_stderr=self.to_stderr)

    def exit_after(self, work: Callable[[], int], *, interrupted: str) -> NoReturn:
        """Exit with the code that *work* returns, or report why it could not continue.

        *interrupted* is the message to print after Ctrl+C.
        """
        try:
            code = work()
        except UpdateError as error:
            self.fail(str(error))
            code = NEEDS_ATTENTION
        except (KeyboardInterrupt, typer.Abort):
            self.fail(interrupted)
            code = INTERRUPTED
        raise typer.Exit(code if self.end() else NEEDS_ATTENTION)

    def say(self, sentence: str = "", *, bold: bool = False) -> None:
        """Print a message for the user."""
        self._print(sentence, bold=bold or None, err=self.to_stderr)

    def step(self, sentence: str) -> None:
        """Announce a long step. On a terminal, a timer runs until the next message."""
        if self._progress.is_shown and not self._as_json:
            self._progress.begin(without_credentials(sentence))
        else:
            self.say(sentence)

    def alarm(self, sentence: str) -> None:
        """Print a message about something that needs attention."""
        self._print(sentence, fg=typer.colors.RED, err=self.to_stderr)

    def fail(self, sentence: str) -> None:
        """Report why the command cannot continue."""
        self.data["error"] = sentence
        self._print(sentence, fg=typer.colors.RED, err=True)

    def end(self) -> bool:
        """Print the data and write the summary, if requested. Returns whether that succeeded."""
        is_written = self._write_summary() if self._summary else True
        if self._as_json:
            typer.echo(_printable(json.dumps(self.data, indent=2, ensure_ascii=False), sys.stdout))
        return is_written

    def _write_summary(self) -> bool:
        text = without_credentials(summary(self.data))
        try:
            Path(self._summary).write_text(text, "utf-8", errors="replace")
        except OSError as error:
            self.fail(f"{self._summary} cannot be written: {error.strerror}.")
            return False
        return True

    def _print(self, sentence: str, **style: Any) -> None:
        self._progress.end()
        typer.secho(_printable(sentence, sys.stderr if style["err"] else sys.stdout), **style)


def _printable(text: str, stream: TextIO) -> str:
    """*text* without credentials, and with escapes for anything that *stream* cannot encode, such as file
    names that are not valid UTF-8.
    """
    encoding = stream.encoding or "utf-8"
    return without_credentials(text).encode(encoding, "backslashreplace").decode(encoding)


def without_credentials(text: str) -> str:
    """*text* without the user names and passwords in its URLs."""
    return _CREDENTIALS.sub(r"\1", text)

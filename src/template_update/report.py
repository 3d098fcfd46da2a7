"""What a command says: sentences for people, and the same as data for programs."""

import json
from typing import Any

import typer

from template_update.options import Options


class Report:
    """Prints sentences to standard output, or to standard error if standard output is for programs."""

    def __init__(self, options: Options) -> None:
        self.data: dict[str, Any] = {}
        """What `--json` prints."""
        self._as_json = options.as_json
        self.to_stderr = bool(options.on_stdout)

    def say(self, sentence: str = "", *, bold: bool = False) -> None:
        """Tell the user something."""
        typer.secho(sentence, bold=bold or None, err=self.to_stderr)

    def alarm(self, sentence: str) -> None:
        """Tell the user something that needs attention."""
        typer.secho(sentence, fg=typer.colors.RED, err=self.to_stderr)

    def fail(self, sentence: str) -> None:
        """Say why the command cannot continue."""
        self.data["error"] = sentence
        typer.secho(sentence, fg=typer.colors.RED, err=True)

    def end(self) -> None:
        """Print the data, if it was asked for."""
        if self._as_json:
            typer.echo(json.dumps(self.data, indent=2, ensure_ascii=False))

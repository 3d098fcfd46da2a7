"""`app settings` and `app openapi`: show the effective settings and the API."""

import json
from pathlib import Path
from typing import Annotated

import typer

from app.cli.common import INVOCATION_DIR, fail


def settings() -> None:
    """Show every effective setting and its source. Secrets are masked."""
    from app.settings import describe, load_settings

    rows = describe(load_settings())
    name_width = max(len(name) for name, _, _ in rows)
    source_width = max(len(source) for _, _, source in rows)
    for name, value, source in rows:
        typer.echo(f"{name:{name_width}}  {source:{source_width}}  {value}")


def openapi(
    output: Annotated[
        Path | None, typer.Option(help="The output file. Default: standard output.", dir_okay=False)
    ] = None,
) -> None:
    """Print the OpenAPI 3.1 document."""
    from app.main import create_app

    text = json.dumps(create_app().openapi(), indent=2, ensure_ascii=False) + "\n"
    if output is None:
        typer.echo(text, nl=False)
    else:
        try:
            (INVOCATION_DIR / output).write_text(text, "utf-8")
        except OSError as error:
            fail(f"{output} cannot be written: {error.strerror}.")
        typer.echo(f"Wrote {output}.", err=True)

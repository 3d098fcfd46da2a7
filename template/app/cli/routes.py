"""`app routes`: every route and what it requires. Template-owned.

A guard declares its requirement with `@needs("a paid bill")` from `app.web`. Limits come from
`app/users/rate_limits.py` and from guards such as `limited("10/m")`. Checks inside a handler are not shown.
"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from app.web.framework.endpoint import Endpoint


def routes(
    search: Annotated[str, typer.Option(help="Only routes whose path or handler contains this text.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the routes as JSON.")] = False,
) -> None:
    """List every route with its requirements, limits and handler."""
    from app.main import create_app

    described = [_described(each) for each in create_app().endpoints]
    found = [each for each in described if search in each["path"] or search in each["handler"]]
    found.sort(key=lambda each: (each["path"], each["methods"]))
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    rows = [
        (
            ",".join(each["methods"]),
            each["path"],
            ", ".join(each["needs"]) or "-",
            ", ".join(each["limits"]) or "-",
            each["handler"],
        )
        for each in found
    ]
    table = [("Methods", "Path", "Needs", "Limits", "Handler"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(4)]
    for row in table if rows else []:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        typer.echo("  ".join([*cells, row[4]]))
    if not rows:
        typer.echo("No such route.", err=True)


def _described(endpoint: "Endpoint") -> dict[str, Any]:
    limits = [str(getattr(each, "limit", "")) for each in endpoint.dependencies()]
    handler = endpoint.handler
    return {
        "methods": sorted(endpoint.route.methods),
        "path": endpoint.route.path,
        "needs": endpoint.needs(),
        "limits": list(dict.fromkeys(filter(None, limits))),
        "handler": f"{handler.__module__}.{getattr(handler, '__qualname__', type(handler).__name__)}",
    }

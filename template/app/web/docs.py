"""The documentation at /docs: one HTML page without scripts, made from the OpenAPI document.

It works offline and with the strictest Content-Security-Policy. To send requests, open /openapi.json in a
client such as Bruno, Insomnia or Swagger UI. Both routes exist only if DOCS_ENABLED is true.
"""

import html
import json
from typing import Any, cast

from hawkapi import Request
from hawkapi.responses.json_response import JSONResponse
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router
from markupsafe import Markup

from app.web.html import html_page

router = Router()


@router.get("/openapi.json", include_in_schema=False)
async def openapi_document(request: Request) -> JSONResponse:
    """The OpenAPI 3.1 document."""
    return JSONResponse(request.scope["app"].openapi())


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The documentation page."""
    document = request.scope["app"].openapi()
    body = Markup(render(document))  # noqa: S704  # nosec B704 - render escapes every value
    return html_page(request, "page.html", title=document["info"]["title"], body=body)


def render(document: dict[str, Any]) -> str:
    """The body of the page for an OpenAPI *document*."""
    info = document["info"]
    parts = [f"<p>{_text(info.get('description', ''))}</p>"]
    parts.append('<p>Machine-readable: <a href="openapi.json">openapi.json</a></p>')
    for path, operations in sorted(document["paths"].items()):
        for method, operation in operations.items():
            parts.append(_operation(method, path, operation))
    parts.append("<h2>Schemas</h2>")
    for name, schema in sorted(document["components"]["schemas"].items()):
        parts.append(
            f'<details id="{_text(name)}"><summary><b>{_text(name)}</b></summary>'
            f"<div><pre>{_text(json.dumps(schema, indent=2, ensure_ascii=False))}</pre></div></details>"
        )
    return "\n".join(parts)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    security = operation.get("security", [])
    need = "login optional" if {} in security else "needs a login"
    lock = f'<span class="lock">{need}</span>' if security else ""
    parts = [
        f'<details><summary><span class="method">{method.upper()}</span>'
        f"<code>{_text(path)}</code> {_text(operation['summary'])}{lock}</summary><div>",
        f"<p>{_text(operation.get('description', ''))}</p>",
    ]
    if parameters := operation.get("parameters"):
        parts.append("<h3>Parameters</h3>" + _table([_parameter(each) for each in parameters]))
    if body := operation.get("requestBody"):
        rows = [(f"<code>{_text(kind)}</code>", _schema(each)) for kind, each in body["content"].items()]
        parts.append("<h3>Body</h3>" + _table(rows))
    rows = [
        (
            f"<b>{_text(status)}</b>",
            _text(response["description"]),
            " ".join(_schema(each) for each in response.get("content", {}).values()),
        )
        for status, response in operation["responses"].items()
    ]
    parts.append("<h3>Responses</h3>" + _table(rows) + "</div></details>")
    return "\n".join(parts)


def _parameter(parameter: dict[str, Any]) -> tuple[str, ...]:
    need = "required" if parameter["required"] else "optional"
    return f"<code>{_text(parameter['name'])}</code>", parameter["in"], need, _schema(parameter)


def _schema(holder: dict[str, Any]) -> str:
    schema = cast(dict[str, Any], holder.get("schema", {}))
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = _text(reference.rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    return f"<code>{_text(json.dumps(schema, ensure_ascii=False))}</code>"


def _table(rows: list[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{cell}</td>" for cell in row) for row in rows)
    return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"


def _text(value: object) -> str:
    return html.escape(str(value))

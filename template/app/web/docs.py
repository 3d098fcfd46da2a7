"""The documentation at /docs: Swagger UI, which shows /openapi.json and can send requests.

The application serves Swagger UI itself (`static/`), so the page works offline and loads nothing from other
sites. These routes exist only if DOCS_ENABLED is true.
"""

from pathlib import Path

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.web.framework.application import App
from app.web.html import html_page
from app.web.static_files import StaticFiles

router = Router()

# Swagger UI's style sheet contains its icons as data: URLs.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
)


def install(app: App) -> None:
    """Add the documentation page, the OpenAPI document and the files that the page loads."""
    files = StaticFiles("/docs", Path(__file__).parent / "static")
    app.state.html.globals["docs_url"] = files.url
    app.include_router(router)
    app.include_router(files.router())


@router.get("/openapi.json", include_in_schema=False)
async def openapi_document(request: Request) -> Response:
    """The OpenAPI 3.1 document."""
    return Response(request.scope["app"].openapi_json, content_type="application/json")


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The documentation page."""
    return html_page(request, "docs.html", headers={"Content-Security-Policy": _POLICY})

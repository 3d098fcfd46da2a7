"""Errors as pages, for browsers. Clients that ask for JSON get problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from hawkapi import Request
from hawkapi.responses.response import Response

from app.i18n import gettext as _
from app.web.html import html_page


def error_page(request: Request, problem: dict[str, Any]) -> Response:
    """The page for *problem*, the problem details as a dict."""
    status: int = problem["status"]
    return html_page(
        request,
        "error.html",
        status=status,
        reason=_(HTTPStatus(status).phrase),
        detail=_(problem.get("detail") or ""),
        error_status=status,
    )

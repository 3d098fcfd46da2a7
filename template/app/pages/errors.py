"""Shows errors to browsers as pages. Clients that ask for JSON get problem details (RFC 9457)."""

from http import HTTPStatus
from typing import Any

from hawkapi import Request
from hawkapi.responses.response import Response

from app.i18n import gettext as _
from app.web.html import html_page


def error_page(request: Request, problem: dict[str, Any]) -> Response:
    """The error page for *problem*, which is a dict of problem details."""
    status: int = problem["status"]
    return html_page(
        request,
        "error.html",
        status=status,
        reason=_title(status),
        detail=problem.get("detail") or "",
        # The path may contain the token of an e-mailed link.
        here="/",
    )


def _title(status: int) -> str:
    match status:
        case 403:
            return _("Not allowed")
        case 404:
            return _("Page not found")
        case 429:
            return _("Too many attempts")
        case 500:
            return _("Something went wrong")
        case 503:
            return _("Temporarily unavailable")
        case other:
            return HTTPStatus(other).phrase

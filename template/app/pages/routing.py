"""The router of pages."""

from collections.abc import Callable
from typing import Any

from hawkapi import Depends
from hawkapi.routing.route import Route
from hawkapi.routing.router import Router

from app.web.csrf import require_same_origin


class PageRouter(Router):
    """A router whose routes are pages: not part of the OpenAPI document, and safe against forged forms.

    The session cookie logs in, so every form must come from a page of this application.
    """

    def __init__(self, prefix: str = "") -> None:
        super().__init__(prefix=prefix, dependencies=[Depends(require_same_origin)])

    def add_route(self, path: str, handler: Callable[..., Any], **options: Any) -> Route:
        options["include_in_schema"] = False
        return super().add_route(path, handler, **options)

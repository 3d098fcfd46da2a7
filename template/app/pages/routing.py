"""The router for pages."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from hawkapi import Depends, Request
from hawkapi.responses.response import Response
from hawkapi.routing.route import Route
from hawkapi.routing.router import Router

from app.pages.navigation import SignedIn
from app.users.dependencies import before_setup, is_before_setup
from app.web.csrf import require_same_origin


class PageRouter(Router):
    """A router for pages, which are left out of the OpenAPI document and protected against forged forms.

    The session cookie authenticates forms, so every form must come from one of this application's pages.
    """

    def __init__(self, prefix: str = "") -> None:
        super().__init__(prefix=prefix, dependencies=[Depends(require_same_origin)])

    def add_route(self, path: str, handler: Callable[..., Any], **options: Any) -> Route:
        options["include_in_schema"] = False
        return super().add_route(path, handler, **options)

    def action(
        self, path: str, *, page: str, **options: Any
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Handle a form sent to *path*, which is not a page itself. Opening *path* redirects to *page*.

        A browser opens *path* after a login or password check that interrupted the form. The form is not
        submitted again. *page* has the same parameters as *path*, for example `/things/{thing_id}`.
        *options*: passed on to the route.
        """

        async def open_page(login: SignedIn, request: Request) -> Response:
            values = {name: quote(str(value), safe="") for name, value in request.path_params.items()}
            return Response(b"", status_code=303, headers={"Location": page.format(**values)})

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            self.get(path)(before_setup(open_page) if is_before_setup(handler) else open_page)
            return self.post(path, **options)(handler)

        return register

"""HTML pages: Jinja2 templates with escaped values and a strict Content-Security-Policy.

`app.state.html` renders the pages. A page is a template that extends the layout, `page.html`. A module with
pages adds its template folder in `install`:

    app.state.html.add_folder(Path(__file__).parent / "templates")

A handler returns `html_page(request, "welcome.html", name=user.name)`.
"""

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from hawkapi import Request
from hawkapi.responses.response import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app import i18n

_TEMPLATES = Path(__file__).parent / "templates"
_MAX_CACHED = 256
"""The maximum number of cached pages. Without a limit, visitors could make the cache grow without end, for
example by changing `next` in the URL."""
_REPLACEABLE = {"here"}
"""Values of the layout that a page may replace."""


class HtmlPages:
    """Renders the templates in all folders. If several folders have a layout, the folder added last wins."""

    def __init__(self, app_name: str) -> None:
        self._loader = FileSystemLoader([_TEMPLATES])
        self._environment = Environment(
            loader=self._loader,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
            # Checking the files for changes takes time, and `app dev` restarts when a template is saved.
            auto_reload=False,
        )
        self._globals: dict[str, Any] = self._environment.globals  # type: ignore[assignment]
        of_jinja = set(self._globals)
        i18n.translate_templates(self._environment)
        self._context: list[Callable[[Request], dict[str, Any]]] = []
        self._cache: dict[tuple[str, bytes], str] = {}
        self._sources = "style-src 'self'"
        self._globals["app_name"] = app_name
        self._use_inline_style((_TEMPLATES / "page.css").read_text("utf-8"))
        self._own_globals = self._globals.keys() - of_jinja

    @property
    def globals(self) -> dict[str, Any]:
        """Values that are available in every template."""
        return self._globals

    def add_folder(self, folder: Path) -> None:
        """Also look for templates in *folder*, which is searched before folders added earlier."""
        self._loader.searchpath.insert(0, str(folder))

    def add_context(self, values_of: Callable[[Request], dict[str, Any]]) -> None:
        """Give every template the values that *values_of* returns for the request."""
        self._context.append(values_of)

    def allow(self, sources: str) -> None:
        """Allow *sources* in the Content-Security-Policy, for a layout that loads files."""
        self._sources = sources

    def _use_inline_style(self, css: str) -> None:
        digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
        # This is Markup because an escaped style would not match the digest in the policy.
        self._globals["style"] = Markup(css)  # noqa: S704  # nosec B704
        self._sources = f"style-src 'sha256-{digest}'"

    def policy(self, more: str = "") -> str:
        """The Content-Security-Policy for pages. *more*: further directives, such as `frame-src 'self';`."""
        return (
            f"default-src 'none'; {self._sources}; {more} form-action 'self';"
            " base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
        )

    def response(
        self,
        request: Request,
        template: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        cache: bool = False,
        **values: Any,
    ) -> Response:
        """Render the page *template* with *values*, in the request's language.

        *cache*: render the page once per set of values and share it among visitors. Use this only if the
        template does not depend on anything else, such as the time. It has no effect for logged-in visitors.

        Raises:
            ValueError: the layout itself uses one of the names in *values*.

        A page's URL may contain a token, so caches must not store the page (`no-store`). A page may load only
        what its layout needs, and submit forms only to this site (ASVS 3.4.3, 14.3.2).
        `app/web/middleware.py` adds the headers that every response has.
        """
        language = i18n.current_language()
        context: dict[str, Any] = {"language": language}
        for values_of in self._context:
            context |= values_of(request)
        if clash := ((context.keys() | self._own_globals) - _REPLACEABLE) & values.keys():
            raise ValueError(
                f"The layout of {template} uses {', '.join(sorted(clash))}: give these values other names."
            )
        context = {"problem": ""} | context | values
        return Response(
            self._cached_document(template, context) if cache else self._render(template, context),
            status_code=status,
            headers={
                "Cache-Control": "no-store",
                "Content-Language": i18n.language_tag(language),
                "Content-Security-Policy": self.policy(),
                "Vary": "Accept-Language, Cookie",
            }
            | (headers or {}),
            content_type="text/html; charset=utf-8",
        )

    def _render(self, template: str, context: dict[str, Any]) -> str:
        return self._environment.get_template(template).render(context)

    def _cached_document(self, template: str, context: dict[str, Any]) -> str:
        try:
            key = template, msgspec.json.encode(context)
        except TypeError:
            # A value, such as the user, is not plain data, so the page cannot be cached.
            return self._render(template, context)
        document = self._cache.get(key)
        if document is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            document = self._cache[key] = self._render(template, context)
        return document


def html_page(
    request: Request,
    template: str,
    *,
    status: int = 200,
    headers: dict[str, str] | None = None,
    cache: bool = False,
    **values: Any,
) -> Response:
    """Render the page *template* with *values*. See `HtmlPages.response`."""
    pages: HtmlPages = request.scope["app"].state.html
    return pages.response(request, template, status=status, headers=headers, cache=cache, **values)

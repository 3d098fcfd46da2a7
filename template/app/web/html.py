"""Small HTML pages without scripts or external resources. Their headers forbid both.

A page is a Jinja2 template that extends `page.html`, the layout in `app/web/templates/`.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

from hawkapi.responses.response import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "page.css").read_text("utf-8")


class Pages:
    """Renders the templates of a folder. Values are escaped."""

    def __init__(self, folder: Path = _TEMPLATES) -> None:
        self._environment = Environment(
            loader=FileSystemLoader([folder, _TEMPLATES]),
            autoescape=True,
            trim_blocks=True,
            undefined=StrictUndefined,
        )

    def response(
        self,
        template: str,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
        style: str = "",
        **values: Any,
    ) -> Response:
        """The page *template* with *values*. *style* is CSS in addition to that of the layout.

        The URL of a page may contain a token, so the page is not stored (`no-store`). Only its own style and
        forms to this site are allowed (ASVS 3.4.3, 14.3.2). `app/web/middleware.py` adds the headers that
        every response has.
        """
        css = _STYLE + style
        digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
        # Markup: an escaped style would not match the digest in the policy.
        layout = {"problem": "", "wide": False, "style": Markup(css)}  # noqa: S704  # nosec B704
        document = self._environment.get_template(template).render(layout | values)
        policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self';"
            " base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
        )
        return Response(
            document,
            status_code=status,
            headers={"Cache-Control": "no-store", "Content-Security-Policy": policy} | (headers or {}),
            content_type="text/html; charset=utf-8",
        )


_pages = Pages()


def page_response(
    title: str, body: str, *, status: int = 200, style: str = "", wide: bool = False
) -> Response:
    """A page with only the layout. *body* is HTML: escape untrusted values with `html.escape`."""
    content = Markup(body)  # noqa: S704  # nosec B704 - HTML, as the docstring says
    return _pages.response("page.html", status=status, style=style, wide=wide, title=title, body=content)

"""The static files of the pages: those in `static/`, and `brand.css`, made from the setting BRAND_COLOR.

Add a file to `static/` and link it in a template by `static_url("file.css")`.
"""

from pathlib import Path

from app.settings import Settings
from app.web.static_files import StaticFiles


def static_files(settings: Settings) -> StaticFiles:
    """The files of the pages, served under `/static`."""
    brand = ":root{--brand:" + settings.brand_color + "}\n"
    return StaticFiles("/static", Path(__file__).parent / "static", {"brand.css": brand.encode()})

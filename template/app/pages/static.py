"""The pages' static files: those in `static/`, and `brand.css`, which is generated from BRAND_COLOR.

Add a file to `static/` and link to it in a template with `static_url("file.css")`.
"""

from pathlib import Path

from app.settings import Settings
from app.web.static_files import StaticFiles


def static_files(settings: Settings) -> StaticFiles:
    """The pages' files, served under `/static`."""
    brand = ":root{--brand:" + settings.brand_color + "}\n"
    return StaticFiles("/static", Path(__file__).parent / "static", {"brand.css": brand.encode()})

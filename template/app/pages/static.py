"""Static files with the hash of their content in the name, so that browsers keep them for a year.

Add a file to `static/` and link it in a template by `static_url("file.css")`. `brand.css` is made from the
setting BRAND_COLOR.
"""

import hashlib
import mimetypes
from pathlib import Path

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.settings import Settings
from app.web import Problem

_YEAR = "public, max-age=31536000, immutable"
_UNSERVED = {".md"}


class StaticFiles:
    """The files of a folder, read once at start."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        contents = {
            path.name: path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.suffix not in _UNSERVED
        }
        contents["brand.css"] = (":root{--brand:" + settings.brand_color + "}\n").encode()
        self._urls: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        for name, content in contents.items():
            stem, dot, extension = name.rpartition(".")
            hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}{dot}{extension}"
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            is_text = kind.startswith("text/")
            self._urls[name] = f"/static/{hashed}"
            self._files[hashed] = (content, f"{kind}; charset=utf-8" if is_text else kind)

    def url(self, name: str) -> str:
        """The URL of the file *name*.

        Raises:
            KeyError: there is no such file in `static/`.
        """
        return self._urls[name]

    def router(self) -> Router:
        """The route that serves the files."""
        router = Router()

        @router.get("/static/{name}", status_code=200, include_in_schema=False)
        async def static_file(request: Request, name: str) -> Response:
            if name not in self._files:
                raise Problem(404, "There is no such file.")
            content, kind = self._files[name]
            return Response(content, content_type=kind, headers={"Cache-Control": _YEAR})

        _ = static_file
        return router

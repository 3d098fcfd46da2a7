"""Static files under names that contain a hash of the content, so browsers can cache the files for a year.

A file whose name ends in `.gz` is served compressed, under its name without that suffix.
"""

import gzip
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hawkapi import Request
from hawkapi.responses.response import Response
from hawkapi.routing.router import Router

from app.web.problems import Problem

_YEAR = "public, max-age=31536000, immutable"
_UNSERVED = {".md"}
_TAKES_GZIP = re.compile(r"(?:^|,)\s*(?:gzip|\*)\s*(?:;\s*q=(?!0(?:\.0*)?\s*(?:,|$))|,|$)", re.IGNORECASE)


@dataclass(frozen=True)
class _File:
    content: bytes
    kind: str
    is_compressed: bool


class StaticFiles:
    """The files in a folder, read once at startup."""

    def __init__(self, path: str, folder: Path, generated: Mapping[str, bytes] | None = None) -> None:
        """Serve the files in *folder* under *path*.

        *generated*: the contents of additional files, by name.
        """
        contents = {
            file.name: file.read_bytes()
            for file in folder.rglob("*")
            if file.is_file() and file.suffix not in _UNSERVED
        }
        self._path = path
        self._urls: dict[str, str] = {}
        self._files: dict[str, _File] = {}
        for stored, content in (contents | dict(generated or {})).items():
            name = stored.removesuffix(".gz")
            stem, dot, extension = name.rpartition(".")
            hashed = f"{stem}.{hashlib.sha256(content).hexdigest()[:12]}{dot}{extension}"
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            if kind.startswith("text/"):
                kind += "; charset=utf-8"
            self._urls[name] = f"{path}/{hashed}"
            self._files[hashed] = _File(content, kind, is_compressed=name != stored)

    def url(self, name: str) -> str:
        """The URL of the file *name*.

        Raises:
            KeyError: there is no such file.
        """
        return self._urls[name]

    def router(self) -> Router:
        """The route that serves the files."""
        router = Router()

        @router.get(self._path + "/{name}", status_code=200, include_in_schema=False)
        async def static_file(request: Request, name: str) -> Response:
            if name not in self._files:
                raise Problem(404, "There is no such file.")
            file = self._files[name]
            content, headers = file.content, {"Cache-Control": _YEAR}
            if file.is_compressed:
                headers["Vary"] = "Accept-Encoding"
                if _TAKES_GZIP.search(request.headers.get("accept-encoding") or ""):
                    headers["Content-Encoding"] = "gzip"
                else:
                    content = gzip.decompress(content)
            return Response(content, content_type=file.kind, headers=headers)

        _ = static_file
        return router

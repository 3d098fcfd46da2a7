"""The request that handlers get: HawkAPI's, but a malformed body is a 400 instead of a 500."""

import io
from functools import cached_property
from typing import Any, Self

import msgspec
from hawkapi import Request
from hawkapi.requests.form_data import FormData, UploadFile
from multipart import MultipartError, MultipartParser, parse_options_header

from app.web.cookies import read_cookies
from app.web.problems import Problem


class CheckedRequest(Request):
    """A request whose `json()` and `form()` raise a 400 for a malformed body.

    HawkAPI 0.2.0 responds with 500, truncates an uploaded file that contains the text of the boundary, and
    can return a cookie with a different name (`read_cookies`).
    """

    @classmethod
    def from_request(cls, request: Request) -> Self:
        # A new view of the same connection. Nothing has been read from it yet.
        return cls(
            request.scope,
            request._receive,  # pyright: ignore[reportPrivateUsage]
            path_params=request.path_params,
            max_body_size=request._max_body_size,  # pyright: ignore[reportPrivateUsage]
        )

    @cached_property
    def cookies(self) -> dict[str, str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return read_cookies(self.scope["headers"])

    async def json(self) -> Any:
        try:
            return await super().json()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Problem(400, "The body is not well-formed JSON.") from None

    async def form(self) -> FormData:
        """The fields and files of a form. The whole body is kept in memory, up to MAX_BODY_SIZE."""
        media_type, options = parse_options_header(self.headers.get("content-type") or "")
        try:
            if media_type == "multipart/form-data":
                return _multipart(await self.body(), options.get("boundary", ""))
            return await super().form()
        except (MultipartError, UnicodeDecodeError, ValueError):
            raise Problem(400, "The form is not well-formed.") from None


def _multipart(body: bytes, boundary: str) -> FormData:
    if not boundary:
        raise Problem(400, "The form's Content-Type has no boundary.")
    fields: dict[str, str] = {}
    files: dict[str, UploadFile] = {}
    limit = max(len(body), 1)
    for part in MultipartParser(
        io.BytesIO(body), boundary, len(body), strict=True, spool_limit=limit, memory_limit=limit
    ):
        if part.filename is None:
            fields[part.name] = part.raw.decode("utf-8")
        else:
            files[part.name] = UploadFile(part.filename, part.content_type or "", part.raw)
    return FormData(fields, files)

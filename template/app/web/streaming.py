"""A response that is sent in parts, so it is never held in memory as a whole. Template-owned."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any


class JSONStream:
    """A JSON document that is sent in parts.

    The request's session is closed before the first part is sent, so *parts* must open its own session,
    which must not remain open while the client reads a part.

    An error before the first part becomes an error response. A later error cuts off the connection, so that
    the client does not mistake part of the document for the whole. HawkAPI's `StreamingResponse` would end
    the response as if it were complete.
    """

    def __init__(self, parts: AsyncGenerator[bytes], headers: Mapping[str, str] | None = None) -> None:
        self.status_code = 200
        self._parts = parts
        given = {name.lower(): value for name, value in (headers or {}).items()}
        self._headers = {"content-type": "application/json"} | given

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        async with aclosing(self._parts) as parts:
            first = await anext(parts)
            await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for part in parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

"""A fake breached-password server on its own socket, which records its requests."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Self

PADDING = b"0018A45C4D1DEF81644B54AB7F969B88D65:0\r\n"


async def _nothing() -> None:
    pass


def digest_of(password: str) -> str:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper()


def line_of(password: str, count: int = 7) -> bytes:
    """The line for *password* in the response for its range."""
    return f"{digest_of(password)[5:]}:{count}\r\n".encode()


class BreachServer:
    """`async with BreachServer() as server:`; set `body` and the other attributes to choose its response."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.status = "200 OK"
        self.headers = ""
        self.body = PADDING
        self.before_answer: Callable[[], Awaitable[None]] = _nothing
        self.before_body: Callable[[], Awaitable[None]] = _nothing

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}/range/"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        await self.before_answer()
        head = f"HTTP/1.1 {self.status}\r\ncontent-length: {len(self.body)}\r\nconnection: close\r\n"
        writer.write(f"{head}{self.headers}\r\n".encode())
        await self.before_body()
        writer.write(self.body)
        writer.close()

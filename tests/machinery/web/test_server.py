"""The bytes that the production server sends, and whether the connection stays open."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NEXT = b"GET /json HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def exchange(port: int, sent: bytes) -> bytes:
    async with asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        answer = await reader.read()
        writer.close()
        return answer


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--http", "1", "--port", str(port)]
    path = os.pathsep.join([str(HERE), str(HERE.parent.parent)])
    environment = {**os.environ, "PYTHONPATH": path}
    server = await asyncio.create_subprocess_exec(
        *command, "served:app", env=environment, stderr=subprocess.DEVNULL
    )
    async with asyncio.timeout(20):
        while True:
            try:
                await exchange(port, NEXT)
                break
            except OSError:
                await asyncio.sleep(0.05)
    yield port
    server.terminate()
    async with asyncio.timeout(10):
        await server.wait()


async def test_the_connection_stays_open_after_head(port):
    answer = await exchange(port, b"HEAD /json HTTP/1.1\r\nHost: test\r\n\r\n" + NEXT)

    head, following, body = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert following.startswith(b"HTTP/1.1 200")
    assert head.lower().count(b"content-length: 21") == 1
    assert body == b'{"answer":"complete"}'


async def test_head_of_an_endless_stream_ends(port):
    answer = await exchange(port, b"HEAD /stream HTTP/1.1\r\nHost: test\r\n\r\n" + NEXT)

    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.endswith(b'\r\n\r\n{"answer":"complete"}')


async def test_the_connection_stays_open_after_204(port):
    answer = await exchange(port, b"DELETE /nothing HTTP/1.1\r\nHost: test\r\n\r\n" + NEXT)

    first, _ = answer.split(b"\r\n\r\n", 1)
    assert first.startswith(b"HTTP/1.1 204")
    assert b"content-length" not in first.lower()
    assert answer.endswith(b'\r\n\r\n{"answer":"complete"}')

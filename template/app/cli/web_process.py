# pyright: reportPrivateUsage=false, reportUnknownMemberType=false
# Granian has no type annotations and no public API for handling the exit of a process.
"""Extends Granian for `app serve`: its processes drain before they stop, exit with their parent, and are
replaced whenever they are killed. Template-owned; adjust the delays as you like.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from granian.server.mp import MPServer

from app.cli.listening import has_unread, ignore_new_connections
from app.web.framework.asgi import Application, Message

DRAINING = 1.0
"""Seconds after SIGTERM during which new connections are still accepted. Meanwhile, clients learn that their
connections are closing, and load balancers see /readyz return 503."""
LAST_REQUESTS = 0.3
"""After DRAINING, a client that has just connected has this many seconds to send its request. Then idle
connections are closed."""
READING = 1.5
"""The maximum number of seconds to wait, after LAST_REQUESTS, for a busy process to read these requests."""
GRACE = 33
"""Seconds to wait after SIGTERM before killing a process that is still handling requests: the sum of the
values above plus 30 seconds, the default REQUEST_TIMEOUT. Without a limit, a hanging request would keep the
process alive forever."""
SIGNAL_INTERVAL = 1.0
"""Seconds between the signals that tell a process to stop."""
PARENT_CHECK = 0.2
"""Seconds between checks that the main process still exists."""


def load(target: str) -> Application:
    """Load the application in one of Granian's processes. Granian passes *target*, which is not needed
    here."""
    from app.asgi import app

    # Do not use `os.getppid()`: the main process may have exited since it started this one.
    if (parent := multiprocessing.parent_process()) is not None and parent.pid is not None:
        threading.Thread(target=_end_with, args=(parent.pid,), name="parent", daemon=True).start()
    return _Draining(app)


class RespawningServer(MPServer):
    """A server that replaces killed processes, no matter how often that happens, and can always be stopped.

    Granian treats two exits within 5.5 seconds as a crash loop and stops all processes. That is right if
    processes cannot start, but when memory runs out, the kernel may also kill two healthy processes.
    """

    def _respawn_workers(self, workers: list[int], *arguments: Any, **options: Any) -> None:
        killed = [index for index in workers if self.wrks[index].inner.exitcode == -signal.SIGKILL]
        super()._respawn_workers(workers, *arguments, **options)
        for index in killed:
            self.respawned_wrks.pop(index, None)

    def _stop_workers(self) -> None:
        # A process that is just starting misses the signal, so repeat the signal. A process that is already
        # stopping ignores the repetitions.
        ends = time.monotonic() + GRACE
        while (alive := [each for each in self.wrks if each.is_alive()]) and time.monotonic() < ends:
            for each in alive:
                each.terminate()
            alive[0].join(SIGNAL_INTERVAL)
        # The grace period is over: kill the remaining processes.
        self.workers_kill_timeout = 0.001
        super()._stop_workers()


class _Draining:
    """After SIGTERM, closes each connection after its next response, and stops the process once no more
    requests are in transit.

    On its own, Granian closes idle connections immediately, even if a client is about to send a request. It
    also fails to close a connection that is opened at that moment, and waits for that client until the
    process is killed.
    """

    def __init__(self, app: Application) -> None:
        self._app = app
        self._drains = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            # Granian has already installed its own handlers.
            with suppress(NotImplementedError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._begin)
        elif scope["type"] == "http":
            send = self._closing(send, scope)
            if self._drains and scope["path"] == "/readyz":
                await _unready(send)
                return
        await self._app(scope, receive, send)

    def _begin(self) -> None:
        if not self._drains:
            self._drains = True
            # A task that nothing references may be garbage-collected.
            self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        await asyncio.sleep(DRAINING)
        ports = ignore_new_connections()
        await asyncio.sleep(LAST_REQUESTS)
        with suppress(TimeoutError):
            async with asyncio.timeout(READING):
                # There is no event to wait for.
                while has_unread(ports):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        # Granian handles SIGINT like SIGTERM.
        os.kill(os.getpid(), signal.SIGINT)

    def _closing(self, send: Any, scope: Any) -> Any:
        # HTTP/2 has no Connection header (RFC 9113, section 8.2.2), and Granian closes HTTP/2 connections
        # properly.
        if scope["http_version"].startswith("2"):
            return send

        def closing(message: Message) -> Awaitable[None]:
            # SIGTERM may arrive between a request and its response.
            if self._drains and message["type"] == "http.response.start":
                headers = [each for each in message.get("headers", ()) if each[0].lower() != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            return send(message)

        return closing


async def _unready(send: Any) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"status":"stopping"}'})


def _end_with(parent: int) -> None:
    """Stop this process once the main process has exited, because its successor needs the port."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK)
    # Do not send SIGTERM, which would start draining: the port must become free immediately.
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE)
    os.kill(os.getpid(), signal.SIGKILL)

"""Password hashing that does not block the event loop and has a bounded queue. Template-owned.

Uses Argon2id with hawkapi-auth's parameters (64 MiB, 3 passes, 4 lanes; RFC 9106). A hash takes about 80 ms
and 64 MiB. The rules for passwords are in `policy.py`.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hawkapi_auth import hash_password, needs_rehash, verify_password

from app.users.exceptions import HashingBusy

_PARAMETERS = "$argon2id$v=19$m=65536,t=3,p=4"
DUMMY_HASH = f"{_PARAMETERS}$yTVKs6DTGKvBgW1BUrAmZg$i1G/DjG3tL0pcxVwg4itOODnNCLK77mod/B3Wj1LGQU"
"""The hash of an unknown password, with hawkapi-auth's parameters. If the user does not exist, the password
is checked against this hash, so that unknown addresses take as much work as known ones."""


class PasswordHasher:
    """Hashes passwords in *threads* threads. Raises `HashingBusy` if *queue* callers are already waiting."""

    def __init__(self, *, threads: int, queue: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "password")
        self._places = threading.BoundedSemaphore(threads + queue)
        self._pending: set[Future[Any]] = set()

    @property
    def pending(self) -> int:
        """How many hashes are being computed or waiting for a thread."""
        return len(self._pending)

    async def hash(self, password: str) -> str:
        """The Argon2id hash of *password*."""
        return await self._run(lambda: hash_password(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether *password* matches *hashed*. If *hashed* is None, does the same work and returns False."""
        matches = await self._run(lambda: verify_password(password, hashed or DUMMY_HASH))
        return matches and hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether *hashed* was made with parameters that are no longer in use."""
        return needs_rehash(hashed)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run[T](self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise HashingBusy
        future = self._pool.submit(work)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        # The slot stays taken until the hash is done, even if the caller has disconnected.
        future.add_done_callback(lambda _: self._places.release())
        return await asyncio.wrap_future(future)

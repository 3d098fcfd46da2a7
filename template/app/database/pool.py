"""A connection pool that serves waiting requests in order. Template-owned.

In SQLAlchemy's pool, a request that returns a connection and needs another one can overtake the waiting
request that was woken up for that connection. The waiting request then goes to the back of the queue
(sqlalchemy/sqlalchemy issue 7679). With four clients writing to SQLite continuously, a request occasionally
waited until DATABASE_TIMEOUT.
"""

import asyncio
from typing import Any

from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.util import await_
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty


class _FairQueue(AsyncAdaptedQueue[Any]):
    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        # The request that holds the lock gets the next connection. asyncio.Lock serves waiters in order.
        self._next = asyncio.Lock()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not block or not self._next.locked():
            try:
                return self.get_nowait()
            except Empty:
                if not block:
                    raise
        try:
            return await_(asyncio.wait_for(self._wait(), timeout))
        except TimeoutError as error:
            raise Empty from error

    async def _wait(self) -> Any:
        async with self._next:
            return await self._queue.get()


class FairPool(AsyncAdaptedQueuePool):
    """Like its base class, but serves waiting requests in order."""

    _queue_class = _FairQueue
    # Attribute log lines about the pool to SQLAlchemy, not to this application.
    _sqla_logger_namespace = "sqlalchemy.pool.impl.AsyncAdaptedQueuePool"

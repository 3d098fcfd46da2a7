"""Wakes the workers when an e-mail is committed, using PostgreSQL's LISTEN and NOTIFY. Template-owned.

On SQLite, and behind a pooler that does not forward notifications, a worker polls the outbox instead (see
`IDLE` in `worker.py`). A lost notification delays an e-mail by at most `IDLE_LISTENING`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from hawkapi_sqlalchemy import Database
from sqlalchemy import Connection, event, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.faults import Fault
from app.mail.outbox import OutboxMessage
from app.settings_checks.pooler import is_behind_pooler

logger = logging.getLogger("app.mail")

CHANNEL = "mail_outbox"
RECONNECT = 2.0
"""Seconds between attempts to resume listening."""
CHECK = 30.0
"""Seconds between connection checks. A connection dropped by a firewall does not report an error."""
TIMEOUT = 5.0
"""Seconds to wait for a connection check and for the first notification."""


@event.listens_for(OutboxMessage, "after_insert")
def _announce(mapper: Any, connection: Connection, row: OutboxMessage) -> None:
    _notify(connection)


def _notify(connection: Connection, payload: str = "") -> None:
    # PostgreSQL delivers notifications on commit and merges identical ones from the same transaction.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_notify(CHANNEL, payload)))


class Bell:
    """Rings when e-mails may have been committed."""

    def __init__(self) -> None:
        self.is_listening = False
        """Whether the bell rings for every e-mail. If not, poll often."""
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self._rung.set()

    def clear(self) -> None:
        """Forget earlier rings. Call this before checking for e-mails."""
        self._rung.clear()

    async def wait(self, stop: asyncio.Event, seconds: float) -> None:
        """Wait until the bell rings, *stop* is set or *seconds* have passed."""
        waiting = [asyncio.create_task(each.wait()) for each in (self._rung, stop)]
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()


@asynccontextmanager
async def listening(database: Database) -> AsyncGenerator[Bell]:
    """A bell that the database rings. A background task keeps a connection to the database open."""
    bell = Bell()
    task = asyncio.create_task(_listen(database, bell), name="mail wake-up")
    try:
        yield bell
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _listen(database: Database, bell: Bell) -> None:
    engine = database.get().engine
    if engine.dialect.name != "postgresql" or is_behind_pooler(engine.url):
        return
    fault = Fault(logger, "waking up the mail worker")
    while True:
        try:
            if not await _listen_once(engine, bell, fault):
                logger.info("not receiving notifications of new e-mails; the worker polls the outbox instead")
                return
        except Exception as error:
            fault.failed(error)
        # The worker may be waiting for the database to become available again, so wake it.
        bell.ring()
        await asyncio.sleep(RECONNECT)


async def _listen_once(engine: AsyncEngine, bell: Bell, fault: Fault) -> bool:
    """Listen until the connection is lost. Returns False if notifications are not arriving."""
    echoed, ended, own = asyncio.Event(), asyncio.Event(), uuid4().hex

    def heard(connection: Any, process: int, channel: str, payload: str) -> None:
        if payload == own:
            echoed.set()
        elif not payload:
            bell.ring()

    def end(connection: Any) -> None:
        ended.set()

    async with _own_connection(engine) as connection:
        connection.add_termination_listener(end)
        await connection.add_listener(CHANNEL, heard)
        # Behind a pooler, LISTEN succeeds, but its notifications may never arrive.
        async with engine.begin() as other:
            await other.run_sync(_notify, own)
        if not await _is_set(echoed, TIMEOUT):
            return False
        fault.ended()
        bell.is_listening = True
        # E-mails may have been committed before LISTEN took effect.
        bell.ring()
        try:
            while not await _is_set(ended, CHECK):
                await connection.execute("SELECT 1", timeout=TIMEOUT)
        finally:
            bell.is_listening = False
    return True


@asynccontextmanager
async def _own_connection(engine: AsyncEngine) -> AsyncGenerator[Any]:
    """A connection outside the pool, with the pool's settings."""
    pooled = await engine.raw_connection()
    connection: Any = pooled.driver_connection
    pooled.detach()
    try:
        yield connection
    finally:
        # On a timeout, the connection is aborted. The `timeout` argument of `close` does not limit the wait
        # for a cancel request.
        with suppress(Exception):
            async with asyncio.timeout(1):
                await connection.close()


async def _is_set(what: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await what.wait()
    return what.is_set()

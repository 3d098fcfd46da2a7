"""Sends what is in the outbox. Runs inside `app dev`, or as a process of its own with `app worker`.

Template-owned; the times at the top are yours to change. Any number of workers may run at once. The log
names rows by their ids and never shows an address, a link or a text.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta

import msgspec
from hawkapi_mail import Backend, RetryPolicy, SendError
from hawkapi_sqlalchemy import Database
from sqlalchemy.exc import SQLAlchemyError

from app.mail import outbox
from app.mail.backends import Undeliverable, build_backend
from app.mail.outbox import OutboxMessage
from app.mail.stored import StoredMail, from_json
from app.settings import Settings

logger = logging.getLogger("app.mail")

IDLE = 1.0
"""Seconds between two looks into an empty outbox."""
BUSY = 0.2
"""The same just after a mail: more may follow soon."""
MAX_PAUSE = 30.0
"""Seconds between two tries when the database does not answer."""
FIRST_RETRY = 10.0
"""Seconds to the second attempt; each further one waits twice as long, give or take 20 percent ..."""
MAX_RETRY = 3600.0
"""... and an hour at the most."""


class Worker:
    """Takes mails out of the outbox one at a time and sends them.

    One at a time, so that a lease has to outlast a single send, a mail that kills the process costs no
    other mail an attempt, and nothing has to be given back when the worker stops.
    """

    def __init__(
        self,
        database: Database,
        backend: Backend,
        *,
        max_attempts: int = 8,
        send_timeout: float = 60.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        """*send_timeout*: the seconds after which a send is given up and counts as failed."""
        self.backend = backend
        self._database = database
        self._retry = retry or RetryPolicy(max_attempts, FIRST_RETRY, MAX_RETRY)
        self._send_timeout = send_timeout
        # No send lasts longer than its lease, or another worker would send the same mail meanwhile.
        self._lease = timedelta(seconds=2 * send_timeout + 30)
        self._finished: set[int] = set()
        """Rows whose mails are sent but which are still in the table."""

    async def run(self, stop: asyncio.Event) -> None:
        """Send until *stop* is set. A send that has begun is finished first."""
        pause = IDLE
        while not stop.is_set():
            try:
                if await self._handle_next():
                    pause = BUSY
                    continue
                await _wait(stop, pause)
                pause = IDLE
            except Exception as error:
                pause = min(max(2 * pause, IDLE), MAX_PAUSE)
                _log_trouble(error, pause)
                await _wait(stop, pause)
        await self._say_goodbye()

    async def run_once(self) -> int:
        """Send what is due now; the number of rows that were dealt with.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        handled = 0
        while await self._handle_next():
            handled += 1
        return handled

    async def _handle_next(self) -> bool:
        await self._remove_finished()
        async with self._database.session() as db:
            leased = await outbox.lease(db, self._lease)
        if not leased:
            return False
        (row,) = leased
        if row.attempts > self._retry.max_attempts:
            await self._set_aside(row, "the worker ended during the last attempt")
            return True
        try:
            mail = from_json(row.message)
        except msgspec.MsgspecError:
            await self._set_aside(row, "the stored mail cannot be read")
            return True
        if outbox.is_expired(row) and not mail.discard:
            await self._set_aside(row, outbox.EXPIRED)
            return True
        await self._send(row, mail)
        await self._remove_finished()
        return True

    async def _send(self, row: OutboxMessage, mail: StoredMail) -> None:
        try:
            if not mail.discard:
                async with asyncio.timeout(self._send_timeout):
                    await self.backend.send(mail.message)
        except Undeliverable as error:
            await self._set_aside(row, str(error))
        except Exception as error:
            await self._retry_or_set_aside(row, _describe(error))
        else:
            self._finished.add(row.id)
            logger.info("mail %d %s", row.id, "thrown away" if mail.discard else "sent")

    async def _retry_or_set_aside(self, row: OutboxMessage, error: str) -> None:
        if row.attempts >= self._retry.max_attempts:
            await self._set_aside(row, error)
            return
        delay = timedelta(seconds=self._retry.delay_for(row.attempts))
        logger.warning("mail %d failed, attempt %d: %s", row.id, row.attempts, error)
        async with self._database.session() as db:
            await outbox.put_back(db, row, delay, error)

    async def _set_aside(self, row: OutboxMessage, error: str) -> None:
        logger.error("mail %d set aside after %d attempts: %s", row.id, row.attempts, error)
        async with self._database.session() as db:
            await outbox.set_aside(db, row, error)

    async def _remove_finished(self) -> None:
        # When it fails it is tried again before anything else: what was sent must not be sent again.
        if self._finished:
            async with self._database.session() as db:
                await outbox.remove(db, self._finished)
            self._finished.clear()

    async def _say_goodbye(self) -> None:
        try:
            await self._remove_finished()
        except Exception as error:
            ids = sorted(self._finished)
            logger.error("mails %s were sent and will be sent again: %s", ids, _describe(error))
        await self.backend.close()


def build_worker(database: Database, settings: Settings) -> Worker:
    """The worker that the settings describe."""
    return Worker(
        database,
        build_backend(settings),
        max_attempts=settings.mail_max_attempts,
        # SMTP_TIMEOUT is for one step of the conversation with the server; a mail takes several.
        send_timeout=4 * settings.smtp_timeout,
    )


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


def _log_trouble(error: Exception, pause: float) -> None:
    if isinstance(error, SQLAlchemyError | OSError):
        logger.warning("the database failed (%s); next try in %.0f s", _describe(error), pause)
    else:
        logger.error("the worker failed; next try in %.0f s", pause, exc_info=error)


def _describe(error: Exception) -> str:
    """*error* for log and table. Only the texts of `SendError` are known to hold nothing private."""
    if isinstance(error, SendError):
        return str(error)
    cause: object = getattr(error, "orig", None)
    names = [type(each).__name__ for each in (error, cause) if each is not None]
    return " from ".join(names)

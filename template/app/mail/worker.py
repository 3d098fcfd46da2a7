"""Sends the e-mails in the outbox. Runs in the web process with BACKGROUND_WORKER=inline, or in `app worker`.

Template-owned; adjust the values at the top as you like. Any number of workers may run at the same time. Log
lines identify rows by id and never contain an e-mail address, a link or text from an e-mail.
"""

import asyncio
import logging
from datetime import timedelta

import msgspec
from hawkapi_mail import Backend, EmailMessage, RetryPolicy, SendError
from hawkapi_sqlalchemy import Database
from sqlalchemy.exc import SQLAlchemyError

from app.faults import Fault
from app.keys import CannotDecrypt
from app.mail import mailbox, outbox
from app.mail.backends import build_backend
from app.mail.outbox import OutboxMessage
from app.mail.outcomes import Outcome, tell
from app.mail.send_errors import Misconfigured, NoSuchMailbox, Undeliverable
from app.mail.stored import StoredMail, keys_of, opened
from app.mail.suppression import is_suppressed, note_missing
from app.mail.wakeup import listening
from app.settings import Settings
from app.web.database_errors import names_of

logger = logging.getLogger("app.mail")

IDLE = 0.5
"""Seconds between checks of an empty outbox."""
IDLE_LISTENING = 5.0
"""Like IDLE, but used while the database can wake the worker (see `wakeup.py`)."""
BUSY = 0.2
"""Seconds to wait after the last due e-mail has been handled. The wait is short because more e-mails may
follow soon."""
MAX_PAUSE = 5.0
"""The maximum number of seconds between attempts while the database is unavailable."""
FIRST_RETRY = 10.0
"""Seconds before the second attempt. The delay doubles with each further attempt, plus or minus 20
percent."""
MAX_RETRY = 3600.0
"""The maximum number of seconds between attempts to send an e-mail, plus or minus 20 percent. With the
default MAIL_MAX_ATTEMPTS, retries span about a day, so an e-mail survives a long mail server outage."""
MAX_WAIT = 86_400.0
"""No e-mail ever has to wait this many seconds for its next attempt. A row with a longer wait was written
while a clock was wrong. The value is much larger than MAX_RETRY, so that a worker with a slow clock does not
reschedule e-mails that other workers are sending."""
LEASE = 8.0
"""Seconds before another worker takes over the e-mail that a killed worker was sending. The workers' clocks
must agree to within a few seconds. Otherwise, one worker could take an e-mail that another is still sending.
"""
MAX_DEATHS = 5
"""An e-mail is set aside after this many workers have died while sending it, because the e-mail may be the
cause. Each death makes the next worker wait longer. The waits add up to about 2.5 minutes, which allows for a
few badly timed restarts."""
RENEWAL = 2.0
"""Seconds between lease renewals while an e-mail is being sent. Several renewals can fail before the lease
expires."""
STEPS = 12
"""The number of steps in an SMTP delivery, including TLS and a login. SMTP_TIMEOUT limits each one."""


class _LeaseLost(Exception):
    """Another worker has the e-mail, or it was deleted or set aside."""


class Worker:
    """Takes e-mails from the outbox one at a time and sends them.

    Sending one at a time has three advantages: only one lease has to be renewed, an e-mail that kills the
    process does not cost other e-mails an attempt, and no rows have to be returned when the worker stops.
    """

    def __init__(
        self,
        database: Database,
        backend: Backend,
        *,
        max_attempts: int = 33,
        send_timeout: float = 60.0,
        retry: RetryPolicy | None = None,
        keep_sent: bool = False,
    ) -> None:
        """*send_timeout*: seconds after which a send is cancelled and counts as failed.

        *keep_sent*: keep sent e-mails for the development mailbox instead of deleting them.
        """
        self.backend = backend
        self._database = database
        self._retry = retry or RetryPolicy(max_attempts, FIRST_RETRY, MAX_RETRY)
        self.send_timeout = send_timeout
        self._keep_sent = keep_sent
        self._finished: set[int] = set()
        """Ids of rows whose e-mails have been sent, but which have not been deleted yet."""
        self._to_keep: set[int] = set()
        """Like `_finished`, but for rows that are kept."""

    async def run(self, stop: asyncio.Event) -> None:
        """Send e-mails until *stop* is set. A send in progress is still completed."""
        pause, fault, is_busy = 0.0, Fault(logger, "the mail worker"), True
        async with listening(self._database) as bell:
            while not stop.is_set():
                bell.clear()
                try:
                    was_busy, is_busy = is_busy, await self._handle_next()
                    idle = await self._until_next() if bell.is_listening and not is_busy else IDLE
                except Exception as error:
                    fault.failed(error)
                    pause = min(max(2 * pause, IDLE), MAX_PAUSE)
                    await bell.wait(stop, pause)
                    continue
                fault.ended()
                pause = 0
                if not is_busy:
                    await bell.wait(stop, BUSY if was_busy else idle)
        await self._say_goodbye()

    async def run_once(self) -> int:
        """Send the e-mails that are due now. Returns the number of rows handled.

        Raises:
            SQLAlchemyError: the database is unavailable.
        """
        handled = 0
        while await self._handle_next():
            handled += 1
        return handled

    async def _handle_next(self) -> bool:
        await self._remove_finished()
        async with self._database.session() as db:
            keys = keys_of(db)
            leased = await outbox.lease(db, timedelta(seconds=LEASE))
            if not leased:
                return False
            (row,) = leased
            if _deaths(row):
                await outbox.renew(db, row, self._lease_of(row))
        if _deaths(row) >= MAX_DEATHS:
            await self._set_aside(row, f"{MAX_DEATHS} workers died while sending the e-mail")
            return True
        try:
            mail = opened(row.message, keys)
        except CannotDecrypt:
            await self._set_aside(
                row, "the e-mail cannot be decrypted: it was stored with a different SECRET_KEY"
            )
            return True
        except msgspec.MsgspecError:
            await self._set_aside(row, "the stored e-mail cannot be read")
            return True
        if outbox.is_expired(row) and not mail.discard:
            await self._set_aside(row, outbox.EXPIRED)
            return True
        await self._send(row, mail)
        await self._remove_finished()
        return True

    async def _send(self, row: OutboxMessage, mail: StoredMail) -> None:
        outcome: Outcome = "discarded" if mail.discard else "sent"
        try:
            if outcome == "sent" and await is_suppressed(self._database, mail.message):
                outcome = "suppressed"
            if outcome == "sent":
                await self._deliver(row, mail.message)
        except _LeaseLost:
            logger.warning("mail %d is skipped: another worker has it, or it was deleted or expired", row.id)
        except NoSuchMailbox as error:
            await self._set_aside(row, str(error), without_mailbox=mail.message)
        except Undeliverable as error:
            await self._set_aside(row, str(error))
        except Exception as error:
            if isinstance(error, Misconfigured):
                logger.error("no e-mail can be sent: %s", error)
            await self._retry_or_set_aside(row, _describe(error))
        else:
            (self._to_keep if self._keep_sent and outcome == "sent" else self._finished).add(row.id)
            logger.info("mail %d %s", row.id, outcome)
            tell(self._database, outcome)

    async def _deliver(self, row: OutboxMessage, message: EmailMessage) -> None:
        """Send *message*, and keep renewing the lease no matter how slow the server is."""
        sending = asyncio.create_task(asyncio.wait_for(self.backend.send(message), self.send_timeout))
        try:
            while not (await asyncio.wait([sending], timeout=RENEWAL))[0]:
                if not await self._renew(row):
                    sending.cancel()
        finally:
            sending.cancel()
        if sending.cancelled():
            raise _LeaseLost
        sending.result()

    async def _renew(self, row: OutboxMessage) -> bool:
        try:
            async with self._database.session() as db:
                return await outbox.renew(db, row, self._lease_of(row))
        except (SQLAlchemyError, OSError):
            # Keep sending: if the send were cancelled, the e-mail could be sent twice. While the database is
            # down, no other worker can take the row.
            return True

    def _lease_of(self, row: OutboxMessage) -> timedelta:
        """How long to lease *row*: longer after a worker has died, so that the next worker waits longer."""
        deaths = _deaths(row)
        return timedelta(seconds=max(LEASE, self._retry.delay_for(deaths) if deaths else 0))

    async def _until_next(self) -> float:
        """Seconds until the next attempt is due, at most IDLE_LISTENING."""
        async with self._database.session(commit=False) as db:
            seconds = await outbox.seconds_until_due(db)
        return IDLE_LISTENING if seconds is None else min(max(seconds, BUSY), IDLE_LISTENING)

    async def _retry_or_set_aside(self, row: OutboxMessage, error: str) -> None:
        # A worker's death, for example during a restart, does not use up one of the e-mail's attempts.
        attempts = row.attempts - _deaths(row)
        if attempts >= self._retry.max_attempts:
            await self._set_aside(row, error)
            return
        delay = timedelta(seconds=self._retry.delay_for(attempts))
        logger.warning("mail %d failed, attempt %d: %s", row.id, row.attempts, error)
        async with self._database.session() as db:
            await outbox.put_back(db, row, delay, error)
        tell(self._database, "retried")

    async def _set_aside(
        self, row: OutboxMessage, error: str, *, without_mailbox: EmailMessage | None = None
    ) -> None:
        logger.error("mail %d set aside after %d attempts: %s", row.id, row.attempts, error)
        async with self._database.session() as db:
            await outbox.set_aside(db, row, error)
            if without_mailbox is not None:
                await note_missing(db, without_mailbox)
        tell(self._database, "dead")

    async def _remove_finished(self) -> None:
        # If this transaction fails, it is retried before anything else, so that no e-mail is sent twice.
        if self._finished or self._to_keep:
            async with self._database.session() as db:
                await outbox.remove(db, self._finished)
                await mailbox.keep(db, self._to_keep)
            self._finished.clear()
            self._to_keep.clear()

    async def _say_goodbye(self) -> None:
        try:
            await self._remove_finished()
        except Exception as error:
            ids = sorted(self._finished | self._to_keep)
            logger.error("e-mails %s were sent and will be sent again: %s", ids, _describe(error))
        await self.backend.close()


def build_worker(database: Database, settings: Settings) -> Worker:
    """The worker for these settings."""
    return Worker(
        database,
        build_backend(settings),
        max_attempts=settings.mail_max_attempts,
        send_timeout=STEPS * settings.smtp_timeout,
        keep_sent=bool(mailbox.mailbox_url(settings)),
    )


def _deaths(row: OutboxMessage) -> int:
    """The number of workers that have died while sending the e-mail in the leased *row*."""
    return row.unfinished - 1


def _describe(error: Exception) -> str:
    """A description of *error* for the log and the table. Only `SendError` messages are known to contain no
    private data."""
    return str(error) if isinstance(error, SendError) else names_of(error)

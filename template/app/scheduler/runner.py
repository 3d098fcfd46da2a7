"""Runs scheduled tasks when they are due, each in one process only. Template-owned.

Each task's row in the `scheduled_tasks` table records the time up to which its runs have been claimed. A
process claims a run with a single conditional UPDATE, so only one of several processes succeeds. While a
process runs a task, it renews a lease in the row. If the process dies, the lease expires, and the task runs
again when it is next due.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from app import clock
from app.faults import Fault
from app.scheduler.models import TaskState
from app.scheduler.schedule import ScheduledTask
from app.tasks import PeriodicTask
from app.web.database_errors import names_of

if TYPE_CHECKING:
    from app.web import App

logger = logging.getLogger("app.scheduler")

LOOK_AGAIN = 1.0
"""Seconds between checks for due tasks. The database is queried only when a task may be due."""
LEASE = timedelta(seconds=60)
"""How long a task stays blocked after the process running it has died. The machines' clocks must not differ
by more than this."""

WRONG_CLOCK = timedelta(days=1)
"""A time this far in the future must have been written while a clock was wrong. The value must be much longer
than `LEASE`, so that a process with a slow clock does not consider other processes' times wrong."""


class TaskIsRunning(Exception):
    """Another process is running the task."""


class Scheduler:
    """An application's scheduled tasks (`app.state.scheduler`)."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self.tasks: list[ScheduledTask] = []

    def add(self, task: ScheduledTask) -> None:
        """Run *task* on its schedule, in the process that runs periodic tasks: the worker or web process."""
        if task not in self.tasks:
            self.tasks.append(task)
            runner = _Runner(self._app, task)
            self._app.state.tasks.append(PeriodicTask(task.name, LOOK_AGAIN, runner.run_if_due))

    async def run_now(self, task: ScheduledTask) -> None:
        """Run *task* now, even if it is not due. Its schedule does not change. Exceptions propagate.

        Raises:
            TaskIsRunning: another process is running the task.
        """
        await _Runner(self._app, task).run_now()

    async def states(self) -> dict[str, TaskState]:
        """The table's rows, keyed by task name. A task that no process has checked yet has no row."""
        async with self._app.state.reading() as db:
            return {each.name: each for each in await db.scalars(select(TaskState))}


class _Runner:
    def __init__(self, app: "App", task: ScheduledTask) -> None:
        self._app = app
        self._task = task
        self._due: datetime | None = None
        """The task is not due before this time. None if the time is not yet known."""
        self._looked_at = datetime.min.replace(tzinfo=UTC)
        """When `_due` was calculated. If the clock has since been set back, `_due` is recalculated."""

    async def run_if_due(self) -> None:
        if self._due is not None and self._looked_at <= clock.now() < self._due:
            return
        claimed_until = await self._claimed_until()
        now = self._looked_at = clock.now()
        # If a clock was wrong, run the task now: runs may have been missed, and otherwise the task would not
        # run again before `claimed_until`.
        clock_was_wrong = claimed_until > now + WRONG_CLOCK
        self._due = now if clock_was_wrong else self._task.after(claimed_until)
        if now < self._due or not await self._claim(now, claimed_until):
            return
        if clock_was_wrong:
            logger.warning(
                "the scheduled task %r runs now: it was claimed until %s while a clock was wrong",
                self._task.name,
                claimed_until,
            )
        try:
            await self._run(now)
        except Exception as error:
            logger.error("the scheduled task %r failed", self._task.name, exc_info=error)

    async def run_now(self) -> None:
        now = clock.now()
        if not await self._claim(now, await self._claimed_until(), is_due=False):
            raise TaskIsRunning
        await self._run(now)

    async def _claimed_until(self) -> datetime:
        mine = select(TaskState.claimed_until).where(TaskState.name == self._task.name)
        async with self._app.state.reading() as db:
            found = await db.scalar(mine)
        if found is not None:
            return found
        # The task is new, so nothing was missed.
        now = clock.now()
        with suppress(IntegrityError):  # Another process may have added the row.
            async with self._app.state.db.session() as db:
                db.add(TaskState(name=self._task.name, claimed_until=now))
        return now

    async def _claim(self, now: datetime, claimed_until: datetime, *, is_due: bool = True) -> bool:
        """Start a run unless another process has done so. *claimed_until*: the value read from the row."""
        return await self._update(
            TaskState.claimed_until == claimed_until,
            or_(
                TaskState.leased_until.is_(None),
                TaskState.leased_until < now,
                TaskState.leased_until > now + WRONG_CLOCK,
            ),
            claimed_until=now if is_due else claimed_until,
            leased_until=now + LEASE,
            started_at=now,
            finished_at=None,
            error="",
        )

    async def _run(self, now: datetime) -> None:
        """Run the task, which this process claimed at *now*."""
        ours = TaskState.started_at == now
        ended, error = asyncio.Event(), ""
        renewing = asyncio.create_task(self._renew(ours, ended), name=f"lease of {self._task.name}")
        try:
            await self._task(self._app)
        except BaseException as failure:
            # This includes Ctrl+C: an interrupted run must not be listed as successful.
            error = names_of(failure)
            raise
        finally:
            ended.set()
            await renewing
            await self._update(ours, leased_until=None, finished_at=clock.now(), error=error)

    async def _renew(self, ours: Any, ended: asyncio.Event) -> None:
        fault = Fault(logger, f"renewing the lease of the task {self._task.name!r}")
        while not ended.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LEASE.total_seconds() / 3):
                    await ended.wait()
                    return
            try:
                await self._update(ours, leased_until=clock.now() + LEASE)
            except Exception as error:
                fault.failed(error)
            else:
                fault.ended()

    async def _update(self, *conditions: Any, **values: Any) -> bool:
        """Update the task's row if it meets the conditions. Returns whether the row was updated."""
        mine = update(TaskState).where(TaskState.name == self._task.name, *conditions)
        async with self._app.state.db.session() as db:
            return await db.scalar(mine.values(**values).returning(TaskState.name)) is not None

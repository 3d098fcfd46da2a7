"""The `@scheduled(...)` decorator and the tasks that it creates. Template-owned."""

import importlib
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from app.web import App

type Work = Callable[["App"], Awaitable[None]]


class ScheduleError(Exception):
    """A task is declared incorrectly. The message names the task and explains how to fix it."""


@dataclass(frozen=True)
class ScheduledTask:
    """A function and its schedule. `await task(app)` runs the function now, for example in a test."""

    name: str
    """`<feature>.<function>`. The database identifies tasks by name, so a renamed task counts as new."""
    expression: str
    zone: str
    work: Work

    async def __call__(self, app: "App") -> None:
        await self.work(app)

    def after(self, moment: datetime) -> datetime:
        """The first time after *moment* at which the task is due, in UTC.

        When the clocks change, tasks run as in Debian's cron: a task whose time is skipped runs right after
        the change, and a task whose time occurs twice runs once.
        """
        times = CronSim(self.expression, moment.astimezone(_zone(self.zone)))
        # During an hour that occurs twice, the next wall-clock time may already have passed.
        return next(each.astimezone(UTC) for each in times if each > moment)


def scheduled(expression: str, *, zone: str = "UTC") -> Callable[[Work], ScheduledTask]:
    """Run a function at the times that *expression* specifies, in the time zone *zone*.

    The function must be `async` and accept the App.

    Raises:
        ScheduleError: the expression, the zone or the function is not valid. The application does not start.
    """

    def declare(work: Work) -> ScheduledTask:
        where = f"@scheduled({expression!r}) of {work.__module__}.{work.__name__}"
        feature = work.__module__.removeprefix("app.").removesuffix(".tasks")
        task = ScheduledTask(f"{feature}.{work.__name__}", expression, zone, work)
        if not inspect.iscoroutinefunction(work):
            raise ScheduleError(
                f"{where}: the function must be `async def`. Run slow work in it with `await"
                " asyncio.to_thread(...)`."
            )
        try:
            _zone(zone)
        except (KeyError, OSError, ValueError) as error:
            raise ScheduleError(
                f"{where}: the time zone {zone!r} is not known. Use one such as Europe/Berlin, or leave out"
                " `zone=` for UTC."
            ) from error
        try:
            task.after(datetime.now(UTC))
        except CronSimError as error:
            raise ScheduleError(
                f"{where}: {str(error).lower()}. Write the minute, hour, day of the month, month and day"
                ' of the week, such as "0 3 * * *" for 03:00 every day.'
            ) from error
        except StopIteration:
            raise ScheduleError(f"{where}: the expression matches no time in the next 50 years.") from None
        return task

    return declare


def _zone(name: str) -> tzinfo:
    # UTC works without a time zone database, which small container images lack.
    return UTC if name == "UTC" else ZoneInfo(name)


def tasks_of(feature: ModuleType) -> list[ScheduledTask]:
    """The tasks declared in *feature*'s `tasks` module, in order of declaration."""
    name = f"{feature.__name__}.tasks"
    if find_spec(name) is None:
        return []
    declared = vars(importlib.import_module(name)).values()
    return [each for each in declared if isinstance(each, ScheduledTask)]

"""Tasks that run on a schedule. Declare them in a feature's `tasks.py`:

    @scheduled("0 3 * * *")
    async def remove_old_bookmarks(app: App) -> None:
        async with app.state.db.session() as db:
            ...

The expression has cron's five fields: minute, hour, day of the month, month and day of the week. The time is
UTC unless you name a zone: `@scheduled("0 9 * * MON", zone="Europe/Berlin")`. `uv run app tasks` shows every
task with its last and next run.

Each time a task is due, only one process runs it, no matter how many processes there are. A run never starts
before the task's previous run has finished. If no process was running when a task was due, the task runs once
when a process starts, no matter how many runs were missed. A failed run is logged but not retried, so the
next run must also do the work that the failed run left undone. For work that each process repeats every few
seconds or minutes, use `PeriodicTask` (`app/tasks.py`). Template-owned.
"""

from app.scheduler.runner import Scheduler
from app.scheduler.schedule import ScheduledTask, ScheduleError, scheduled, tasks_of

__all__ = ["ScheduleError", "ScheduledTask", "Scheduler", "scheduled", "tasks_of"]

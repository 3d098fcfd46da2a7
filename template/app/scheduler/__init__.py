"""Tasks that run at certain times. Declare one in the module `tasks.py` of a feature:

    @scheduled("0 3 * * *")
    async def remove_old_bookmarks(app: App) -> None:
        async with app.state.db.session() as db:
            ...

The expression has the five fields of cron: minute, hour, day of the month, month and day of the week. The
time is UTC unless you name a zone: `@scheduled("0 9 * * MON", zone="Europe/Berlin")`. `uv run app tasks`
shows every task with its last and its next run.

However many processes there are, only one of them runs a task at each of its times, and not before the last
run has ended. If no process was running at that time, the task runs once when one starts, however many times
were missed. A run that fails is logged and not repeated, so the next run must also do what this one left
undone. For work that each process repeats every few seconds or minutes, use `PeriodicTask` (`app/tasks.py`).
Template-owned.
"""

from app.scheduler.runner import Scheduler
from app.scheduler.schedule import ScheduledTask, ScheduleError, scheduled, tasks_of

__all__ = ["ScheduleError", "ScheduledTask", "Scheduler", "scheduled", "tasks_of"]

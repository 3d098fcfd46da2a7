"""Periodic tasks. They run in `app worker` or, with BACKGROUND_WORKER=inline, in the web process.

A feature adds one with `app.state.tasks.append(PeriodicTask("name", seconds, do))`. Several workers may be
running, so it must be safe to run a task in two of them at the same time. `app/scheduler` is for tasks that
run at set times, in one process only.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from app.faults import Fault
from app.web import App

logger = logging.getLogger("app.tasks")

LAST_CALLS = 25.0
"""Seconds to wait for calls in progress when the process stops. This must be less than the time after which
the supervisor kills the process."""


@dataclass(frozen=True)
class PeriodicTask:
    """*do* is called every *seconds* seconds, even after an exception, which `Fault` logs."""

    name: str
    seconds: float
    do: Callable[[], Awaitable[None]]


def install(app: App) -> None:
    """Set `app.state.tasks`. With BACKGROUND_WORKER=inline, run the tasks in this process."""
    app.state.tasks = list[PeriodicTask]()
    if app.state.settings.background_worker == "inline":
        stop = asyncio.Event()
        running: list[asyncio.Task[None]] = []

        async def start_tasks() -> None:
            stop.clear()
            running.append(asyncio.create_task(run(app.state.tasks, stop), name="tasks"))

        async def stop_tasks() -> None:
            stop.set()
            while running:
                await running.pop()

        app.on_startup(start_tasks)
        app.on_shutdown(stop_tasks)


async def run(tasks: list[PeriodicTask], stop: asyncio.Event) -> None:
    """Run every task on its schedule until *stop* is set. LAST_CALLS seconds later, calls that are still in
    progress are cancelled."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_repeat(task, stop), name=task.name) for task in tasks]
        if running:
            await stop.wait()
            _, late = await asyncio.wait(running, timeout=LAST_CALLS)
            for each in late:
                logger.warning("the task %r was cancelled: it took too long to stop", each.get_name())
                each.cancel()


async def _repeat(task: PeriodicTask, stop: asyncio.Event) -> None:
    fault = Fault(logger, f"the task {task.name!r}")
    while not stop.is_set():
        try:
            await task.do()
        except Exception as error:
            fault.failed(error)
        else:
            fault.ended()
        with suppress(TimeoutError):
            async with asyncio.timeout(task.seconds):
                await stop.wait()

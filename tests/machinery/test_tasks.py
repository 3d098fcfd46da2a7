"""Periodic tasks run at their intervals until stopped, even if one of them raises an exception."""

import asyncio
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import InterfaceError, OperationalError

from app import tasks
from app.tasks import PeriodicTask, run
from app.web import App

HOUR = 3600.0


class Counted:
    """A task that counts its runs; `until(3)` waits for the third."""

    def __init__(self, *errors: Exception) -> None:
        self.calls = 0
        self.errors = list(errors)
        self._called = asyncio.Condition()

    async def __call__(self) -> None:
        async with self._called:
            self.calls += 1
            self._called.notify_all()
        if self.errors:
            raise self.errors.pop(0)

    async def until(self, calls: int) -> None:
        async with asyncio.timeout(5), self._called:
            await self._called.wait_for(lambda: self.calls >= calls)


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def build(build_app: Callable[..., App]) -> Callable[..., App]:
    """`build(do, background_worker="inline")`: an application with that one task."""

    def make(do: Counted, seconds: float, **changes: Any) -> App:
        app = build_app(**changes)
        app.state.tasks[:] = [PeriodicTask("count", seconds, do)]
        return app

    return make


async def test_a_task_runs_at_startup_and_again(stop):
    do = Counted()
    running = asyncio.create_task(run([PeriodicTask("count", 0.001, do)], stop))

    await do.until(3)
    stop.set()
    await running

    assert do.calls >= 3


async def test_a_call_that_does_not_end_is_cancelled_when_the_process_stops(stop, monkeypatch, caplog):
    monkeypatch.setattr(tasks, "LAST_CALLS", 0.01)
    began, ended = asyncio.Event(), []

    async def do() -> None:
        began.set()
        try:
            await asyncio.sleep(HOUR)
        finally:
            ended.append("cleaned up")

    running = asyncio.create_task(run([PeriodicTask("endless", HOUR, do)], stop))
    await began.wait()
    stop.set()
    await running

    assert ended == ["cleaned up"]
    assert "the task 'endless' was cancelled" in caplog.text


async def test_a_call_in_progress_is_completed_when_the_process_stops(stop):
    began, end, ended = asyncio.Event(), asyncio.Event(), []

    async def do() -> None:
        began.set()
        await end.wait()
        ended.append("completed")

    running = asyncio.create_task(run([PeriodicTask("long", HOUR, do)], stop))
    await began.wait()
    stop.set()
    await asyncio.sleep(0)
    end.set()
    await running

    assert ended == ["completed"]


async def test_a_task_waits_for_its_interval(stop):
    slow, quick = Counted(), Counted()
    running = asyncio.create_task(
        run([PeriodicTask("slow", HOUR, slow), PeriodicTask("quick", 0.001, quick)], stop)
    )

    await quick.until(5)
    stop.set()
    await running

    assert slow.calls == 1


async def test_a_failing_task_is_retried_and_its_fault_is_logged_once(stop, caplog):
    do = Counted(ValueError("first"), ValueError("second"))
    running = asyncio.create_task(run([PeriodicTask("count", 0.001, do)], stop))

    await do.until(3)
    stop.set()
    await running

    begin, end = [record for record in caplog.records if record.name == "app.tasks"]
    assert begin.getMessage().startswith("the task 'count' failed (ValueError); ")
    assert begin.exc_info is not None
    assert end.getMessage() == "the task 'count' works again; failures: 2"


async def test_an_outage_is_logged_once_without_a_traceback(stop, caplog):
    """A database server that is restarting causes several errors."""
    refused = OperationalError("SELECT", {}, ConnectionError("refused"))
    dropped = InterfaceError("SELECT", {}, ConnectionError("dropped"))
    do = Counted(dropped, refused, refused, OSError(), refused)
    running = asyncio.create_task(run([PeriodicTask("count", 0.001, do)], stop))

    await do.until(7)
    stop.set()
    await running

    begin, end = [record for record in caplog.records if record.name == "app.tasks"]
    assert begin.getMessage().startswith("the task 'count' failed (InterfaceError from ConnectionError)")
    assert begin.exc_info is None
    assert end.getMessage() == "the task 'count' works again; failures: 5"


async def test_a_missing_table_is_logged_once_without_a_traceback(stop, caplog):
    """Otherwise each round would log the same error until the migration has run."""
    missing = OperationalError("SELECT", {}, sqlite3.OperationalError("no such table: tasks_of_this_test"))
    do = Counted(*[missing] * 3)
    running = asyncio.create_task(run([PeriodicTask("count", 0.001, do)], stop))

    await do.until(4)
    stop.set()
    await running

    [record] = [record for record in caplog.records if record.name == "app.tasks"]
    assert "uv run app db upgrade" in record.getMessage()
    assert record.exc_info is None


async def test_a_failing_task_does_not_block_others(stop, caplog):
    broken, sound = Counted(*[OSError()] * 1000), Counted()
    running = asyncio.create_task(
        run([PeriodicTask("broken", 0.001, broken), PeriodicTask("sound", 0.001, sound)], stop)
    )

    await sound.until(3)
    stop.set()
    await running

    assert sound.calls >= 3


async def test_a_slow_task_does_not_block_others(stop):
    held, sound = asyncio.Event(), Counted()

    async def hold() -> None:
        await held.wait()

    running = asyncio.create_task(
        run([PeriodicTask("slow", HOUR, hold), PeriodicTask("sound", 0.001, sound)], stop)
    )

    await sound.until(3)
    held.set()
    stop.set()
    await running

    assert sound.calls >= 3


async def test_stop_ends_tasks_at_once(stop):
    do = Counted()
    running = asyncio.create_task(run([PeriodicTask("count", HOUR, do)], stop))
    await do.until(1)

    stop.set()

    async with asyncio.timeout(1):
        await running
    assert do.calls == 1


async def test_a_running_task_finishes(stop):
    begun, finished = asyncio.Event(), []

    async def work() -> None:
        begun.set()
        await asyncio.sleep(0.01)
        finished.append(True)

    running = asyncio.create_task(run([PeriodicTask("work", HOUR, work)], stop))
    await begun.wait()
    stop.set()
    await running

    assert finished == [True]


async def test_a_stop_before_the_start_does_nothing(stop):
    do = Counted()
    stop.set()

    await run([PeriodicTask("count", 0.001, do)], stop)

    assert do.calls == 0


async def test_an_empty_task_list_finishes_at_once(stop):
    async with asyncio.timeout(1):
        await run([], stop)


# Where tasks run


async def test_inline_tasks_run_with_the_application(build, started):
    do = Counted()

    async with started(build(do, 0.001, background_worker="inline")):
        await do.until(3)
    done = do.calls
    await asyncio.sleep(0.02)

    assert do.calls == done


async def test_inline_tasks_run_again_after_a_restart(build, started):
    do = Counted()
    app = build(do, HOUR, background_worker="inline")

    async with started(app):
        await do.until(1)
    async with started(app):
        await do.until(2)

    assert do.calls == 2


async def test_separate_tasks_are_left_to_the_worker(build, started):
    do = Counted()

    async with started(build(do, 0.001, background_worker="separate")):
        await asyncio.sleep(0.02)

    assert do.calls == 0

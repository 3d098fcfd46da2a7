"""Scheduled tasks: when they are due, and that only one process runs each of them."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

import app as package
from app import clock
from app.main import create_app, load_features
from app.scheduler import ScheduledTask, ScheduleError, Scheduler, runner, scheduled
from app.scheduler.models import TaskState
from app.scheduler.runner import TaskIsRunning
from app.tasks import run
from app.web import App

PROJECT = Path(package.__path__[0]).parent
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


# When tasks are due


def task(expression: str, zone: str = "UTC") -> ScheduledTask:
    async def nothing(app: App) -> None: ...

    return scheduled(expression, zone=zone)(nothing)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "due"),
    [
        ("0 3 * * *", "UTC", "2026-03-01T02:59:59.9", "2026-03-01T03:00"),
        ("0 3 * * *", "UTC", "2026-03-01T03:00", "2026-03-02T03:00"),
        ("*/15 * * * *", "UTC", "2026-03-01T03:00:01", "2026-03-01T03:15"),
        ("0 9 * * MON", "UTC", "2026-03-01T09:00", "2026-03-02T09:00"),
        ("0 0 L * *", "UTC", "2026-02-01T00:00", "2026-02-28T00:00"),
        ("0 9 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T07:00"),
        # 02:30 is skipped on this day.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:00"),
        # 02:30 occurs twice on this day.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", "2026-10-25T00:30"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30", "2026-10-26T01:30"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:00", "2026-10-26T01:30"),
    ],
)
def test_a_task_is_due_at_the_times_of_its_expression(expression, zone, after, due):
    moment = datetime.fromisoformat(after).replace(tzinfo=UTC)

    assert task(expression, zone).after(moment) == datetime.fromisoformat(due).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "zone", "reason"),
    [
        ("60 * * * *", "UTC", 'bad minute. Write .* such as "0 3'),
        ("0 3 * *", "UTC", "wrong number of fields"),
        ("@daily", "UTC", "wrong number of fields"),
        ("", "UTC", "wrong number of fields"),
        ("0 0 31 2 *", "UTC", "bad day-of-month"),
        ("* * */20 * 1L", "UTC", "matches no time in the next 50 years"),
        ("0 3 * * *", "Berlin", "time zone 'Berlin' is not known"),
        ("0 3 * * *", "../x", "is not known"),
        ("0 3 * * *", "", "is not known"),
    ],
)
def test_an_impossible_schedule_is_refused(expression, zone, reason):
    with pytest.raises(ScheduleError, match=f"^@scheduled.*test_scheduler.nothing: .*{reason}"):
        task(expression, zone)


def test_a_function_that_blocks_is_refused():
    def blocking(app: App) -> None: ...

    with pytest.raises(ScheduleError, match=r"must be `async def`.*asyncio.to_thread"):
        scheduled("0 3 * * *")(blocking)  # type: ignore[arg-type]


# Where they are declared


@pytest.fixture
def tasks_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`tasks_module(source)`: a feature `almanac` whose `tasks` module has this source."""
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])

    def make(source: str) -> None:
        (tmp_path / "almanac").mkdir()
        (tmp_path / "almanac/__init__.py").write_text("def install(app): ...\n", "utf-8")
        (tmp_path / "almanac/tasks.py").write_text(source, "utf-8")

    yield make
    for name in [each for each in sys.modules if each.startswith("app.almanac")]:
        del sys.modules[name]


def test_tasks_are_found_in_the_module_tasks_of_a_feature(tasks_module, settings):
    tasks_module(
        "from app.scheduler import scheduled\n\n"
        "@scheduled('0 3 * * *')\nasync def new_moon(app): ...\n\n"
        "@scheduled('0 9 * * MON', zone='Europe/Berlin')\nasync def full_moon(app): ...\n"
    )

    found = create_app(settings).state.scheduler.tasks

    assert [(each.name, each.expression, each.zone) for each in found] == [
        ("almanac.new_moon", "0 3 * * *", "UTC"),
        ("almanac.full_moon", "0 9 * * MON", "Europe/Berlin"),
    ]


def test_a_wrong_schedule_keeps_the_application_from_starting(tasks_module):
    tasks_module(
        "from app.scheduler import scheduled\n\n@scheduled('0 25 * * *')\nasync def moon(app): ...\n"
    )

    with pytest.raises(ScheduleError, match=r"app\.almanac\.tasks\.moon: bad hour"):
        load_features()


def test_an_error_in_the_module_is_not_hidden(tasks_module):
    tasks_module("import a_module_that_does_not_exist\n")

    with pytest.raises(ModuleNotFoundError, match="a_module_that_does_not_exist"):
        load_features()


# Which process runs them


class Clock:
    def __init__(self) -> None:
        self.now = MIDNIGHT


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The current time, which tests change: `at.now += HOUR`."""
    time = Clock()
    monkeypatch.setattr(clock, "now", lambda: time.now)
    return time


class Work:
    """The task's work: it counts its runs, fails with *errors*, and waits until `go_on` is set."""

    def __init__(self) -> None:
        self.runs = 0
        self.errors: list[Exception] = []
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def __call__(self, app: App) -> None:
        self.runs += 1
        self.begun.set()
        await self.go_on.wait()
        if self.errors:
            raise self.errors.pop()


@pytest.fixture
def work() -> Work:
    return Work()


type Process = Callable[[], Awaitable[None]]


@pytest.fixture
def process(app, at, work) -> Callable[..., Process]:
    """`look = process()`: another process, at midnight. `await look()`: the process runs the task if it is
    due.

    The processes share nothing but the database.
    """

    def start(expression: str = "0 3 * * *") -> Process:
        Scheduler(app).add(ScheduledTask("test.count", expression, "UTC", work))
        return app.state.tasks.pop().do

    return start


async def state(app: App) -> TaskState:
    return (await app.state.scheduler.states())["test.count"]


async def test_a_new_task_waits_for_its_time(process, at, work):
    look = process()

    await look()
    at.now += 3 * HOUR - timedelta(microseconds=1)
    await look()

    assert work.runs == 0


async def test_a_task_runs_once_at_each_of_its_times(process, at, work):
    look = process()
    await look()
    runs = []

    for _ in range(49):
        at.now += HOUR
        await look()
        await look()
        runs.append(work.runs)

    assert runs == [0, 0, *[1] * 24, *[2] * 23]


async def test_one_of_many_processes_runs_the_task(process, at, work):
    processes = [process() for _ in range(6)]
    await asyncio.gather(*(look() for look in processes))
    runs = []

    for _ in range(3):
        at.now += DAY
        await asyncio.gather(*(look() for look in processes))
        await asyncio.gather(*(look() for look in processes))
        runs.append(work.runs)

    assert runs == [1, 2, 3]


async def test_a_process_whose_clock_is_slow_does_not_run_the_task_again(process, at, work):
    right, slow = process(), process()
    await right()
    await slow()

    at.now = MIDNIGHT + 3 * HOUR
    await right()
    at.now -= timedelta(seconds=30)
    await slow()
    at.now += timedelta(seconds=30)
    await slow()

    assert work.runs == 1


@pytest.mark.parametrize("has_looked", [True, False], ids=["same process", "another process"])
async def test_the_task_does_not_wait_for_a_time_claimed_by_a_wrong_clock(
    process, at, work, caplog, has_looked
):
    wrong = process()
    await wrong()
    at.now += 3650 * DAY
    await wrong()
    await wrong()
    at.now -= 3650 * DAY
    look = wrong if has_looked else process()
    runs = []

    for _ in range(3):
        await look()
        await look()
        runs.append(work.runs)
        at.now += DAY

    assert runs == [2, 3, 4]
    [line] = [each for each in caplog.messages if "test.count" in each]
    assert line == (
        "the scheduled task 'test.count' runs now: it was claimed until"
        " 2036-02-27 00:00:00+00:00 while a clock was wrong"
    )


async def test_a_process_whose_clock_is_an_hour_slow_runs_nothing_again(process, at, work):
    """Otherwise, two processes would consider each other's times wrong and run the task every second."""
    right, slow = process(), process()
    await right()
    at.now += DAY
    await right()
    at.now -= timedelta(hours=1)

    for _ in range(3):
        await slow()

    assert work.runs == 1


async def test_one_of_many_processes_replaces_the_claim_of_a_wrong_clock(process, at, work):
    processes = [process() for _ in range(6)]
    await asyncio.gather(*(look() for look in processes))
    at.now += 3650 * DAY
    await processes[0]()
    at.now -= 3650 * DAY

    await asyncio.gather(*(look() for look in processes))
    await asyncio.gather(*(look() for look in processes))

    assert work.runs == 2


@pytest.mark.parametrize(
    ("ahead", "runs"), [(runner.WRONG_CLOCK, 0), (runner.WRONG_CLOCK + timedelta(seconds=1), 1)], ids=str
)
async def test_a_lease_taken_by_a_wrong_clock_does_not_block_the_task(process, at, work, db, ahead, runs):
    look = process()
    await look()
    at.now += DAY
    async with db.session() as session:
        row = await session.scalar(select(TaskState))
        row.leased_until = at.now + ahead

    await look()

    assert work.runs == runs


async def test_missed_times_are_made_up_for_by_one_run(process, at, work):
    await process()()

    at.now += 5 * DAY + 12 * HOUR
    look = process()
    await look()
    await look()

    assert work.runs == 1


async def test_a_changed_expression_counts_from_the_last_run(process, at, work):
    await process()()
    at.now += 4 * HOUR
    await process()()

    changed = process("0 5 * * *")
    await changed()
    at.now += HOUR
    await changed()

    assert work.runs == 2


async def test_a_run_that_takes_longer_than_the_interval_is_not_overtaken(process, at, work):
    first, second = process("* * * * *"), process("* * * * *")
    await first()
    await second()
    at.now += timedelta(seconds=60)
    work.go_on.clear()
    running = asyncio.create_task(first())
    await work.begun.wait()

    at.now += timedelta(seconds=59)
    await second()
    during = work.runs
    work.go_on.set()
    await running
    at.now += timedelta(seconds=2)
    await second()

    assert (during, work.runs) == (1, 2)


async def test_the_lease_is_renewed_while_the_task_runs(process, at, work, app, monkeypatch):
    monkeypatch.setattr(runner, "LEASE", timedelta(milliseconds=30))
    look = process()
    await look()
    at.now += DAY
    work.go_on.clear()
    running = asyncio.create_task(look())
    await work.begun.wait()
    begun = (await state(app)).leased_until

    at.now += HOUR
    while (await state(app)).leased_until == begun:
        await asyncio.sleep(0.005)
    work.go_on.set()
    await running

    assert (await state(app)).leased_until is None


async def test_the_task_of_a_process_that_died_runs_when_it_is_due_next(process, at, work, app, db):
    dead, alive = process(), process()
    await dead()
    await alive()
    at.now = MIDNIGHT + 3 * HOUR
    await dead()
    async with db.session() as session:
        row = await session.scalar(select(TaskState))
        row.leased_until, row.finished_at = at.now + runner.LEASE, None

    await alive()
    at.now += DAY
    await alive()

    assert work.runs == 2


async def test_a_run_that_lost_its_lease_does_not_end_the_run_of_another(process, at, work, app, db):
    """The task's process was paused for longer than the lease."""
    look = process()
    await look()
    at.now += DAY
    work.go_on.clear()
    running = asyncio.create_task(look())
    await work.begun.wait()
    lease = at.now + DAY
    async with db.session() as session:
        row = await session.scalar(select(TaskState))
        row.started_at, row.leased_until = at.now + HOUR, lease

    work.go_on.set()
    await running

    assert ((await state(app)).leased_until, (await state(app)).finished_at) == (lease, None)


async def test_a_failure_is_logged_once_and_the_next_run_comes_at_its_time(process, at, work, app, caplog):
    look = process()
    await look()
    work.errors.append(ValueError("private"))

    at.now += 3 * HOUR
    await look()
    await look()
    failed = await state(app)
    at.now += DAY
    await look()

    [record] = [each for each in caplog.records if each.name == "app.scheduler"]
    assert record.getMessage() == "the scheduled task 'test.count' failed"
    assert record.exc_info is not None
    assert (failed.error, failed.leased_until) == ("ValueError", None)
    assert ((await state(app)).error, work.runs) == ("", 2)


async def test_a_manual_run_does_not_change_the_schedule(process, at, work, app):
    look = process()
    await look()
    task = ScheduledTask("test.count", "0 3 * * *", "UTC", work)

    await app.state.scheduler.run_now(task)
    by_hand = (await state(app)).started_at
    at.now += 3 * HOUR
    await look()

    assert (by_hand, work.runs) == (MIDNIGHT, 2)


async def test_a_manual_run_is_refused_while_the_task_is_running(process, at, work, app):
    look = process()
    await look()
    at.now += 3 * HOUR
    work.go_on.clear()
    running = asyncio.create_task(look())
    await work.begun.wait()

    with pytest.raises(TaskIsRunning):
        await app.state.scheduler.run_now(ScheduledTask("test.count", "0 3 * * *", "UTC", work))

    work.go_on.set()
    await running
    assert work.runs == 1


async def test_the_worker_runs_scheduled_tasks(app, work):
    """This uses the real clock without waiting: according to the row, the last run was long ago."""
    Scheduler(app).add(ScheduledTask("test.count", "0 3 1 1 *", "UTC", work))
    async with app.state.db.session() as db:
        db.add(TaskState(name="test.count", claimed_until=clock.now() - 400 * DAY))
    stop = asyncio.Event()
    running = asyncio.create_task(run([app.state.tasks.pop()], stop))

    await asyncio.wait_for(work.begun.wait(), 5)
    stop.set()
    await running

    assert work.runs == 1


SEVERAL = """
import asyncio, sys
from app.main import create_app
from app.scheduler import ScheduledTask

async def count(app):
    print("ran", flush=True)

async def main():
    app = create_app()
    app.state.tasks.clear()
    app.state.scheduler.add(ScheduledTask("test.count", "0 3 1 1 *", "UTC", count))
    sys.stdin.readline()
    await app.state.tasks[0].do()
    await app.state.db.dispose()
    await app.state.limiter.close()

asyncio.run(main())
"""


@pytest.mark.long
async def test_one_of_several_operating_system_processes_runs_the_task(app, database_url, settings):
    async with app.state.db.session() as db:
        db.add(TaskState(name="test.count", claimed_until=clock.now() - 400 * DAY))
    environment: dict[str, Any] = {
        "ENVIRONMENT": "test",
        "SECRET_KEY": settings.secret_key.get_secret_value(),
        "DATABASE_URL": database_url,
    }
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", SEVERAL, env=environment, stdin=-1, stdout=-1, cwd=PROJECT
        )
        for _ in range(3)
    ]

    printed = await asyncio.gather(*(each.communicate(b"\n") for each in processes))

    assert [each.returncode for each in processes] == [0] * 3
    assert sorted(output for output, _ in printed) == [b"", b"", b"ran\n"]

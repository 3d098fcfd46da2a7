"""`app tasks`: the scheduled tasks can be listed and run manually."""

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import app as package
from app import clock
from app.cli import cli
from app.cli.common import application
from app.scheduler.models import TaskState
from app.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOURCE = """
from app.scheduler import scheduled

@scheduled("0 3 * * *")
async def count_stars(app):
    print(f"counted in {app.state.settings.environment}")

@scheduled("0 9 * * MON", zone="Europe/Berlin")
async def fall(app):
    raise ValueError("The sky is falling.")
"""
INTERRUPTED = """
import asyncio
from app.scheduler import scheduled

@scheduled("0 3 * * *")
async def stop(app):
    raise asyncio.CancelledError
"""

type Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def almanac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A migrated database and a feature with two tasks. The clock shows noon."""
    for field in Settings.model_fields:
        monkeypatch.delenv(field.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVIRONMENT", "test")
    monkeypatch.setenv("SECRET_KEY", "0123456789abcdef" * 4)
    monkeypatch.setenv("DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'app.db'}")
    assert CliRunner().invoke(cli, ["db", "upgrade"]).exit_code == 0
    (tmp_path / "features/almanac").mkdir(parents=True)
    (tmp_path / "features/almanac/__init__.py").write_text("def install(app): ...\n", "utf-8")
    (tmp_path / "features/almanac/tasks.py").write_text(SOURCE, "utf-8")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path / "features")])
    monkeypatch.setattr(clock, "now", lambda: NOON)
    yield
    for name in [each for each in sys.modules if each.startswith("app.almanac")]:
        del sys.modules[name]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(cli, ["tasks", *arguments])


def store(state: TaskState) -> None:
    async def add() -> None:
        async with application() as app, app.state.db.session() as db:
            db.add(state)

    asyncio.run(add())


def test_a_task_that_never_ran_is_listed_with_its_next_run(run):
    assert run().stdout == (
        "TASK                 SCHEDULE                   LAST RUN  NEXT RUN\n"
        "almanac.count_stars  0 3 * * *                  never     2026-03-02 03:00\n"
        "almanac.fall         0 9 * * MON Europe/Berlin  never     2026-03-02 08:00\n"
    )


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({"finished_at": NOON}, "ok"),
        ({"finished_at": NOON, "error": "ValueError"}, "ValueError"),
        ({"leased_until": NOON + timedelta(seconds=1)}, "running"),
        ({"leased_until": NOON}, "interrupted"),
    ],
)
def test_the_last_run_is_listed(run, changes, result):
    store(TaskState(name="almanac.fall", claimed_until=NOON, started_at=NOON, **changes))

    assert f"0 9 * * MON Europe/Berlin  2026-03-01 12:00 {result} " in run().stdout


def test_the_list_as_json(run):
    listed = json.loads(run("--json").stdout)

    assert listed[0] == {
        "name": "almanac.count_stars",
        "schedule": "0 3 * * *",
        "last_run": None,
        "result": "never",
        "next_run": "2026-03-02T03:00:00Z",
    }


def test_a_task_can_be_run_manually(run):
    done = run("run", "almanac.count_stars")

    assert done.stdout == "counted in test\nalmanac.count_stars has run.\n"
    assert "2026-03-01 12:00 ok" in run().stdout


def test_the_error_of_a_task_is_shown(run):
    done = run("run", "almanac.fall")

    assert str(done.exception) == "The sky is falling."
    assert "2026-03-01 12:00 ValueError" in run().stdout


def test_an_interrupted_task_has_not_succeeded(run, tmp_path):
    """Ctrl+C cancels the task."""
    (tmp_path / "features/almanac/tasks.py").write_text(INTERRUPTED, "utf-8")

    with pytest.raises(asyncio.CancelledError):
        run("run", "almanac.stop")

    assert "2026-03-01 12:00 CancelledError" in run().stdout


def test_an_unknown_task_is_refused(run):
    done = run("run", "almanac.rise")

    assert done.exit_code == 1
    assert "There is no task 'almanac.rise'. `uv run app tasks` lists them." in done.stderr


def test_a_task_that_is_running_is_refused(run):
    lease = NOON + timedelta(seconds=1)
    store(TaskState(name="almanac.count_stars", claimed_until=NOON, started_at=NOON, leased_until=lease))

    done = run("run", "almanac.count_stars")

    assert done.exit_code == 1
    assert "almanac.count_stars is running in another process." in done.stderr


def test_an_invalid_schedule_is_explained_in_one_sentence(run, tmp_path):
    (tmp_path / "features/almanac/tasks.py").write_text(SOURCE.replace("0 3 *", "0 24 *"), "utf-8")

    done = run()

    assert (done.exit_code, "bad hour. Write the minute, hour" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr

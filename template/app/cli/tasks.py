"""`app tasks`: the application's scheduled tasks."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.common import application, fail, friendly_errors

if TYPE_CHECKING:
    from app.scheduler import ScheduledTask
    from app.scheduler.models import TaskState

cli = typer.Typer(help="List the scheduled tasks, or run one.")


@cli.callback(invoke_without_command=True)
@friendly_errors
def tasks(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tasks as JSON.")] = False,
) -> None:
    """List the scheduled tasks, or run one. Times are UTC."""
    if context.invoked_subcommand is not None:
        return
    import msgspec

    found = asyncio.run(_listed())
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
    elif not found:
        typer.echo("No task is scheduled. Declare one with @scheduled in app/<feature>/tasks.py.", err=True)
    else:
        lines = [("TASK", "SCHEDULE", "LAST RUN", "NEXT RUN"), *map(_line, found)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            typer.echo(
                "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
            )


@cli.command()
@friendly_errors
def run(name: Annotated[str, typer.Argument(help="The task's name, as `app tasks` shows it.")]) -> None:
    """Run a task now. Its schedule does not change."""
    asyncio.run(_run(name))
    typer.echo(f"{name} has run.")


async def _run(name: str) -> None:
    from app.scheduler.runner import TaskIsRunning

    async with application() as app:
        scheduler = app.state.scheduler
        task = next((each for each in scheduler.tasks if each.name == name), None)
        if task is None:
            fail(f"There is no task {name!r}. `uv run app tasks` lists them.")
        try:
            await scheduler.run_now(task)
        except TaskIsRunning:
            fail(f"{name} is running in another process. Wait until it finishes.")


async def _listed() -> list[dict[str, Any]]:
    async with application() as app:
        scheduler = app.state.scheduler
        states = await scheduler.states()
        return [_described(each, states.get(each.name)) for each in scheduler.tasks]


def _described(task: "ScheduledTask", state: "TaskState | None") -> dict[str, Any]:
    from app import clock

    now = clock.now()
    return {
        "name": task.name,
        "schedule": task.expression if task.zone == "UTC" else f"{task.expression} {task.zone}",
        "last_run": state.started_at if state else None,
        "result": _result(state, now) if state else "never",
        "next_run": task.after(state.claimed_until if state else now),
    }


def _result(state: "TaskState", now: datetime) -> str:
    if state.started_at is None:
        return "never"
    if state.finished_at is not None:
        return state.error or "ok"
    return "running" if state.leased_until is not None and state.leased_until > now else "interrupted"


def _line(task: dict[str, Any]) -> tuple[str, ...]:
    last = f"{task['last_run']:%Y-%m-%d %H:%M} " if task["last_run"] else ""
    return task["name"], task["schedule"], last + task["result"], f"{task['next_run']:%Y-%m-%d %H:%M}"

"""What has to be done from time to time, beside requests: by `app worker`, or inside `app dev`.

A feature adds one with `app.state.chores.append(Chore("name", seconds, do))`. Several workers may run: a
chore has to bear that another does the same at the same time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from app.web import App

logger = logging.getLogger("app.chores")


@dataclass(frozen=True)
class Chore:
    """*do* is called every *seconds*; what it raises is logged, and it is called again the next time."""

    name: str
    seconds: float
    do: Callable[[], Awaitable[None]]


def install(app: App) -> None:
    """Put the list at `app.state.chores`; with MAIL_WORKER=inline do them in this process."""
    app.state.chores = list[Chore]()
    if app.state.settings.mail_worker == "inline":
        stop = asyncio.Event()
        running: list[asyncio.Task[None]] = []

        async def start_chores() -> None:
            stop.clear()
            running.append(asyncio.create_task(run(app.state.chores, stop), name="chores"))

        async def stop_chores() -> None:
            stop.set()
            while running:
                await running.pop()

        app.on_startup(start_chores)
        app.on_shutdown(stop_chores)


async def run(chores: list[Chore], stop: asyncio.Event) -> None:
    """Do every chore at its time until *stop* is set."""
    await asyncio.gather(*(_repeat(chore, stop) for chore in chores))


async def _repeat(chore: Chore, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await chore.do()
        except Exception:
            logger.exception("the chore %r failed; next try in %.0f s", chore.name, chore.seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(chore.seconds):
                await stop.wait()

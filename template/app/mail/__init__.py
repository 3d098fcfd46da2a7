"""E-mails are stored in an outbox, in the same transaction as the changes that trigger them.

A worker sends them after the commit. To send an e-mail from a request handler:
`await app.state.mail.for_session(db).send(EmailMessage.build(...))`.
Template-owned. Start reading in `outbox.py`.
"""

import asyncio

from app.mail import lateness, tasks
from app.mail.backends import CarefulSMTPBackend, ConsoleBackend, build_backend
from app.mail.mailer import Mailer, SessionMailer, withhold
from app.mail.outbox import OutboxMessage, enqueue, lease, pending_messages
from app.mail.send_errors import Misconfigured, NoSuchMailbox, Undeliverable
from app.mail.worker import Worker, build_worker
from app.web import App

__all__ = [
    "CarefulSMTPBackend",
    "ConsoleBackend",
    "Mailer",
    "Misconfigured",
    "NoSuchMailbox",
    "OutboxMessage",
    "SessionMailer",
    "Undeliverable",
    "Worker",
    "build_backend",
    "build_worker",
    "enqueue",
    "install",
    "lease",
    "pending_messages",
    "withhold",
]


def install(app: App) -> None:
    """Set `app.state.mail`. With BACKGROUND_WORKER=inline, run a worker in this process."""
    settings = app.state.settings
    app.state.mail = Mailer(default_sender=settings.mail_sender)
    tasks.install(app)
    lateness.install(app)
    if settings.background_worker == "inline":
        _run_inline(app, build_worker(app.state.db, settings))


def _run_inline(app: App, worker: Worker) -> None:
    stop = asyncio.Event()
    running: list[asyncio.Task[None]] = []

    async def start_background_worker() -> None:
        stop.clear()
        running.append(asyncio.create_task(worker.run(stop), name="mail worker"))

    async def stop_background_worker() -> None:
        stop.set()
        while running:
            await running.pop()

    app.on_startup(start_background_worker)
    app.on_shutdown(stop_background_worker)

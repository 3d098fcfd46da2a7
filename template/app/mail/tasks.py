"""The outbox's periodic task. Change its interval as you like."""

import logging
from datetime import timedelta

from app import clock
from app.mail import outbox
from app.mail.outcomes import tell
from app.mail.worker import MAX_WAIT
from app.tasks import PeriodicTask
from app.web import App

logger = logging.getLogger("app.mail")

CLEANING = 600.0
"""Seconds between cleanup runs. Each run deletes expired content and e-mails that were set aside long ago. It
also makes e-mails due now if their next attempt is too far in the future."""


def install(app: App) -> None:
    """Add the task to *app*."""
    database, retention = app.state.db, timedelta(days=app.state.settings.mail_retention_days)

    async def clean() -> None:
        async with database.session() as db:
            late = await outbox.blank_expired(db)
            await outbox.remove_dead(db, clock.now() - retention)
            pulled_back = await outbox.pull_back(db, timedelta(seconds=MAX_WAIT))
        if pulled_back:
            logger.warning("%d e-mails are due now: their times were set when a clock was wrong", pulled_back)
        tell(database, "dead", late)

    app.state.tasks.append(PeriodicTask("clean the outbox", CLEANING, clean))

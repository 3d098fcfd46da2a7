"""The worker's periodic tasks for accounts. You may change the intervals."""

import logging
from datetime import timedelta

from app import clock
from app.database import act_as
from app.database.batches import delete_all
from app.tasks import PeriodicTask
from app.users import audit
from app.users.exceptions import AccountInUse
from app.users.manager import UserManager
from app.web import App
from app.web.database_errors import is_unavailable, lacks_migration

logger = logging.getLogger("app.users")

CLEANING = 600.0
"""Seconds between cleanups of expired sessions, invitations and events."""
DELETING = 60.0
"""Seconds between checks for accounts whose deletion grace period has passed."""

_MAX_FAILURES = 20
"""If more deletions than this fail in one run (not counting accounts in use), the accounts themselves are
probably not the cause, so the task gives up until the next run."""


def install(app: App, manager: UserManager) -> None:
    """Add the tasks to *app*."""
    database, retention = app.state.db, timedelta(days=app.state.settings.audit_retention_days)

    async def clean() -> None:
        await delete_all(database, manager.sessions.remove_expired)
        await delete_all(database, lambda db: audit.remove_older_than(db, clock.now() - retention))
        async with database.session() as db:
            await manager.invitations.remove_expired(db)

    async def delete_due_accounts() -> None:
        found, skipped, failed = True, 0, 0
        while found:
            try:
                async with database.session() as db:
                    act_as(db, "worker")
                    found = await manager.delete_due(db, skip=skipped)
            except AccountInUse:
                logger.exception("an account whose grace period has passed is still in use")
                skipped += 1
            except Exception as error:
                # For example, a hook raised an exception. Continue with the other accounts.
                if failed == _MAX_FAILURES or lacks_migration(error) or is_unavailable(error):
                    raise
                logger.exception("an account whose grace period has passed could not be deleted")
                skipped += 1
                failed += 1

    app.state.tasks += [
        PeriodicTask("clean", CLEANING, clean),
        PeriodicTask("delete due accounts", DELETING, delete_due_accounts),
    ]

"""A /readyz check for overdue e-mail, a sign that no worker is running or that the workers cannot keep up.

Template-owned; change the limit as you like.
"""

from datetime import timedelta

from sqlalchemy import select

from app import clock
from app.mail.outbox import PENDING, OutboxMessage
from app.web import App
from app.web.health import DEGRADED

LATE = timedelta(minutes=10)
"""A running worker takes an e-mail within seconds of its due time. Ten minutes leaves room for a burst of
e-mail or a deployment."""


def install(app: App) -> None:
    """Add the readiness check.

    Late e-mail does not take a process out of service, because requests do not need the worker.
    """

    @app.readiness_check("mail")
    async def mail_leaves() -> tuple[bool, str]:
        is_late = (OutboxMessage.status == PENDING, OutboxMessage.next_attempt_at < clock.now() - LATE)
        async with app.state.reading() as db:
            late = await db.scalar(select(OutboxMessage.id).where(*is_late).limit(1))
        return late is None, DEGRADED

    _ = mail_leaves

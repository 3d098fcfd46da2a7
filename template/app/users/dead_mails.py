"""Lets superusers resend or delete an e-mail that was set aside. Template-owned.

The pages, the routes and `app mail` call these functions. The audit log records each call.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from app.mail import outbox
from app.users.audit import record
from app.users.exceptions import MailExpired, NoSuchMail


async def send_again(db: AsyncSession, message_id: int) -> None:
    """Requeue an e-mail that was set aside, and reset its attempt count.

    Raises:
        NoSuchMail: the e-mail was not set aside, or no longer exists.
        MailExpired: the link in the e-mail has expired.
    """
    row = await outbox.dead_message(db, message_id)
    if row is None:
        raise NoSuchMail
    if not await outbox.retry(db, message_id):
        raise MailExpired
    record(db, "mail_retried", row.user_id, details={"mail": message_id})


async def drop(db: AsyncSession, message_id: int) -> None:
    """Delete an e-mail that was set aside. Raises `NoSuchMail`."""
    row = await outbox.dead_message(db, message_id)
    if row is None or not await outbox.drop(db, message_id):
        raise NoSuchMail
    record(db, "mail_dropped", row.user_id, details={"mail": message_id})

"""The e-mail with the code. Its templates are in `emails/`; change them as you like.

The code is not in the subject: phones show subjects on the lock screen, and the outbox stores them.
"""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import services_of_session, session_of
from app.i18n import gettext as _
from app.users import User
from app.users.emails import in_language_of_user, in_words, send_template


@in_language_of_user
async def mail_code(user: User, code: str, lifetime: timedelta) -> None:
    """Add an e-mail with *code* to the outbox. It is not sent once *lifetime* has passed."""
    await _send(session_of(user), code, lifetime, to=user.email, user_id=user.id)


async def mail_nobody(db: AsyncSession, code: str, lifetime: timedelta) -> None:
    """Do the same work as for an e-mail, and add an outbox row that the worker discards."""
    await _send(db, code, lifetime, to="nobody@localhost", discard=True)


async def _send(
    db: AsyncSession,
    code: str,
    lifetime: timedelta,
    *,
    to: str,
    user_id: str | None = None,
    discard: bool = False,
) -> None:
    seconds = int(lifetime.total_seconds())
    await send_template(
        db,
        to,
        _("Your login code for {app_name}").format(app_name=services_of_session(db).settings.app_name),
        "login_code.html",
        {"code": code, "lifetime": in_words(seconds)},
        user_id=user_id,
        lifetime=seconds,
        discard=discard,
    )

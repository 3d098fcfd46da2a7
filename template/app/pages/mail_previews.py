"""Every e-mail with sample data, for `/dev/mails`. Nothing is sent or saved."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from hawkapi_mail import EmailMessage

from app import clock
from app.database import act_for, session_of
from app.mail import OutboxMessage
from app.mail.stored import keys_of, opened
from app.services import Services
from app.users import User
from app.users.emails import (
    NOTICES,
    NOTICES_OF_FEATURES,
    mail_email_change,
    mail_invitation,
    mail_notice,
    mail_password_reset,
    mail_verification,
)
from app.web.client_ip import Client

# Your own imports go below; template updates never touch them.
# isort: split

_TOKEN = "mt_" + "sample" * 13 + "00"  # nosec B105 - as long as a token
_CLIENT = Client(
    "203.0.113.9", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
)

type Preview = Callable[[User], Awaitable[None]]


async def _required_reset(user: User) -> None:
    user.must_reset_password = True
    await mail_password_reset(user, _TOKEN)


def _notice(name: str) -> Preview:
    return lambda user: mail_notice(user, name)


PREVIEWS: dict[str, Preview] = {
    "verify": lambda user: mail_verification(user, _TOKEN),
    "password_reset": lambda user: mail_password_reset(user, _TOKEN),
    "password_reset_required": _required_reset,
    "email_change": lambda user: mail_email_change(user, "ada@new.example", _TOKEN),
    "invitation": lambda user: mail_invitation(session_of(user), user.email, _TOKEN),
    **{name: _notice(name) for name in NOTICES},
    # Your own previews go below; template updates never touch them.
}
"""The functions that put e-mails into the outbox, keyed by name. Each gets a sample account."""

PREVIEWS_OF_FEATURES: dict[str, Preview] = {}
"""Like `PREVIEWS`, but for features' e-mails. Features add theirs when they are installed. Notices need no
entry."""


def previews() -> dict[str, Preview]:
    """All previews, including those that features have added."""
    return PREVIEWS | PREVIEWS_OF_FEATURES | {name: _notice(name) for name in NOTICES_OF_FEATURES}


async def preview(services: Services, name: str) -> EmailMessage:
    """The e-mail *name*, created for a sample account.

    Raises:
        KeyError: there is no preview with this name.
    """
    write = previews()[name]
    async with services.db.session(commit=False) as db:
        act_for(db, _CLIENT)
        user = User(
            id="00000000-0000-4000-8000-000000000000",
            email="ada@example.com",
            delete_after=clock.now() + timedelta(days=7),
        )
        db.add(user)
        with db.no_autoflush:
            await write(user)
        mail = next(each for each in db.new if isinstance(each, OutboxMessage))
        message = opened(mail.message, keys_of(db)).message
        db.expunge_all()
    return message

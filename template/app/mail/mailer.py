"""The mailer that the rest of the application uses. Template-owned.

`app.state.mail.for_session(db)` has the same `default_sender` and `send` as hawkapi-mail's `Mailer`, so a
function that accepts one also accepts the other.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from hawkapi_mail import EmailMessage
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.mail.outbox import enqueue

_WITHHELD = "app.mail.withheld"


def withhold(db: AsyncSession, email: str) -> None:
    """Discard every e-mail to *email* that is sent through *db* from now on.

    Used for a mailbox that has received too many e-mails. The request still does the same amount of work;
    `enqueue` explains why.
    """
    db.info.setdefault(_WITHHELD, set()).add(email)


@dataclass(frozen=True)
class Mailer:
    """Creates a mailer for each transaction."""

    default_sender: str

    def for_session(
        self,
        db: AsyncSession,
        *,
        discard: bool = False,
        user_id: str | None = None,
        lifetime: float | None = None,
    ) -> "SessionMailer":
        """A mailer for one transaction. With *discard*, its e-mails are never sent (see `enqueue`).

        *user_id*: the account that the e-mails belong to. The e-mails are deleted with the account and are
        part of its export. *lifetime*: the seconds until the link in the e-mails expires. Expired e-mails are
        not sent, and their content is deleted.
        """
        return SessionMailer(db, self.default_sender, discard, user_id, lifetime)


@dataclass
class SessionMailer:
    """Adds e-mails to the outbox in one session's transaction."""

    db: AsyncSession
    default_sender: str
    discard: bool = False
    user_id: str | None = None
    lifetime: float | None = None

    async def send(self, message: EmailMessage) -> None:
        """Add *message* to the outbox. It is sent after a commit and never after a rollback."""
        if not message.sender:
            message = replace(message, sender=self.default_sender)
        recipients = set(message.all_recipients())
        withheld: set[str] = self.db.info.get(_WITHHELD, set())
        is_withheld = bool(withheld) and recipients <= withheld
        expires_at = None if self.lifetime is None else clock.now() + timedelta(seconds=self.lifetime)
        enqueue(
            self.db,
            message,
            discard=self.discard or is_withheld,
            user_id=self.user_id,
            expires_at=expires_at,
        )

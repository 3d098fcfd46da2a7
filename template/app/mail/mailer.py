"""What the rest of the application sends mail with. Template-owned.

`app.state.mail.for_session(session)` has what senders of mail use of hawkapi-mail's own `Mailer`,
`default_sender` and `send`, so a function that takes one takes the other.
"""

from dataclasses import dataclass, replace
from datetime import timedelta

from hawkapi_mail import EmailMessage
from sqlalchemy.ext.asyncio import AsyncSession

from app import clock
from app.mail.outbox import enqueue

_WITHHELD = "app.mail.withheld"


def withhold(db: AsyncSession, email: str) -> None:
    """Discard every mail to *email* that *db* sends from now on.

    For a mailbox that has received too many. The work stays the same; `enqueue` says why.
    """
    db.info.setdefault(_WITHHELD, set()).add(email)


@dataclass(frozen=True)
class Mailer:
    """Gives a mailer to each transaction."""

    default_sender: str

    def for_session(
        self,
        db: AsyncSession,
        *,
        discard: bool = False,
        user_id: str | None = None,
        lifetime: float | None = None,
    ) -> "SessionMailer":
        """A mailer for one transaction. With *discard* its mails never leave (see `enqueue`).

        *user_id*: the account that the mails belong to. They are deleted with it and are part of its export.
        *lifetime*: for how many seconds the link in the mails is good. Then they are not sent, and forgotten.
        """
        return SessionMailer(db, self.default_sender, discard, user_id, lifetime)


@dataclass
class SessionMailer:
    """Puts mails into the outbox, in the transaction of one session."""

    db: AsyncSession
    default_sender: str
    discard: bool = False
    user_id: str | None = None
    lifetime: float | None = None

    async def send(self, message: EmailMessage) -> None:
        """Put *message* into the outbox: sent after a commit, not at all after a rollback."""
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

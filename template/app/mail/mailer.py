"""What the rest of the application sends mail with. Template-owned.

`app.state.mail.for_session(session)` has what senders of mail use of hawkapi-mail's own `Mailer`,
`default_sender` and `send`, so a function that takes one takes the other.
"""

from dataclasses import dataclass, replace

from hawkapi_mail import EmailMessage
from sqlalchemy.ext.asyncio import AsyncSession

from app.mail.outbox import enqueue


@dataclass(frozen=True)
class Mailer:
    """Gives a mailer to each transaction."""

    default_sender: str

    def for_session(self, session: AsyncSession, *, discard: bool = False) -> "SessionMailer":
        """A mailer for one transaction. With *discard* its mails never leave (see `enqueue`)."""
        return SessionMailer(session, self.default_sender, discard)


@dataclass
class SessionMailer:
    """Puts mails into the outbox, in the transaction of one session."""

    session: AsyncSession
    default_sender: str
    discard: bool = False

    async def send(self, message: EmailMessage) -> None:
        """Put *message* into the outbox: sent after a commit, not at all after a rollback."""
        if not message.sender:
            message = replace(message, sender=self.default_sender)
        enqueue(self.session, message, discard=self.discard)

"""Your code for account events. Template updates never touch this file.

A hook runs inside its event's transaction. To write in that transaction, use `session_of(user)`. An exception
rolls back everything, including the event. Do not call other services from here: put a row into a table or
an e-mail into the outbox, and let a worker handle it after the commit. You may remove any hook.
"""

from app.database import services_of
from app.users.emails import mail_password_reset, mail_verification
from app.users.models import User


async def on_after_register(user: User) -> None:
    """An account was created. Without the e-mail sent here, users must request their verification link."""
    if not user.is_verified:
        await mail_verification(user, services_of(user).users.verify_token(user))


async def on_after_login(user: User) -> None:
    """A user logged in."""


async def on_after_request_verify(user: User, token: str) -> None:
    """The user requested the link that verifies the e-mail address."""
    await mail_verification(user, token)


async def on_after_verify(user: User) -> None:
    """The address was verified."""


async def on_after_forgot_password(user: User, token: str) -> None:
    """The user requested the link that sets a new password."""
    await mail_password_reset(user, token)


async def on_after_reset_password(user: User) -> None:
    """A new password was set through the e-mailed link."""


async def on_after_logout(user: User) -> None:
    """A user logged out, which ended the session."""


async def on_after_change_password(user: User) -> None:
    """The owner changed the password after entering the old one."""


async def on_after_request_email_change(user: User, new_email: str, token: str) -> None:
    """The owner requested a new e-mail address. The e-mail with the link is already in the outbox."""


async def on_after_change_email(user: User, old_email: str) -> None:
    """The owner changed the e-mail address."""


async def on_after_update(user: User, changed: set[str]) -> None:
    """An administrator or the command line changed the account (`is_active`, `email`, ...), or its owner
    changed the profile."""


async def on_before_delete(user: User) -> None:
    """The account is about to be deleted, with every row that refers to it through a CASCADE foreign key."""

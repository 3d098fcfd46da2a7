"""Yours: what happens around the events of an account. Template updates never touch this file.

A hook runs inside the transaction of its event. Write along with it through `session_of(user)`; raise, and
everything is undone, the event included. Do not call other services from here: put a row into a table or a
mail into the outbox, and let a worker do it after the commit. A hook that this file lacks does nothing.
"""

from app.database import services_of
from app.users.emails import mail_password_reset, mail_verification
from app.users.models import User


async def on_after_register(user: User) -> None:
    """An account was created. Without this mail people have to ask for their verification link."""
    if not user.is_verified:
        await mail_verification(user, services_of(user).users.verify_token(user))


async def on_after_login(user: User) -> None:
    """Somebody logged in with the right password."""


async def on_after_request_verify(user: User, token: str) -> None:
    """The link that verifies the address was asked for."""
    await mail_verification(user, token)


async def on_after_verify(user: User) -> None:
    """The address was verified."""


async def on_after_forgot_password(user: User, token: str) -> None:
    """The link that sets a new password was asked for."""
    await mail_password_reset(user, token)


async def on_after_reset_password(user: User) -> None:
    """A new password was set through the mailed link."""


async def on_after_logout(user: User) -> None:
    """A session was ended by its owner's logging out."""


async def on_after_change_password(user: User) -> None:
    """The owner set another password, knowing the old one."""


async def on_after_request_email_change(user: User, new_email: str, token: str) -> None:
    """The owner asked for another address; the mail with the link to it is in the outbox."""


async def on_after_change_email(user: User, old_email: str) -> None:
    """The owner has another address."""


async def on_after_update(user: User, changed: set[str]) -> None:
    """An administrator or the command line changed the account: `is_active`, `is_superuser`, `email`, ..."""


async def on_before_delete(user: User) -> None:
    """The account is about to be deleted, with every row that refers to it by a foreign key with CASCADE."""

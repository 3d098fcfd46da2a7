"""Every exception of this module. The response to each is in `routes/error_handlers.py`.

`TokenError` is the one of hawkapi-auth, whose checks raise it, too.
"""

from hawkapi_auth import TokenError as TokenError

from app.users.models import User, UserSession


class UserAlreadyExists(ValueError):
    """The address has an account already."""


class InvalidEmail(ValueError):
    """Not an address that mail can be sent to; the text says why. *field*: what was typed wrong."""

    def __init__(self, message: str, *, field: str = "email") -> None:
        super().__init__(message)
        self.field = field


class InvalidPassword(ValueError):
    """A password that may not be used; the text says why and what would do. *field*: what was typed wrong."""

    def __init__(self, message: str, *, field: str = "password") -> None:
        super().__init__(message)
        self.field = field


class InvalidCredentials(ValueError):
    """The address and the password do not belong together, or there is no such account."""


class InactiveUser(ValueError):
    """The password is right, but the account is disabled. Tell a client no more than for a wrong password."""


class WrongPassword(ValueError):
    """Somebody who is logged in gave another password than the account's."""

    def __init__(self, *, field: str = "password") -> None:
        super().__init__("The password is wrong.")
        self.field = field


class HashingBusy(Exception):
    """More hashes are waiting than HASH_QUEUE allows: answer 503 at once instead of an ever longer wait."""


class TooManyRequests(Exception):
    """A limit is reached; the text says which, and in *seconds* the next is let through."""

    def __init__(self, seconds: float, sentence: str = "Too many requests from your network.") -> None:
        super().__init__(sentence)
        self.seconds = seconds


class OwnerRequired(ValueError):
    """A link was used by somebody who has not shown that the account is theirs."""


class RegistrationClosed(ValueError):
    """Accounts are made by invitation alone (REGISTRATION=closed)."""

    def __init__(self) -> None:
        super().__init__("Accounts are made by invitation: ask an administrator for one.")


class NoSuchInvitation(ValueError):
    """There is no such invitation."""


class LastSuperuser(ValueError):
    """The last active superuser cannot be deleted, disabled or made an ordinary user."""


class AccountInUse(ValueError):
    """Rows of another table refer to the account and do not go with it."""


class SessionEnded(Exception):
    """There is no such session, it is over, or the secret is not the one of today."""


class SessionReused(Exception):
    """A refresh token was used again, long after it was replaced: one of its two users has stolen it."""

    def __init__(self, session: UserSession, user: User) -> None:
        super().__init__("A refresh token was used twice.")
        self.session = session
        self.user = user


class NoSuchSession(ValueError):
    """The account has no such session."""


class NoSuchUser(ValueError):
    """There is no account with this id."""


# Your own exceptions go below; template updates never touch them.

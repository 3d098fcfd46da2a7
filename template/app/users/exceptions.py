"""The exceptions that the users module raises. `routes/error_handlers.py` defines the responses.

`code` is the error's machine-readable name in the response. Clients rely on these codes, so do not change
them. `TokenError` is defined in hawkapi-auth, which also raises it.
"""

from hawkapi_auth import TokenError as TokenError

from app.i18n import N_
from app.i18n import gettext as _
from app.users.models import User, UserSession


class UserAlreadyExists(ValueError):
    """The e-mail address already has an account."""

    code = "email_taken"


class InvalidEmail(ValueError):
    """The e-mail address is not valid. The message explains why. *field*: the request field."""

    code = "invalid_email"

    def __init__(self, message: str, *, field: str = "email") -> None:
        super().__init__(message)
        self.field = field


class InvalidPassword(ValueError):
    """The password is not allowed. The message explains why and what is allowed. *reason*: a machine-readable
    code for the reason. *field*: the request field."""

    code = "weak_password"

    def __init__(self, message: str, *, reason: str = code, field: str = "password") -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


class InvalidCredentials(ValueError):
    """The password is wrong for this e-mail address, or the account does not exist."""

    code = "invalid_credentials"


class InactiveUser(ValueError):
    """The password is correct, but the account is disabled. Send the same response as for a wrong
    password."""

    code = InvalidCredentials.code


class SecondFactorRequired(Exception):
    """The password or e-mailed code is correct, but the account also requires its second factor.

    *methods*: what the client can send, such as `code`. *ticket* identifies the login to continue. The ticket
    is empty for a logged-in user who is confirming a password. *browser_key* ties the login to the browser
    that started it.
    """

    code = "second_factor_required"

    def __init__(self, methods: list[str], *, ticket: str = "", browser_key: str = "") -> None:
        super().__init__(_("Enter your second factor as well."))
        self.methods = methods
        self.ticket = ticket
        self.browser_key = browser_key


class NoSecondFactor(ValueError):
    """The account does not have this factor."""

    def __init__(self) -> None:
        super().__init__(_("The account does not have this second factor."))


class AccountDisabled(ValueError):
    """An administrator tried to send an e-mail to a disabled account, which is not allowed."""

    code = "account_disabled"


class WrongPassword(ValueError):
    """The password entered to confirm an action is wrong."""

    code = "wrong_password"

    def __init__(self, *, field: str = "password") -> None:
        super().__init__(_("The password is wrong."))
        self.field = field


class HashingBusy(Exception):
    """The password hashing queue is full (HASH_QUEUE). The client gets a 503 at once instead of waiting."""

    code = "busy"


class TooManyRequests(Exception):
    """A rate limit was exceeded. The message says which one. *seconds*: how long to wait before retrying."""

    def __init__(self, seconds: float, sentence: str = N_("Too many requests from your network.")) -> None:
        super().__init__(sentence)
        self.seconds = seconds


class OwnerRequired(ValueError):
    """A link was used without proof that the user owns the account."""

    code = "password_required"


class RegistrationClosed(ValueError):
    """Accounts are created by invitation only (REGISTRATION=closed)."""

    code = "registration_closed"

    def __init__(self) -> None:
        super().__init__(_("Registration is by invitation only. Ask an administrator for an invitation."))


class NoSuchInvitation(ValueError):
    """The invitation does not exist."""


class NoSuchMail(ValueError):
    """The e-mail was not set aside, or no longer exists."""

    def __init__(self) -> None:
        super().__init__(_("No set-aside e-mail has this number. It may have been sent in the meantime."))


class MailExpired(ValueError):
    """The link in the e-mail has expired, so resending the e-mail would be useless."""

    code = "mail_expired"

    def __init__(self) -> None:
        super().__init__(_("The e-mail cannot be sent again, because the link in it has expired."))


class UnknownLanguage(ValueError):
    """The application is not translated into this language."""

    code = "unknown_language"
    field = "language"

    def __init__(self) -> None:
        super().__init__(_("The application is not available in this language."))


class LastSuperuser(ValueError):
    """The last active superuser cannot be deleted, disabled or made an ordinary user."""

    code = "last_superuser"


class AccountInUse(ValueError):
    """Rows in another table refer to the account and would not be deleted with it."""

    code = "account_in_use"


class SessionEnded(Exception):
    """The session does not exist or has ended, or its secret is out of date."""

    code = "session_ended"


class SessionReused(Exception):
    """A refresh token was used again after its grace period, so it may have been stolen."""

    def __init__(self, session: UserSession, user: User) -> None:
        super().__init__("A refresh token was used twice.")
        self.session = session
        self.user = user


class NoSuchSession(ValueError):
    """The account has no such session."""


class NoSuchUser(ValueError):
    """No account has this id."""


# Your own exceptions go below; template updates never touch them.

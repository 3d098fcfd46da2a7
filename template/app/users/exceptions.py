"""What the manager refuses with. How each is answered: `errors.py`."""


class UserAlreadyExists(ValueError):
    """The address has an account already."""


class InvalidCredentials(ValueError):
    """The address and the password do not belong together, or there is no such account."""


class InactiveUser(ValueError):
    """The password is right, but the account is disabled. Tell a client no more than for a wrong password."""


class WrongPassword(ValueError):
    """Somebody who is logged in gave another password than the account's."""

    def __init__(self, name: str = "password") -> None:
        super().__init__("The password is wrong.")
        self.field = name


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


class NoSuchSession(ValueError):
    """The account has no such session."""


class NoSuchUser(ValueError):
    """There is no account with this id."""


# Your own exceptions go below; template updates never touch them.

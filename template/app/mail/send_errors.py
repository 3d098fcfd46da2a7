"""Why a mail was not sent. Template-owned.

A backend raises `SendError` to try again later, or one of these. The message is stored and logged: put no
address and no part of the mail into it.
"""

from hawkapi_mail import SendError


class Undeliverable(SendError):
    """Trying again is useless: the mail cannot be encoded, or the server refuses it permanently."""


class NoSuchMailbox(Undeliverable):
    """The server says that the mailboxes of all recipients do not exist."""


class Misconfigured(SendError):
    """The server refuses our account, not the mail. It is sent when an operator has repaired that."""

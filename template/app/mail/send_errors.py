"""Why an e-mail was not sent. Template-owned.

A backend raises `SendError` if the e-mail should be retried later. The subclasses below are for more specific
cases. An error's message is stored and logged, so it must not contain an address or any part of the e-mail.
"""

from hawkapi_mail import SendError


class Undeliverable(SendError):
    """Another attempt is pointless: the e-mail cannot be encoded, or the server permanently rejects it."""


class NoSuchMailbox(Undeliverable):
    """The server reports that none of the recipients' mailboxes exist."""


class Misconfigured(SendError):
    """The server rejects our account, not the e-mail. The e-mail is sent once an operator has fixed the
    problem."""

"""The messages that describe audit log events."""

from app.i18n import gettext as _
from app.i18n import gettext as translated
from app.users.schemas import PublicEvent

# Your own imports go below; template updates never touch them.
# isort: split

SENTENCES_OF_FEATURES: dict[str, str] = {}
"""The messages (marked with `N_`) that describe features' events. Features add theirs when they are imported.

A key is an event's name, optionally followed by the authentication method, such as `confirm totp`.
"""

REFUSALS_OF_FEATURES: dict[str, str] = {}
"""Like `SENTENCES_OF_FEATURES`, but for attempts that were rejected."""


def sentences() -> dict[str, str]:
    """The messages in the current language, keyed by event name."""
    return {
        "register": _("The account was created"),
        "login": _("Logged in"),
        "login_locked": _("The login was locked after too many wrong passwords"),
        "guessing_blocked": _("The login was blocked for a while after too many wrong passwords"),
        "logout": _("Logged out"),
        "confirm": _("The password was confirmed"),
        "verify_request": _("A link to confirm the e-mail address was requested"),
        "verify": _("The e-mail address was confirmed"),
        "password_reset_request": _("A link to set a new password was requested"),
        "password_reset": _("A new password was set with an e-mailed link"),
        "password_change": _("The password was changed"),
        "email_change_request": _("A change of e-mail address was requested"),
        "email_change": _("The e-mail address was changed"),
        "session_end": _("Sessions were ended"),
        "session_limit": _("The least recently used sessions were ended because there were too many"),
        "session_reuse": _("A session was ended because its token was used twice"),
        "profile_update": _("The profile was changed"),
        "update": _("The account was changed"),
        "export": _("The account's data was exported"),
        "delete_request": _("The account was marked for deletion"),
        "delete_cancelled": _("The deletion was cancelled by a login"),
        "delete": _("The account was deleted"),
        "invite": _("Someone was invited"),
        "invitation_withdrawn": _("An invitation was withdrawn"),
        "link_refused": _("A link that no longer works was used"),
        "cross_site_refused": _("A request from another site was rejected"),
        "mail_retried": _("An e-mail that could not be sent was queued again"),
        "mail_dropped": _("An e-mail that could not be sent was deleted"),
        # Your own events go below; template updates never touch them.
    }


def refusals() -> dict[str, str]:
    """Like `sentences`, but for attempts that were rejected."""
    return {
        "register": _("Someone tried to create an account with your e-mail address"),
        "login": _("A login attempt was rejected"),
        "confirm": _("A wrong password was entered when confirming the login"),
        "verify": _("A wrong password was entered when confirming the e-mail address"),
        "password_change": _("A wrong password was entered when changing the password"),
        "email_change": _("A wrong password was entered when changing the e-mail address"),
    }


def sentence_of(event: PublicEvent) -> str:
    """The message that the account's owner sees for *event*."""
    refused = event.outcome == "failure" and _find(event, refusals(), REFUSALS_OF_FEATURES)
    return refused or name_of(event)


def name_of(event: PublicEvent) -> str:
    """The message that administrators see for *event*, whatever its outcome. If there is no message, they see
    the event's name."""
    found = _find(event, sentences(), SENTENCES_OF_FEATURES)
    return found or event.event.replace("_", " ").capitalize()


def _find(event: PublicEvent, ours: dict[str, str], of_features: dict[str, str]) -> str:
    of_method = of_features.get(f"{event.event} {event.method}")
    return translated(of_method or of_features.get(event.event, "")) or ours.get(event.event, "")

"""Messages that the next page shows once, after a redirect.

A cookie contains the name of the message, never its text, so a forged cookie can show only a message from
this list.
"""

from typing import Any

from hawkapi import Request

from app.i18n import gettext as _
from app.i18n import gettext as translated
from app.web import delete_cookie, set_cookie
from app.web.framework.application import services_of_request

COOKIE = "message"

MESSAGES_OF_FEATURES: dict[str, str] = {}
"""Messages (marked with `N_`), keyed by name. Features add theirs when they are imported."""


def sentences() -> dict[str, str]:
    """Every message in the current language, keyed by name. Add your own here."""
    return {
        "registered": _("Welcome! To confirm your e-mail address, open the link that we have sent you."),
        "check_mail": _("If there is an account with this e-mail address, we have sent an e-mail to it."),
        "email_verified": _("Your e-mail address is confirmed."),
        "email_verified_new_password": _(
            "Your e-mail address is confirmed. To log in, set a new password. We have sent you a link to do"
            " so."
        ),
        "email_changed": _("Your e-mail address has been changed."),
        "account_made": _("Your account is ready. You can now log in."),
        "link_sent": _("We have sent you an e-mail with a new link."),
        "logged_in": _("You are logged in."),
        "logged_out": _("You are logged out."),
        "password_set": _("Your password has been set. You can now log in with it."),
        "password_changed": _("Your password has been changed. All other sessions have ended."),
        "confirm_new_email": _("We have sent a link to the new address. Open it to change your address."),
        "profile_saved": _("Your changes have been saved."),
        "session_ended": _("The session has ended."),
        "sessions_ended": _("All other sessions have ended."),
        "account_deleted": _("Your account has been deleted."),
        "deletion_scheduled": _("Your account will be deleted. To keep it, log in before that happens."),
        "account_disabled": _("The account has been disabled, and its sessions have ended."),
        "account_enabled": _("The account has been enabled."),
        "account_promoted": _("The account is now a superuser."),
        "account_demoted": _("The account is no longer a superuser."),
        "account_verified": _("The e-mail address has been marked as verified."),
        "account_unverified": _(
            "The e-mail address has been marked as unverified, and the sessions have ended."
        ),
        "account_reset_required": _(
            "The password no longer works, and a link to set a new one is on its way to the owner."
        ),
        "account_reset_waived": _("The current password works again."),
        "account_reset_sent": _("A link to set a new password is on its way to the owner."),
        "account_session_ended": _("The session has ended."),
        "account_sessions_ended": _("All of the account's sessions have ended."),
        "account_removed": _("The account has been deleted."),
        "invited": _("The invitation is on its way."),
        "invitation_withdrawn": _("The invitation has been withdrawn. Its link no longer works."),
        "mail_retried": _("The e-mail is in the outbox again and will be sent soon."),
        "mail_dropped": _("The e-mail has been deleted."),
        "mailbox_emptied": _("The mailbox is empty."),
        # Your own messages go below; template updates never touch them.
    }


def show_next(request: Request, name: str) -> None:
    """Show the message *name* on the next page.

    Raises:
        KeyError: there is no message with this name.
    """
    if not _sentence(name):
        raise KeyError(f"There is no message {name!r}. Add it to `sentences`.")
    set_cookie(request, _cookie_name(request), name, max_age=60, secure=_is_secure(request))


def context(request: Request) -> dict[str, Any]:
    """The message for this page, if there is one. Reading it deletes the cookie."""
    name = request.cookies.get(_cookie_name(request))
    if name is None:
        return {"message": ""}
    delete_cookie(request, _cookie_name(request), secure=_is_secure(request))
    return {"message": _sentence(name)}


def _sentence(name: str) -> str:
    return sentences().get(name) or translated(MESSAGES_OF_FEATURES.get(name, ""))


def _is_secure(request: Request) -> bool:
    return services_of_request(request).settings.cookie_secure


def _cookie_name(request: Request) -> str:
    return f"__Host-{COOKIE}" if _is_secure(request) else COOKIE

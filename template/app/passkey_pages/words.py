"""Messages about passkeys, on pages and in the audit log. Change the wording as you like."""

from app.i18n import N_
from app.pages.events import REFUSALS_OF_FEATURES, SENTENCES_OF_FEATURES
from app.pages.messages import MESSAGES_OF_FEATURES

MESSAGES_OF_FEATURES.update(
    {
        "passkey_removed": N_("The passkey has been removed. All other sessions have ended."),
        "passkey_not_added": N_("The passkey was not added. Try again."),
        "passkey_exists": N_("This passkey has already been added."),
        "too_many_passkeys": N_("The account has too many passkeys. Remove one first."),
    }
)
SENTENCES_OF_FEATURES.update(
    {
        "login passkey": N_("Logged in with a passkey"),
        "confirm passkey": N_("The login was confirmed with a passkey"),
        "confirm credential": N_("The login was confirmed with a passkey"),
    }
)
REFUSALS_OF_FEATURES.update(
    {
        "login passkey": N_("A login with a passkey was rejected"),
        "second_factor credential": N_("A passkey was rejected at login, after the correct password"),
        "confirm credential": N_("A passkey was rejected when confirming the login"),
        "passkey_count": N_("A passkey's counter did not increase: there may be a copy of it"),
    }
)

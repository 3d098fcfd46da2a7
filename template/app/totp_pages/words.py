"""Audit log messages about authenticator app codes. Change the wording as you like."""

from app.i18n import N_
from app.pages.events import REFUSALS_OF_FEATURES, SENTENCES_OF_FEATURES

SENTENCES_OF_FEATURES.update(
    {
        "confirm totp": N_("The login was confirmed with a code"),
        "confirm code": N_("The login was confirmed with a code"),
    }
)
REFUSALS_OF_FEATURES.update(
    {
        "second_factor code": N_("A wrong code was entered at login, after the correct password"),
        "confirm code": N_("A wrong code was entered when confirming the login"),
    }
)

"""Sentences of the audit log about codes of authenticator apps. Change the words freely."""

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
        "second_factor code": N_("A wrong code was given at a login, after the right password"),
        "confirm code": N_("A wrong code was given to confirm the login"),
    }
)

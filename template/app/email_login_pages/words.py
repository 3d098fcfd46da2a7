"""Sentences of the audit log. Change the words freely."""

from app.i18n import N_
from app.pages.events import REFUSALS_OF_FEATURES, SENTENCES_OF_FEATURES

SENTENCES_OF_FEATURES.update(
    {
        "login_code_request": N_("A code to log in was requested"),
        "login email": N_("Logged in with a code by mail"),
    }
)
REFUSALS_OF_FEATURES.update({"login email": N_("A wrong code by mail was given at a login")})

"""Audit log messages about login codes. Change the wording as you like."""

from app.i18n import N_
from app.pages.events import REFUSALS_OF_FEATURES, SENTENCES_OF_FEATURES

SENTENCES_OF_FEATURES.update(
    {
        "login_code_request": N_("A login code was requested"),
        "login email": N_("Logged in with an e-mailed code"),
    }
)
REFUSALS_OF_FEATURES.update({"login email": N_("A wrong e-mailed code was entered at login")})

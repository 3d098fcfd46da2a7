"""Messages on pages and in the audit log. Change the wording as you like.

A factor can define its own audit log messages. Their keys also include the method, as in `confirm code`.
"""

from app.i18n import N_
from app.pages.events import REFUSALS_OF_FEATURES, SENTENCES_OF_FEATURES
from app.pages.messages import MESSAGES_OF_FEATURES

MESSAGES_OF_FEATURES.update(
    {
        "login_expired": N_("The login has expired. Start again."),
        "factor_added": N_("The second factor has been set up. All other sessions have ended."),
        "factor_removed": N_("The second factor has been removed. All other sessions have ended."),
        "factors_reset": N_(
            "The second factors have been removed, and all of the account's sessions have ended."
        ),
    }
)
SENTENCES_OF_FEATURES.update(
    {
        "second_factor": N_("A second factor was used at login"),
        "second_factor_request": N_("A login was started that required a second factor"),
        "factor_added": N_("A second factor was added"),
        "factor_removed": N_("A second factor was removed"),
        "factors_reset": N_("All second factors were removed by an administrator"),
        "recovery_codes_renewed": N_("New recovery codes were generated"),
        "confirm recovery_code": N_("The login was confirmed with a recovery code"),
    }
)
REFUSALS_OF_FEATURES.update(
    {
        "second_factor": N_("A wrong second factor was entered at login, after the correct password"),
        "second_factor recovery_code": N_(
            "A wrong recovery code was entered at login, after the correct password"
        ),
        "confirm recovery_code": N_("A wrong recovery code was entered when confirming the login"),
    }
)

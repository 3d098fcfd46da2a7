"""Messages and sentences of the audit log. Change the words freely.

Factors may have sentences of their own for their answers, with the method in the key, such as `confirm code`.
"""

from app.i18n import N_
from app.pages.events import REFUSALS_OF_FEATURES, SENTENCES_OF_FEATURES
from app.pages.messages import MESSAGES_OF_FEATURES

MESSAGES_OF_FEATURES.update(
    {
        "login_expired": N_("The login has expired. Begin again."),
        "factor_added": N_("The second factor is set up. All other sessions have ended."),
        "factor_removed": N_("The second factor is removed. All other sessions have ended."),
        "factors_reset": N_("The second factors are removed, and all sessions of the account have ended."),
    }
)
SENTENCES_OF_FEATURES.update(
    {
        "second_factor": N_("A second factor was given at a login"),
        "factor_added": N_("A second factor was added"),
        "factor_removed": N_("A second factor was removed"),
        "factors_reset": N_("All second factors were removed by an administrator"),
        "recovery_codes_renewed": N_("New recovery codes were made"),
        "confirm recovery_code": N_("The login was confirmed with a recovery code"),
    }
)
REFUSALS_OF_FEATURES.update(
    {
        "second_factor": N_("A wrong second factor was given at a login, after the right password"),
        "second_factor recovery_code": N_(
            "A wrong recovery code was given at a login, after the right password"
        ),
        "confirm recovery_code": N_("A wrong recovery code was given to confirm the login"),
    }
)

"""The e-mails about second factors. Change the wording as you like."""

from app.i18n import N_
from app.users.emails import NOTICES_OF_FEATURES, Notice

_RESET_PASSWORD = N_("If this was not you, set a new password now and ask an administrator for help.")

NOTICES_OF_FEATURES.update(
    {
        "factor_added": Notice(
            N_("A second factor was added"),
            N_(
                "Logging in to your account now also requires a second factor. All other sessions have ended."
            ),
            _RESET_PASSWORD,
        ),
        "factor_removed": Notice(
            N_("A second factor was removed"),
            N_("A second factor was removed from your account. All other sessions have ended."),
            _RESET_PASSWORD,
        ),
        "factors_reset": Notice(
            N_("Your second factors were removed"),
            N_("An administrator removed all second factors from your account. All sessions have ended."),
            N_("If you did not ask for this, set a new password now and contact an administrator."),
        ),
        "recovery_code_used": Notice(
            N_("A recovery code was used"),
            N_("Someone used one of your recovery codes instead of your second factor."),
            N_("If this was not you, set a new password now and generate new recovery codes."),
        ),
        "recovery_codes_renewed": Notice(
            N_("New recovery codes"),
            N_("New recovery codes were generated for your account. The earlier ones no longer work."),
            _RESET_PASSWORD,
        ),
        "second_factor_refused": Notice(
            N_("A login was rejected"),
            N_("Someone entered the correct password for your account, and then five wrong codes."),
            N_("If this was not you, someone knows your password. Set a new one now."),
        ),
    }
)

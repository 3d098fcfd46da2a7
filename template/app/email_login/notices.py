"""The notice about wrong codes. Change the wording as you like."""

from app.i18n import N_
from app.users.emails import NOTICES_OF_FEATURES, Notice

NOTICES_OF_FEATURES.update(
    {
        "login_code_refused": Notice(
            N_("A login was rejected"),
            N_("Someone requested a code to log in to your account, and then entered five wrong codes."),
            N_("If you did not request this code, ignore this e-mail. Never share the code with anyone."),
        ),
    }
)

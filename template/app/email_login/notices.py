"""The notice about wrong codes. Change the words freely."""

from app.i18n import N_
from app.users.emails import NOTICES_OF_FEATURES, Notice

NOTICES_OF_FEATURES.update(
    {
        "login_code_refused": Notice(
            N_("A login was refused"),
            N_("Someone asked for a code to log in to your account, and then entered five wrong ones."),
            N_(
                "If this was not you, ignore this mail: nobody can log in without the code. Never tell it to"
                " anyone."
            ),
        ),
    }
)

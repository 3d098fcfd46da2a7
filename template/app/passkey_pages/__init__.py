"""The passkey pages: log in with a passkey, use it as a second factor, and manage your passkeys.

This folder is yours to change. The rules are in `app/passkeys`. Only JavaScript can request a
passkey: `static/passkeys.js` puts the browser's response into a form and submits the form.
"""

from pathlib import Path

from app.i18n import N_
from app.pages import links
from app.passkey_pages import account, login, well_known, words
from app.passkeys.passkeys import Passkeys
from app.second_factor_pages import parts
from app.web import App
from app.web.static_files import StaticFiles

REQUIRES = ("pages", "passkeys", "second_factor_pages")
"""Features that must be installed before this one."""

_FOLDER = Path(__file__).parent
# Importing this module adds the messages.
_ = words


def install(app: App) -> None:
    """Add the pages, and add passkeys to the login page and the second factor pages."""
    files = StaticFiles("/static/passkeys", _FOLDER / "static")
    html = app.state.html
    html.add_folder(_FOLDER / "templates")
    html.globals.update(passkeys_js=files.url("passkeys.js"), users_prefix=app.state.settings.users_prefix)
    for router in (files.router(), login.router, account.router, well_known.router):
        app.include_router(router)
    links.add_to_login(app, "passkeys/login.html")
    parts.add(
        app,
        parts.Part(
            Passkeys.name,
            N_("Passkey"),
            Passkeys.method,
            ask="passkeys/ask.html",
            section="passkeys/section.html",
            values_of=account.passkeys_of,
        ),
    )

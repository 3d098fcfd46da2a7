"""The pages for setting up an authenticator app, entering its codes at login, and removing the app.

This folder is yours to change. The rules are in `app/totp`.
"""

from pathlib import Path

from app.i18n import N_
from app.second_factor_pages import parts
from app.totp.totp import Totp
from app.totp_pages import account, words
from app.web import App
from app.web.static_files import StaticFiles

REQUIRES = ("pages", "second_factor_pages", "totp")
"""Features that must be installed before this one."""

_FOLDER = Path(__file__).parent
# Importing this module adds the messages.
_ = words


def install(app: App) -> None:
    """Add the pages, and this factor's part of the second factor pages."""
    files = StaticFiles("/static/totp", _FOLDER / "static")
    app.state.html.add_folder(_FOLDER / "templates")
    app.state.html.globals.update(totp_css=files.url("totp.css"))
    for router in (files.router(), account.router):
        app.include_router(router)
    parts.add(
        app,
        parts.Part(
            Totp.name, N_("Authenticator app"), Totp.method, ask="totp/ask.html", section="totp/section.html"
        ),
    )
